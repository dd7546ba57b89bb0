// The filters of jails. What they refuse is data, seccomp/*.json; the tables made from it are compiled in, so that nobody
// who gives the launcher orders can give a jail a weaker filter than there is.
#pragma once

#include <linux/filter.h>

#include <cstdint>

#include "core/result.h"

namespace cloister {

enum class SeccompProfile : uint8_t { kBuild, kFetch, kShell };

struct SeccompSpec {
  SeccompProfile profile = SeccompProfile::kBuild;
  bool nested_user_namespaces = false;

  /// Of nearly all jails: they are made ahead, on a thread that has the greater part of their filter already.
  bool is_standard() const noexcept { return profile == SeccompProfile::kBuild && !nested_user_namespaces; }
};

/// All that a profile refuses.
sock_fprog WholeFilter(const SeccompSpec& spec) noexcept;

/// What the standard profile refuses, in two parts: what a thread that makes jails can do without, and the rest. A new
/// filter takes the kernel some 0.2 microseconds an instruction, an inherited one nothing; the last part is short.
sock_fprog InheritedFilter() noexcept;
sock_fprog LastFilter() noexcept;

/// Gives this thread, and whatever it makes, the inherited filter. Fails with JAIL_STEP_FAILED.
Result<void> InstallInheritedFilter();

/// For seccomp(2): a filter must not slow a build down by what protects one thread from another of the same process.
inline constexpr unsigned long kFilterFlags = 4;  // SECCOMP_FILTER_FLAG_SPEC_ALLOW

}  // namespace cloister
