// Tree → NAR: pulled, so that nothing runs ahead of its reader and any thread can go on where another stopped.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/result.h"
#include "core/unique-fd.h"
#include "tree/hash-part.h"

namespace cloister {

/// Where an archive goes.
class Sink {
 public:
  virtual ~Sink() = default;
  /// False ends the dump with TREE_CANCELLED.
  virtual bool Write(const uint8_t* data, size_t size) = 0;
};

/// What a walk asks before it takes an entry, and tells when it leaves one. The base class only refuses special files.
class WalkPolicy {
 public:
  virtual ~WalkPolicy() = default;
  /// The entry about to be read; `status` by fstatat, not followed. May replace the entry and must update `status` then.
  virtual Result<void> Enter(int parent_fd, const char* name, std::string_view path, struct stat& status);
  /// A file, directory or symlink was read to its end; `fd` is -1 for a symlink.
  virtual Result<void> Leave(int parent_fd, const char* name, int fd, std::string_view path, const struct stat& status);
  virtual const char* CodeTooDeep() const { return "TREE_TOO_DEEP"; }
};

/// The archive of the entry `name` of the directory `parent_fd` (held by the caller), in pieces. A symlink is archived
/// as a symlink, at the top too. Failures: TREE_SPECIAL_FILE, TREE_TOO_DEEP (past 64 levels), TREE_CHANGED (a file's
/// size was another when it was read), TREE_SYSTEM_CALL; each with the path below the top.
class NarSource {
 public:
  NarSource(int parent_fd, const char* name, WalkPolicy* policy = nullptr);
  ~NarSource();
  NarSource(const NarSource&) = delete;
  NarSource& operator=(const NarSource&) = delete;

  /// Fills `buffer` as far as the archive reaches; less than `size` only at its end, then 0.
  Result<size_t> Fill(uint8_t* buffer, size_t size);

 private:
  class Walk;
  std::unique_ptr<Walk> walk_;
};

Result<void> DumpTree(int parent_fd, const char* name, Sink& sink);

struct HashedTree {
  Sha256Digest nar_hash{};
  uint64_t nar_size = 0;
};

Result<HashedTree> HashTree(int parent_fd, const char* name);

}  // namespace cloister
