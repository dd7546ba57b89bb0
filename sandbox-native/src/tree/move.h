// Moving an entry between directories of one file system, whatever lies at its destination.
#pragma once

#include <string>

#include "core/result.h"

namespace cloister {

struct MovedEntry {
  std::string trashed;  // the name in the trash of what lay at the destination; "" if nothing did
};

/// Renames `from` of `from_fd` to `to` of `to_fd` without replacing anything: what lies there is renamed into `trash_fd`
/// first (under a new name; the caller removes it). With trash_fd -1 that is TREE_SYSTEM_CALL with EEXIST.
Result<MovedEntry> MoveEntry(int from_fd, const char* from, int to_fd, const char* to, int trash_fd);

}  // namespace cloister
