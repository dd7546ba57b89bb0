// Reads an archive from a descriptor, event by event: strictly one form for each tree, memory bounded by one buffer.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/scratch-buffer.h"

namespace cloister {

/// Sees all bytes of a stream in order.
class ByteObserver {
 public:
  virtual ~ByteObserver() = default;
  virtual void Saw(const uint8_t* data, size_t size) = 0;
};

struct NarEvent {
  enum class Kind { kFile, kSymlink, kDirectory, kEndOfDirectory, kDone };

  Kind kind;
  bool executable = false;       // of a file
  uint64_t size = 0;             // of a file; its contents come next
  std::string_view target = {};  // of a symlink; valid until the next call
};

/// Holds the archive to the same rules, with the same codes, offsets and words as derivations/nar/decoder.ts (a test
/// compares them): NAR_TRUNCATED, NAR_TRAILING_BYTES, NAR_TOKEN_UNEXPECTED, NAR_PADDING_NONZERO, NAR_NAME_INVALID,
/// NAR_NAME_ORDER, NAR_TARGET_INVALID, NAR_TOO_DEEP, NAR_LENGTH_TOO_BIG. Also TREE_SYSTEM_CALL, when reading fails.
class NarReader {
 public:
  /// Reads `fd` to its end; `observer` sees each byte once, before it is looked at here.
  NarReader(int fd, ByteObserver& observer) : fd_(fd), observer_(observer) {}

  /// The next event; kDone only when the archive is complete and nothing follows it.
  Result<NarEvent> Next();

  /// After kFile: the next piece of its contents; empty when all were given. To be called until then.
  Result<std::span<const uint8_t>> Contents();

  /// The name of the entry that the last file, symlink or directory event is about; "" at the top.
  const std::string& name() const { return name_; }
  /// Bytes of the archive that were used.
  uint64_t offset() const { return start_ + position_; }

 private:
  enum class State { kStart, kDirectoryBegun, kNodeEnded, kInFile };

  Result<NarEvent> ReadNodeStart();
  Result<void> ReadEntryStart();
  Result<void> ExpectEnd();
  Result<void> ExpectWord(std::string_view word, const char* what);
  Result<std::string_view> ExpectOneOf(std::initializer_list<std::string_view> words, const char* what);
  Result<std::string_view> ReadString(size_t limit, const char* what);
  Result<void> ReadPadding(uint64_t length, const char* what);
  Result<void> Need(size_t size, const char* what);
  void Compact();
  Result<size_t> ReadMore();

  int fd_;
  ByteObserver& observer_;
  ScratchBuffer buffer_;
  uint64_t start_ = 0;  // the archive's offset of the buffer's first byte
  size_t position_ = 0;
  size_t filled_ = 0;
  State state_ = State::kStart;
  uint64_t token_offset_ = 0;    // of the last string: where its length stands
  uint64_t contents_left_ = 0;
  uint64_t contents_size_ = 0;
  std::string name_;
  std::string target_;
  std::vector<std::string> last_names_;  // of each open directory, outermost first
};

}  // namespace cloister
