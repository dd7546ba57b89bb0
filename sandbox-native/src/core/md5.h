// MD5 (RFC 1321): fixed outputs of old may be named by it; nothing of ours trusts it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace cloister {

class Md5 {
 public:
  Md5() noexcept;
  void Update(const void* data, size_t size) noexcept;
  /// The digest of all that was given; afterwards the object is as new.
  std::array<uint8_t, 16> Finish() noexcept;

 private:
  void Reset() noexcept;

  uint32_t state_[4];
  uint64_t size_;
  uint8_t block_[64];
};

}  // namespace cloister
