#include "linux/syscall-filter.h"

#include <linux/audit.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace cloister {
namespace {

struct CallName {
  uint32_t number;
  const char* name;
};

#include "linux/syscall-filter-tables.inc"

template <size_t kSize>
sock_fprog FilterOf(const sock_filter (&program)[kSize]) noexcept {
  static_assert(kSize <= BPF_MAXINSNS);
  return {kSize, const_cast<sock_filter*>(program)};  // the kernel's structure is the same for reading and writing
}

}  // namespace

sock_fprog WholeFilter(const SeccompSpec& spec) noexcept {
  switch (spec.profile) {
    case SeccompProfile::kFetch:
      return spec.nested_user_namespaces ? FilterOf(kFetchNested) : FilterOf(kFetch);
    case SeccompProfile::kShell:
      return spec.nested_user_namespaces ? FilterOf(kShellNested) : FilterOf(kShell);
    case SeccompProfile::kBuild:
      break;
  }
  return spec.nested_user_namespaces ? FilterOf(kBuildNested) : FilterOf(kBuild);
}

std::vector<sock_filter> AskingFilter(const SeccompSpec& spec) {
  const sock_fprog whole = WholeFilter(spec);
  std::vector<sock_filter> program(whole.filter, whole.filter + whole.len);
  for (sock_filter& step : program)
    if (step.code == (BPF_RET | BPF_K) && step.k != SECCOMP_RET_ALLOW) step.k = SECCOMP_RET_USER_NOTIF;
  return program;
}

uint32_t RunFilter(const sock_fprog& filter, const seccomp_data& call) noexcept {
  uint32_t accumulator = 0;
  for (const sock_filter* step = filter.filter;; ++step) {
    switch (step->code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&accumulator, reinterpret_cast<const char*>(&call) + step->k, sizeof accumulator);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= step->k;
        break;
      case BPF_JMP | BPF_JA:
        step += step->k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        step += accumulator == step->k ? step->jt : step->jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        step += accumulator >= step->k ? step->jt : step->jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        step += (accumulator & step->k) != 0 ? step->jt : step->jf;
        break;
      default:  // our programs have nothing else but their ends
        return step->k;
    }
  }
}

std::string CallNameOf(const seccomp_data& call) {
  const auto find = [number = static_cast<uint32_t>(call.nr)](const auto& names) -> std::string {
    for (const CallName& row : names)
      if (row.number == number) return row.name;
    return "call " + std::to_string(number);
  };
  const bool is_second = (call.arch & __AUDIT_ARCH_64BIT) == 0;
  return is_second ? find(kSecondCalls) : find(kNativeCalls);
}

sock_fprog InheritedFilter() noexcept { return FilterOf(kInherited); }
sock_fprog LastFilter() noexcept { return FilterOf(kLast); }

Result<void> InstallInheritedFilter() {
  const sock_fprog filter = InheritedFilter();
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFilterFlags, &filter) != 0)
    return Failure::Errno("JAIL_STEP_FAILED", "install-filter");
  return {};
}

}  // namespace cloister
