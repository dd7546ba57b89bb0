// All that a jail's first process does between clone and execve. It shares memory with the launcher's threads, so there
// is no library call here, not even one that sets errno, which would be another thread's.
#include "linux/run-plan.h"

#include <linux/futex.h>
#include <sys/syscall.h>

namespace cloister {
namespace {

#if defined(__x86_64__)
inline long SystemCall(long number, unsigned long a, unsigned long b = 0, unsigned long c = 0, unsigned long d = 0,
                       unsigned long e = 0, unsigned long f = 0) noexcept {
  long result;
  register unsigned long r10 asm("r10") = d;
  register unsigned long r8 asm("r8") = e;
  register unsigned long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
inline long SystemCall(long number, unsigned long a, unsigned long b = 0, unsigned long c = 0, unsigned long d = 0,
                       unsigned long e = 0, unsigned long f = 0) noexcept {
  register long x8 asm("x8") = number;
  register unsigned long x0 asm("x0") = a;
  register unsigned long x1 asm("x1") = b;
  register unsigned long x2 asm("x2") = c;
  register unsigned long x3 asm("x3") = d;
  register unsigned long x4 asm("x4") = e;
  register unsigned long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return static_cast<long>(x0);
}
#else
#error "cloister knows the system calls of x86_64 and aarch64"
#endif

void Set(JailControl& control, JailState state) noexcept {
  __atomic_store_n(&control.state, static_cast<uint32_t>(state), __ATOMIC_RELEASE);
  SystemCall(SYS_futex, reinterpret_cast<unsigned long>(&control.state), FUTEX_WAKE, 1);
}

void WaitWhile(JailControl& control, JailState state) noexcept {
  const uint32_t value = static_cast<uint32_t>(state);
  while (__atomic_load_n(&control.state, __ATOMIC_ACQUIRE) == value)
    SystemCall(SYS_futex, reinterpret_cast<unsigned long>(&control.state), FUTEX_WAIT, value);
}

[[noreturn]] void Fail(JailControl& control, uint32_t step, long result) noexcept {
  control.failure = StepFailure{step, result < 0 ? static_cast<int32_t>(-result) : 0};
  __atomic_store_n(&control.failed, 1u, __ATOMIC_RELEASE);
  Set(control, JailState::kFailed);
  for (;;) SystemCall(SYS_exit_group, 127);
}

void RunPlan(JailControl& control, const Step* plan, uint32_t size, uint32_t first) noexcept {
  for (uint32_t index = 0; index < size; ++index) {
    const Step& step = plan[index];
    unsigned long a[6];
    for (int i = 0; i < 6; ++i)
      a[i] = (step.from_slot >> i & 1) != 0 ? static_cast<unsigned long>(control.slot[step.argument[i]]) : step.argument[i];
    const long result = SystemCall(step.number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result < step.least) Fail(control, first + index, result);
    if (step.to_slot >= 0) control.slot[step.to_slot] = result;
  }
}

}  // namespace

[[noreturn]] void RunJail(void* argument) noexcept {
  JailControl& control = *static_cast<JailControl*>(argument);
  WaitWhile(control, JailState::kStarting);
  RunPlan(control, control.prepare, control.prepare_size, 0);
  Set(control, JailState::kReady);
  WaitWhile(control, JailState::kReady);
  RunPlan(control, control.finish, control.finish_size, control.prepare_size);
  Fail(control, control.prepare_size + control.finish_size, 0);  // the last step is execve: this plan was made wrong
}

#if defined(__x86_64__)
long CloneOnStack(void* clone_arguments, unsigned long size, void (*entry)(void*), void* argument) noexcept {
  long result;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %[argument], %%rdi\n\t"
      "call *%[entry]\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(clone_arguments), "S"(size), [entry] "r"(entry), [argument] "r"(argument)
      : "rcx", "r11", "memory");
  return result;
}
#else
long CloneOnStack(void* clone_arguments, unsigned long size, void (*entry)(void*), void* argument) noexcept {
  register long x8 asm("x8") = SYS_clone3;
  register unsigned long x0 asm("x0") = reinterpret_cast<unsigned long>(clone_arguments);
  register unsigned long x1 asm("x1") = size;
  register void (*x2)(void*) asm("x2") = entry;
  register void* x3 asm("x3") = argument;
  asm volatile(
      "svc 0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x30, xzr\n\t"
      "mov x0, x3\n\t"
      "blr x2\n\t"
      "brk 0\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
      : "memory", "x30");
  return static_cast<long>(x0);
}
#endif

}  // namespace cloister
