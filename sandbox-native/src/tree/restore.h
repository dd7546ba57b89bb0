// NAR → tree: parsed, hashed and written in canonical form, in one pass.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "core/result.h"
#include "tree/hash-part.h"

namespace cloister {

struct RestoreOptions {
  std::optional<ExtraHash> extra_hash;
  /// Looked at once for each buffer: true ends it with TREE_CANCELLED. A blocked read is not woken: close the other end.
  const std::atomic<bool>* cancelled = nullptr;
};

struct RestoredTree {
  Sha256Digest nar_hash{};
  uint64_t nar_size = 0;
  std::optional<DigestBytes> extra_hash;
};

/// Reads an archive from `source_fd` to its end and makes it the new entry `name` of the directory `parent_fd`: modes
/// 0444 and 0555, mtime 1, owner as the process. Memory is bounded by buffers, whatever the archive states.
/// Failures: NAR_* with the offset; TREE_NOT_FLAT (a flat hash of what is no plain file); TREE_CANCELLED;
/// TREE_SYSTEM_CALL with errno and the path inside the tree. After a failure nothing that it wrote is left.
Result<RestoredTree> RestoreTree(int source_fd, int parent_fd, const char* name, const RestoreOptions& options = {});

/// Makes a plain file (0444, mtime 1) with these contents as the new entry `name`, and tells its NAR's hash and size.
/// After a failure (TREE_SYSTEM_CALL) no such entry is left, unless it was there before (EEXIST).
Result<RestoredTree> WriteFileEntry(int parent_fd, const char* name, std::span<const uint8_t> contents);

}  // namespace cloister
