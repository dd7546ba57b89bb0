// Removing a tree, whatever its modes and depth, without ever following a symlink.
#pragma once

#include <cstdint>

#include "core/result.h"

namespace cloister {

struct RemovedTree {
  bool existed = false;      // false: there was no such entry, which is no failure
  uint64_t freed_bytes = 0;  // on disk; a file counts when its last link goes
};

/// Removes the entry `name` of the directory `parent_fd` with all below it. Directories that forbid it are made
/// writable first. Memory and descriptors are bounded at any depth. Fails with TREE_SYSTEM_CALL; what could be removed
/// is gone then, and it may be called again.
Result<RemovedTree> RemoveTree(int parent_fd, const char* name);

}  // namespace cloister
