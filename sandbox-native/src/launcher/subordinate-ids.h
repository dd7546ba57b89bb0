// The subordinate ids that /etc/subuid and /etc/subgid grant to a user (subuid(5)), and their mapping by newuidmap and
// newgidmap, the programs with the privilege for it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "core/result.h"
#include "core/unique-fd.h"

namespace cloister {

struct SubordinateRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

/// The longest range of `file` for the user; count 0 if there is none.
SubordinateRange FindSubordinateRange(const char* file, uid_t uid);

/// A child that maps, when told, the ids of its parent: inside 0 is the caller, 1 to count the subordinate ids.
class IdMapper {
 public:
  /// Starts the child; call it before the user namespace is made.
  Result<void> Start(uid_t uid, gid_t gid, SubordinateRange uids, SubordinateRange gids);
  /// Has the child map, and waits for it.
  Result<void> Map();

 private:
  pid_t child_ = -1;
  UniqueFd start_;
};

}  // namespace cloister
