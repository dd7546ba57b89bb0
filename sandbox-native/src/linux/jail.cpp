#include "linux/jail.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cassert>
#include <cstdio>
#include <mutex>
#include <vector>

#include "core/defences.h"
#include "linux/jail-spec.h"
#include "linux/kernel.h"

namespace cloister {
namespace {

constexpr size_t kStackBytes = 16 * 1024;  // RunJail's frames are a few hundred bytes

/// Stacks are used again: their pages are there already, and a page fault costs more than ten system calls.
class StackPool {
 public:
  void* Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        void* stack = free_.back();
        free_.pop_back();
        return stack;
      }
    }
    void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    return stack == MAP_FAILED ? nullptr : stack;
  }
  void Give(void* stack) {
    const std::lock_guard lock(mutex_);
    free_.push_back(stack);
  }

 private:
  std::mutex mutex_;
  std::vector<void*> free_;
};

StackPool& Stacks() {
  static StackPool pool;
  return pool;
}

void SetState(JailControl& control, JailState state) noexcept {
  __atomic_store_n(&control.state, static_cast<uint32_t>(state), __ATOMIC_RELEASE);
  syscall(SYS_futex, &control.state, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

bool HasEnded(int pidfd) noexcept {
  pollfd entry{pidfd, POLLIN, 0};
  return poll(&entry, 1, 0) > 0;
}

Result<void> WriteMap(pid_t pid, const char* file, unsigned inside, unsigned outside) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  char line[64];
  const int length = snprintf(line, sizeof line, "%u %u 1", inside, outside);
  const UniqueFd map(open(path, O_WRONLY | O_CLOEXEC));
  if (!map || write(map.get(), line, static_cast<size_t>(length)) != length)
    return Failure::Errno("JAIL_STEP_FAILED", "map-identity", file);
  return {};
}

}  // namespace

Result<std::unique_ptr<Jail>> Jail::Prepare(const Plan& prepare, JailIdentity identity, JailIdentity inside,
                                            const std::function<void(pid_t)>& joins) {
  std::unique_ptr<Jail> jail(new Jail(identity));
  Result<void> ready = jail->Start(prepare, inside, joins);
  if (!ready.ok()) return ready.failure();
  return jail;
}

Result<void> Jail::Start(const Plan& prepare, JailIdentity inside, const std::function<void(pid_t)>& joins) {
  stack_ = Stacks().Take();
  if (stack_ == nullptr) return Failure::Errno("JAIL_STEP_FAILED", "allocate-stack");
  control_.prepare = prepare.data();
  control_.prepare_size = static_cast<uint32_t>(prepare.size());

  int pidfd = -1;
  clone_args arguments{};
  // Descriptors are shared until the plan takes its own, so that mounts opened later can still be handed in.
  arguments.flags = CLONE_VM | CLONE_FILES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_NEWUSER | CLONE_NEWNS |
                    CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (!HasDefence(Defence::kOwnPidNamespace)) arguments.flags &= ~static_cast<uint64_t>(CLONE_NEWPID);
  if (!HasDefence(Defence::kOwnIpc)) arguments.flags &= ~static_cast<uint64_t>(CLONE_NEWIPC);
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  arguments.stack = reinterpret_cast<uint64_t>(stack_);
  arguments.stack_size = kStackBytes;
  const long pid = CloneOnStack(&arguments, sizeof arguments, RunJail, &control_);
  if (pid < 0) {
    errno = static_cast<int>(-pid);
    return Failure::Errno("JAIL_STEP_FAILED", "clone");
  }
  pid_ = static_cast<pid_t>(pid);
  pidfd_.Reset(pidfd);
  joins(pid_);

  Result<void> mapped = WriteMap(pid_, "uid_map", inside.uid, identity_.uid);
  if (mapped.ok()) mapped = WriteMap(pid_, "gid_map", inside.gid, identity_.gid);
  if (!mapped.ok()) return mapped;
  SetState(control_, JailState::kMapped);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid_);
  mount_namespace_.Reset(open(path, O_RDONLY | O_CLOEXEC));
  if (!mount_namespace_) return Failure::Errno("JAIL_STEP_FAILED", "open-mount-namespace");
  return WaitUntilReady(prepare);
}

Result<void> Jail::WaitUntilReady(const Plan& prepare) {
  for (;;) {
    const uint32_t state = __atomic_load_n(&control_.state, __ATOMIC_ACQUIRE);
    if (state == static_cast<uint32_t>(JailState::kReady)) return {};
    if (state == static_cast<uint32_t>(JailState::kFailed)) {
      const Step& step = prepare[control_.failure.step];
      return Failure{"JAIL_STEP_FAILED", step.name, control_.failure.error, step.path != nullptr ? step.path : "", 0};
    }
    // A process that was killed wakes nobody, so now and then it is looked at.
    const timespec patience{0, 100'000'000};
    syscall(SYS_futex, &control_.state, FUTEX_WAIT, state, &patience, nullptr, 0);
    if (HasEnded(pidfd_.get()) && __atomic_load_n(&control_.failed, __ATOMIC_ACQUIRE) == 0)
      return Failure{"JAIL_STEP_FAILED", "prepare", EOWNERDEAD, "", 0};
  }
}

Jail::~Jail() {
  if (pid_ > 0 && !waited_) {
    Kill();
    siginfo_t info{};
    struct rusage usage{};
    Wait(info, usage);
  }
  if (stack_ != nullptr) Stacks().Give(stack_);
}

/// A jail that failed between opening and closing a descriptor, in the table that it shared, has left it to us.
void Jail::CloseSlots() noexcept {
  if (__atomic_load_n(&control_.failed, __ATOMIC_ACQUIRE) == 0) return;
  bool open[kSlots] = {};
  for (uint32_t index = 0; index < control_.failure.step; ++index) {
    const bool preparing = index < control_.prepare_size;
    const Step& step = preparing ? control_.prepare[index] : control_.finish[index - control_.prepare_size];
    if (step.number == SYS_close_range) return;  // from here on its table was its own
    if (step.number == SYS_close && step.from_slot != 0) open[step.argument[0]] = false;
    if (step.to_slot >= 0) open[step.to_slot] = true;
  }
  for (int slot = 0; slot < kSlots; ++slot)
    if (open[slot]) UniqueFd(TakeSlot(slot)).Reset();
}

int Jail::TakeSlot(int slot) noexcept {
  const long value = control_.slot[slot];
  control_.slot[slot] = 0;
  return value > 0 ? static_cast<int>(value) : -1;
}

void Jail::Release(const Plan& finish) noexcept {
  control_.finish = finish.data();
  control_.finish_size = static_cast<uint32_t>(finish.size());
  SetState(control_, JailState::kReleased);
}

void Jail::Kill() noexcept { SignalProcess(pidfd_.get(), SIGKILL); }

void Jail::Wait(siginfo_t& info, struct rusage& usage) noexcept {
  int result;
  do {
    result = WaitProcess(pidfd_.get(), &info, &usage);
  } while (result < 0 && errno == EINTR);
  waited_ = true;
  CloseSlots();  // now, for the plan need not live as long as the jail
}

const Step* Jail::FailedStep(int& error) const noexcept {
  if (__atomic_load_n(&control_.failed, __ATOMIC_ACQUIRE) == 0) return nullptr;
  error = control_.failure.error;
  const uint32_t index = control_.failure.step;
  return index < control_.prepare_size ? &control_.prepare[index] : &control_.finish[index - control_.prepare_size];
}

}  // namespace cloister
