#include "tree/nar-reader.h"

#include <cstdio>
#include <cstring>

#include "core/defences.h"
#include "tree/entry.h"
#include "tree/nar-words.h"

namespace cloister {
namespace {

uint64_t LoadU64(const uint8_t* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

bool IsZero(const uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

/// As JSON writes it; bytes that are not ASCII stay as they are.
std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    constexpr std::string_view kShort = "\b\t\n\f\r\"\\";
    constexpr std::string_view kShortNames = "btnfr\"\\";
    if (const size_t index = kShort.find(character); index != std::string_view::npos) {
      quoted += '\\';
      quoted += kShortNames[index];
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      quoted += escape;
    } else {
      quoted += character;
    }
  }
  return quoted + '"';
}

Failure Bad(const char* code, const char* step, uint64_t offset, std::string found = {}) {
  return Failure{code, step, 0, std::move(found), offset};
}

const char* NameFault(std::string_view name) {
  if (name.empty()) return "empty";
  if (name == "." || name == "..") return "dot";
  if (name.find('/') != std::string_view::npos) return "slash";
  if (name.find('\0') != std::string_view::npos) return "nul";
  return nullptr;
}

constexpr const char* kSize = "the size of a file";
constexpr const char* kContents = "the contents of a file";
constexpr const char* kName = "a file name";
constexpr const char* kTarget = "the target of a symbolic link";

}  // namespace

Result<NarEvent> NarReader::Next() {
  assert(state_ != State::kInFile);
  if (state_ == State::kStart) {
    if (auto read = ExpectWord(kNarMagic, "the word \"nix-archive-1\""); !read) return read.failure();
    return ReadNodeStart();
  }
  if (last_names_.empty()) {
    if (auto end = ExpectEnd(); !end) return end.failure();
    return NarEvent{NarEvent::Kind::kDone};
  }
  if (state_ == State::kNodeEnded) {  // of the entry
    if (auto read = ExpectWord(")", "the word \")\""); !read) return read.failure();
  }
  auto word = ExpectOneOf({"entry", ")"}, "one of the words \"entry\", \")\"");
  if (!word) return word.failure();
  if (*word == ")") {
    last_names_.pop_back();
    state_ = State::kNodeEnded;
    return NarEvent{NarEvent::Kind::kEndOfDirectory};
  }
  if (auto read = ReadEntryStart(); !read) return read.failure();
  return ReadNodeStart();
}

Result<NarEvent> NarReader::ReadNodeStart() {
  if (auto read = ExpectWord("(", "the word \"(\""); !read) return read.failure();
  if (last_names_.size() >= kMaxLevels) return Bad("NAR_TOO_DEEP", "", token_offset_);
  if (auto read = ExpectWord("type", "the word \"type\""); !read) return read.failure();
  auto type = ExpectOneOf({"regular", "symlink", "directory"}, "one of the words \"regular\", \"symlink\", \"directory\"");
  if (!type) return type.failure();

  if (*type == "directory") {
    last_names_.emplace_back();
    state_ = State::kDirectoryBegun;
    return NarEvent{NarEvent::Kind::kDirectory};
  }

  if (*type == "symlink") {
    if (auto read = ExpectWord("target", "the word \"target\""); !read) return read.failure();
    auto target = ReadString(kMaxTargetBytes, kTarget);
    if (!target) return target.failure();
    const char* fault = target->empty()                                     ? "empty"
                        : target->find('\0') != std::string_view::npos ? "nul"
                                                                            : nullptr;
    if (fault != nullptr) return Bad("NAR_TARGET_INVALID", fault, token_offset_);
    target_.assign(*target);
    if (auto read = ExpectWord(")", "the word \")\""); !read) return read.failure();
    state_ = State::kNodeEnded;
    return NarEvent{NarEvent::Kind::kSymlink, false, 0, target_};
  }

  auto word = ExpectOneOf({"executable", "contents"}, "one of the words \"executable\", \"contents\"");
  if (!word) return word.failure();
  const bool executable = *word == "executable";
  if (executable) {
    if (auto read = ExpectWord("", "the word \"\""); !read) return read.failure();
    if (auto read = ExpectWord("contents", "the word \"contents\""); !read) return read.failure();
  }
  if (auto need = Need(8, kSize); !need) return need.failure();
  const uint64_t size = LoadU64(buffer_.data() + position_);
  if (size > kMaxFileBytes) return Bad("NAR_LENGTH_TOO_BIG", "", offset(), std::to_string(size));
  position_ += 8;
  contents_left_ = contents_size_ = size;
  state_ = State::kInFile;
  return NarEvent{NarEvent::Kind::kFile, executable, size};
}

Result<void> NarReader::ReadEntryStart() {
  if (auto read = ExpectWord("(", "the word \"(\""); !read) return read;
  if (auto read = ExpectWord("name", "the word \"name\""); !read) return read;
  auto name = ReadString(kMaxNameBytes, kName);
  if (!name) return name.failure();
  const char* fault = NameFault(*name);
  if (fault != nullptr && HasDefence(Defence::kArchiveNamesChecked)) return Bad("NAR_NAME_INVALID", fault, token_offset_);
  std::string& last = last_names_.back();
  const int order = last.compare(*name);
  if (order >= 0) return Bad("NAR_NAME_ORDER", order == 0 ? "duplicate" : "unsorted", token_offset_, std::string(*name));
  last.assign(*name);
  name_.assign(*name);
  return ExpectWord("node", "the word \"node\"");
}

Result<std::span<const uint8_t>> NarReader::Contents() {
  assert(state_ == State::kInFile);
  if (contents_left_ == 0) {
    if (auto padding = ReadPadding(contents_size_, kContents); !padding) return padding.failure();
    if (auto read = ExpectWord(")", "the word \")\""); !read) return read.failure();
    state_ = State::kNodeEnded;
    return std::span<const uint8_t>();
  }
  if (auto need = Need(1, kContents); !need) return need.failure();
  const size_t there = filled_ - position_;
  const size_t size = contents_left_ < there ? static_cast<size_t>(contents_left_) : there;
  const std::span<const uint8_t> piece(buffer_.data() + position_, size);
  position_ += size;
  contents_left_ -= size;
  return piece;
}

Result<void> NarReader::ExpectEnd() {
  if (position_ == filled_) {
    Compact();
    auto more = ReadMore();
    if (!more) return more.failure();
    if (*more == 0) return {};
  }
  return Bad("NAR_TRAILING_BYTES", "", offset());
}

Result<void> NarReader::ExpectWord(std::string_view word, const char* what) {
  auto read = ExpectOneOf({word}, what);
  if (!read) return read.failure();
  return {};
}

Result<std::string_view> NarReader::ExpectOneOf(std::initializer_list<std::string_view> words, const char* what) {
  auto found = ReadString(kNarMagic.size(), what);
  if (!found) return found.failure();
  for (const std::string_view word : words) {
    if (*found == word) return word;
  }
  return Bad("NAR_TOKEN_UNEXPECTED", what, token_offset_, Quote(*found));
}

/// The next string, valid until the next call; nothing is read for a length beyond the limit.
Result<std::string_view> NarReader::ReadString(size_t limit, const char* what) {
  if (auto need = Need(8, what); !need) return need.failure();
  token_offset_ = offset();
  const uint64_t length = LoadU64(buffer_.data() + position_);
  if (length > limit) {
    if (what == kName) return Bad("NAR_NAME_INVALID", "too-long", token_offset_);
    if (what == kTarget) return Bad("NAR_TARGET_INVALID", "too-long", token_offset_);
    return Bad("NAR_TOKEN_UNEXPECTED", what, token_offset_, "a string of " + std::to_string(length) + " bytes");
  }
  const size_t size = static_cast<size_t>(length);
  if (auto need = Need(8 + size + PaddingOf(size), what); !need) return need.failure();
  const uint8_t* bytes = buffer_.data() + position_ + 8;
  if (!IsZero(bytes + size, PaddingOf(size))) return Bad("NAR_PADDING_NONZERO", "", token_offset_ + 8 + size);
  position_ += 8 + size + PaddingOf(size);
  return std::string_view(reinterpret_cast<const char*>(bytes), size);
}

Result<void> NarReader::ReadPadding(uint64_t length, const char* what) {
  const size_t size = PaddingOf(length);
  if (auto need = Need(size, what); !need) return need;
  if (!IsZero(buffer_.data() + position_, size)) return Bad("NAR_PADDING_NONZERO", "", offset());
  position_ += size;
  return {};
}

/// Makes the next `size` bytes (no more than a small part of the buffer) lie together in the buffer.
Result<void> NarReader::Need(size_t size, const char* what) {
  if (filled_ - position_ >= size) return {};
  if (position_ == filled_ || buffer_.size() - position_ < size) Compact();
  while (filled_ - position_ < size) {
    auto more = ReadMore();
    if (!more) return more.failure();
    if (*more == 0) return Bad("NAR_TRUNCATED", what, start_ + filled_);
  }
  return {};
}

void NarReader::Compact() {
  std::memmove(buffer_.data(), buffer_.data() + position_, filled_ - position_);
  start_ += position_;
  filled_ -= position_;
  position_ = 0;
}

/// Appends to the buffer, which has room; 0 at the end of the stream.
Result<size_t> NarReader::ReadMore() {
  assert(filled_ < buffer_.size());
  const ssize_t got = ReadSome(fd_, buffer_.data() + filled_, buffer_.size() - filled_);
  if (got < 0) return CallFailed("read the archive", "");
  observer_.Saw(buffer_.data() + filled_, static_cast<size_t>(got));
  filled_ += static_cast<size_t>(got);
  return static_cast<size_t>(got);
}

}  // namespace cloister
