// Which identities the launcher holds. It takes its strength when it starts, as the process that the addon made, and
// becomes process 1 of a pid namespace of its own: when that one ends, the kernel ends everything it started.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/result.h"
#include "linux/jail.h"

namespace cloister {

enum class Strength : uint8_t {
  kRange = 0,   // a user namespace of the caller's subordinate ids
  kRoot = 1,    // the machine's root, with ids that nobody else has
  kSingle = 2,  // a user namespace of the caller's id alone
};

std::optional<Strength> ParseStrength(std::string_view name) noexcept;
const char* NameOf(Strength strength) noexcept;

/// What was taken: builds get the ids from `first` on, `count` of them (single: the launcher's own).
struct Identities {
  Strength strength = Strength::kSingle;
  uint32_t first = 0;
  uint32_t count = 1;
  int lock_fd = -1;     // range, root: held as long as the ids are used
  int network_fd = -1;  // of the helper that makes ways out (network-helper.h), if there is one

  JailIdentity At(uint32_t index) const noexcept { return {first + index, first + index}; }
};

/// Takes the strength for this process, which has one thread. Fails with STRENGTH_UNAVAILABLE and the step that did not
/// work.
Result<Identities> TakeStrength(Strength strength);

/// Leaves the host's mounts, network, ipc and host name for namespaces of its own. Fails with STRENGTH_UNAVAILABLE.
Result<void> LeaveHost();

/// Makes the process that is to be 1 of a new pid namespace, a child of this one's parent, and gives its pid here; 0 in
/// the new process.
Result<pid_t> BecomeFirstProcess();

}  // namespace cloister
