// The four hash algorithms of store objects, chosen at run time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "core/md5.h"
#include "core/sha1.h"
#include "core/sha256.h"
#include "core/sha512.h"

namespace cloister {

enum class HashAlgorithm : uint8_t { kMd5 = 0, kSha1 = 1, kSha256 = 2, kSha512 = 3 };

/// "md5", "sha1", "sha256" or "sha512".
std::optional<HashAlgorithm> ParseHashAlgorithm(std::string_view name) noexcept;

/// The bytes of a digest of any of the algorithms.
struct DigestBytes {
  std::array<uint8_t, 64> bytes{};
  uint8_t size = 0;

  const uint8_t* data() const noexcept { return bytes.data(); }
};

/// A hash in the making.
class Digest {
 public:
  explicit Digest(HashAlgorithm algorithm) noexcept;
  void Update(const void* data, size_t size) noexcept;
  DigestBytes Finish() noexcept;

 private:
  std::variant<Md5, Sha1, Sha256, Sha512> state_;
};

}  // namespace cloister
