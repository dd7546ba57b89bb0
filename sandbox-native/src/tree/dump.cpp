#include "tree/dump.h"

#include <cstring>

#include "core/scratch-buffer.h"
#include "tree/entry.h"
#include "tree/nar-words.h"

namespace cloister {

Result<size_t> NarSource::Fill(uint8_t* buffer, size_t size) {
  size_t filled = 0;
  while (filled < size) {
    if (const size_t waiting = pending_.size() - pending_position_; waiting > 0) {
      const size_t part = waiting < size - filled ? waiting : size - filled;
      std::memcpy(buffer + filled, pending_.data() + pending_position_, part);
      filled += part;
      pending_position_ += part;
      continue;
    }
    pending_.clear();
    pending_position_ = 0;
    if (in_file_ && file_left_ > 0) {
      auto got = ReadFile(buffer + filled, size - filled);
      if (!got) return got.failure();
      filled += *got;
    } else if (in_file_) {
      if (auto ended = EndFile(); !ended) return ended.failure();
    } else if (is_done_) {
      break;
    } else if (auto advanced = Advance(); !advanced) {
      return advanced.failure();
    }
  }
  return filled;
}

/// Puts the words up to the next contents into `pending_`.
Result<void> NarSource::Advance() {
  const bool is_first = walk_.depth() == 0;
  auto event = walk_.Next();
  if (!event) return event.failure();
  if (*event == TreeWalk::Event::kDone) {
    is_done_ = true;
    return {};
  }
  if (*event == TreeWalk::Event::kEndOfDirectory) {
    AppendString(pending_, ")");
    if (walk_.depth() > 0) AppendString(pending_, ")");  // of the entry
    return {};
  }
  if (is_first) {
    AppendString(pending_, kNarMagic);
  } else {
    AppendStrings(pending_, {"entry", "(", "name", walk_.name(), "node"});
  }
  AppendStrings(pending_, {"(", "type"});
  switch (*event) {
    case TreeWalk::Event::kFile:
      AppendString(pending_, "regular");
      if ((walk_.status().st_mode & S_IXUSR) != 0) AppendStrings(pending_, {"executable", ""});
      AppendString(pending_, "contents");
      file_left_ = static_cast<uint64_t>(walk_.status().st_size);
      AppendU64(pending_, file_left_);
      in_file_ = true;
      at_end_of_file_ = false;
      break;
    case TreeWalk::Event::kSymlink:
      AppendStrings(pending_, {"symlink", "target", walk_.target(), ")"});
      if (walk_.depth() > 0) AppendString(pending_, ")");
      break;
    default: AppendString(pending_, "directory"); break;
  }
  return {};
}

Result<size_t> NarSource::ReadFile(uint8_t* buffer, size_t size) {
  const ssize_t got = ReadSome(walk_.file_fd(), buffer, size);
  if (got < 0) return CallFailed("read", walk_.path());
  // Where the buffer has room for more than the file should have, a longer file shows itself at once.
  if (got == 0 || static_cast<uint64_t>(got) > file_left_) {
    return Failure{"TREE_CHANGED", "read", 0, std::string(walk_.path()), 0};
  }
  file_left_ -= static_cast<uint64_t>(got);
  at_end_of_file_ = static_cast<size_t>(got) < size;
  return static_cast<size_t>(got);
}

Result<void> NarSource::EndFile() {
  const auto size = walk_.status().st_size;
  if (!at_end_of_file_) {
    struct stat now;
    if (fstat(walk_.file_fd(), &now) != 0) return CallFailed("stat", walk_.path());
    if (now.st_size != size) return Failure{"TREE_CHANGED", "read", 0, std::string(walk_.path()), 0};
  }
  in_file_ = false;
  pending_.append(PaddingOf(static_cast<uint64_t>(size)), '\0');
  AppendString(pending_, ")");
  if (walk_.depth() > 0) AppendString(pending_, ")");
  return {};
}

Result<void> DumpTree(int parent_fd, const char* name, Sink& sink, WalkPolicy* policy) {
  ScratchBuffer buffer;
  NarSource source(parent_fd, name, policy);
  for (;;) {
    auto size = source.Fill(buffer.data(), buffer.size());
    if (!size) return size.failure();
    if (*size > 0 && !sink.Write(buffer.data(), *size)) return Failure{"TREE_CANCELLED", "dump", 0, {}, 0};
    if (*size < buffer.size()) return {};
  }
}

Result<HashedTree> HashTree(int parent_fd, const char* name) {
  class HashSink : public Sink {
   public:
    bool Write(const uint8_t* data, size_t size) override {
      hash.Update(data, size);
      total += size;
      return true;
    }
    Sha256 hash;
    uint64_t total = 0;
  };
  HashSink sink;
  if (auto dumped = DumpTree(parent_fd, name, sink); !dumped) return dumped.failure();
  return HashedTree{sink.hash.Finish(), sink.total};
}

}  // namespace cloister
