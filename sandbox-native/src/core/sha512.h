// SHA-512 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace cloister {

class Sha512 {
 public:
  Sha512() noexcept;
  void Update(const void* data, size_t size) noexcept;
  /// The digest of all that was given; afterwards the object is as new.
  std::array<uint8_t, 64> Finish() noexcept;

 private:
  void Reset() noexcept;

  uint64_t state_[8];
  uint64_t size_;
  uint8_t block_[128];
};

}  // namespace cloister
