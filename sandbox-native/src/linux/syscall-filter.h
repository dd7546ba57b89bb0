// The filters of jails. What they refuse is data, seccomp/*.json; the tables made from it are compiled in, so that nobody
// who gives the launcher orders can give a jail a weaker filter than there is.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"

namespace cloister {

enum class SeccompProfile : uint8_t { kBuild, kFetch, kShell };

struct SeccompSpec {
  SeccompProfile profile = SeccompProfile::kBuild;
  bool nested_user_namespaces = false;
  bool log = false;  // each refusal is asked about, so that it can be counted
  bool whole = false;  // nothing is inherited: its jail is not one of those that are made ahead

  /// Of nearly all jails: they are made ahead, on a thread that has the greater part of their filter already.
  bool is_standard() const noexcept { return profile == SeccompProfile::kBuild && !nested_user_namespaces && !log && !whole; }
};

/// All that a profile refuses.
sock_fprog WholeFilter(const SeccompSpec& spec) noexcept;

/// The same, but that a listener is asked about what it would refuse.
std::vector<sock_filter> AskingFilter(const SeccompSpec& spec);

/// What a filter answers: SECCOMP_RET_*, with its data.
uint32_t RunFilter(const sock_fprog& filter, const seccomp_data& call) noexcept;

/// "keyctl"; "call 700" if no call has this number.
std::string CallNameOf(const seccomp_data& call);

/// What the standard profile refuses, in two parts: what a thread that makes jails can do without, and the rest. A new
/// filter takes the kernel some 0.2 microseconds an instruction, an inherited one nothing; the last part is short.
sock_fprog InheritedFilter() noexcept;
sock_fprog LastFilter() noexcept;

/// Gives this thread, and whatever it makes, the inherited filter. Fails with JAIL_STEP_FAILED.
Result<void> InstallInheritedFilter();

/// For seccomp(2): a filter must not slow a build down by what protects one thread from another of the same process.
inline constexpr unsigned long kFilterFlags = 4;  // SECCOMP_FILTER_FLAG_SPEC_ALLOW

}  // namespace cloister
