#include "linux/syscall-filter.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

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

sock_fprog InheritedFilter() noexcept { return FilterOf(kInherited); }
sock_fprog LastFilter() noexcept { return FilterOf(kLast); }

Result<void> InstallInheritedFilter() {
  const sock_fprog filter = InheritedFilter();
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFilterFlags, &filter) != 0)
    return Failure::Errno("JAIL_STEP_FAILED", "install-filter");
  return {};
}

}  // namespace cloister
