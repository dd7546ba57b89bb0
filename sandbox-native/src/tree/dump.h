// Tree → NAR: pulled, so that nothing runs ahead of its reader and any thread can go on where another stopped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/result.h"
#include "core/sha256.h"
#include "tree/tree-walk.h"

namespace cloister {

/// Where an archive goes.
class Sink {
 public:
  virtual ~Sink() = default;
  /// False ends the dump with TREE_CANCELLED.
  virtual bool Write(const uint8_t* data, size_t size) = 0;
};

/// The archive of the entry `name` of the directory `parent_fd` (held by the caller), in pieces. A symlink is archived
/// as a symlink, at the top too. Failures: TREE_SPECIAL_FILE, TREE_TOO_DEEP (past 64 levels), TREE_CHANGED (a file's
/// size was another when it was read), TREE_SYSTEM_CALL; each with the path below the top.
class NarSource {
 public:
  NarSource(int parent_fd, const char* name, WalkPolicy* policy = nullptr) : walk_(parent_fd, name, policy) {}

  /// Fills `buffer` as far as the archive reaches: less than `size` only at its end.
  Result<size_t> Fill(uint8_t* buffer, size_t size);

 private:
  Result<void> Advance();
  Result<size_t> ReadFile(uint8_t* buffer, size_t size);
  Result<void> EndFile();

  TreeWalk walk_;
  std::string pending_;  // words that come next
  size_t pending_position_ = 0;
  bool in_file_ = false;
  bool is_done_ = false;
  bool at_end_of_file_ = false;  // the last read found nothing after what it gave
  uint64_t file_left_ = 0;
};

/// Writes the whole archive into `sink`.
Result<void> DumpTree(int parent_fd, const char* name, Sink& sink, WalkPolicy* policy = nullptr);

struct HashedTree {
  Sha256Digest nar_hash{};
  uint64_t nar_size = 0;
};

Result<HashedTree> HashTree(int parent_fd, const char* name);

}  // namespace cloister
