// SHA-256 (FIPS 180-4) on the processor's SHA instructions where it has them, else in portable code.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace cloister {

using Sha256Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  Sha256() noexcept;
  void Update(const void* data, size_t size) noexcept;
  /// The digest of all that was given; afterwards the object is as new.
  Sha256Digest Finish() noexcept;

  /// Whether this processor's SHA instructions are in use; for tests and benchmarks.
  static bool Accelerated() noexcept;
  /// Makes all later objects use the portable code; for tests.
  static void ForcePortable(bool portable) noexcept;

 private:
  void Reset() noexcept;

  uint32_t state_[8];
  uint64_t size_;
  uint8_t block_[64];
};

}  // namespace cloister
