// The packets between the addon and the launcher: a fixed head, then a body of numbers, byte strings and lists.
// Numbers are little-endian; a byte string is a u32 length and its bytes, a list a u32 count and its items. A body over
// 32 KiB travels in a sealed memfd, the first descriptor of the packet.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace cloister {

inline constexpr uint32_t kMagic = 0x54534c43;  // "CLST"
inline constexpr size_t kInlineBody = 32 * 1024;
inline constexpr uint32_t kLongestBody = 256u << 20;
inline constexpr size_t kMostDescriptors = 8;  // of a packet, with the one of the body
inline constexpr uint16_t kBodyInMemory = 1;  // flag: the body is in the memfd

enum class MessageKind : uint16_t {
  kBuild = 1,
  kRestore = 2,
  kWriteText = 3,
  kMove = 4,
  kRewrite = 5,
  kRemove = 6,
  kCancel = 7,
  kDiscard = 8,
  kUsage = 9,  // answered with a list: u64 order of a running build, u64 CPU microseconds, u64 resident bytes
  kGiveUpBuildDirectory = 10,
  kHello = 100,
  kAnswer = 101,
  kFailure = 102,
  kLog = 103,
  kSpawned = 104,  // u32: the launcher's process id where the addon runs
};

struct MessageHead {
  uint32_t magic = kMagic;
  uint16_t kind = 0;
  uint16_t flags = 0;
  uint64_t order = 0;
  uint32_t body_length = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(MessageHead) == 24);

/// Reads a body. A read past its end gives zeros and empty strings and makes `ok` false: look once, after the last read.
class MessageReader {
 public:
  explicit MessageReader(std::string_view body) noexcept : rest_(body) {}

  uint8_t U8() noexcept { return Number<uint8_t>(); }
  uint32_t U32() noexcept { return Number<uint32_t>(); }
  uint64_t U64() noexcept { return Number<uint64_t>(); }
  std::string_view Bytes() noexcept {
    const uint32_t length = U32();
    if (length > rest_.size()) return Fail(), std::string_view{};
    const std::string_view bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return bytes;
  }
  std::string Text() { return std::string(Bytes()); }
  /// The count of a list, each of whose items takes at least `least_size` bytes.
  uint32_t Count(size_t least_size) noexcept {
    const uint32_t count = U32();
    if (count > rest_.size() / least_size) return Fail(), 0;
    return count;
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    const uint32_t count = Count(4);
    texts.reserve(count);
    for (uint32_t index = 0; index < count; ++index) texts.push_back(Text());
    return texts;
  }
  /// True when all was read and nothing is left.
  bool Finished() const noexcept { return ok_ && rest_.empty(); }

 private:
  template <class T>
  T Number() noexcept {
    T value{};
    if (rest_.size() < sizeof(T)) return Fail(), value;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  void Fail() noexcept {
    ok_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool ok_ = true;
};

/// Writes a body.
class MessageWriter {
 public:
  MessageWriter& U8(uint8_t value) { return Number(value); }
  MessageWriter& U32(uint32_t value) { return Number(value); }
  MessageWriter& U64(uint64_t value) { return Number(value); }
  MessageWriter& Bytes(std::string_view bytes) {
    U32(static_cast<uint32_t>(bytes.size()));
    body_.append(bytes);
    return *this;
  }
  MessageWriter& Texts(const std::vector<std::string>& texts) {
    U32(static_cast<uint32_t>(texts.size()));
    for (const std::string& text : texts) Bytes(text);
    return *this;
  }
  MessageWriter& Bytes(const void* data, size_t size) { return Bytes({static_cast<const char*>(data), size}); }

  const std::string& body() const noexcept { return body_; }

 private:
  template <class T>
  MessageWriter& Number(T value) {
    body_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }

  std::string body_;
};

}  // namespace cloister
