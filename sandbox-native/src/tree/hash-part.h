// What the functions on trees share: hash parts of store paths, and which hashes they are asked for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "core/digest.h"

namespace cloister {

/// The 32 nix-base-32 digits that a store path begins with.
using HashPart = std::array<char, 32>;

/// Nothing when `text` does not have 32 characters; the alphabet is not checked.
inline std::optional<HashPart> MakeHashPart(std::string_view text) {
  HashPart part;
  if (text.size() != part.size()) return std::nullopt;
  std::memcpy(part.data(), text.data(), part.size());
  return part;
}

inline std::string_view ViewOf(const HashPart& part) { return {part.data(), part.size()}; }

inline constexpr std::array<bool, 256> kIsHashDigit = [] {
  std::array<bool, 256> digits{};
  for (const char digit : std::string_view("0123456789abcdfghijklmnpqrsvwxyz")) {
    digits[static_cast<unsigned char>(digit)] = true;
  }
  return digits;
}();

/// Calls `found(position)` for positions in `data`, ascending, at which 32 digits stand; it returns how far to go on from
/// there, 1 or more. The end of each window is looked at first, so most bytes of text and machine code are never touched.
template <class Found>
void ForEachDigitRun(const uint8_t* data, size_t size, size_t start, Found found) {
  constexpr size_t kLength = sizeof(HashPart);
  size_t known = 0;  // bytes from `start` on that are known to be digits
  while (start + kLength <= size) {
    size_t end = start + kLength;
    while (end > start + known && kIsHashDigit[data[end - 1]]) --end;
    const size_t seen = start + kLength;
    if (end > start + known) {  // the byte before `end` is no digit: no run holds it
      start = end;
    } else {
      start += found(start);
    }
    known = start < seen ? seen - start : 0;
  }
}

/// A hash besides the NAR's SHA-256: `flat` is of the contents of the one regular file that the tree must be then (and
/// not executable), else it is of the NAR.
struct ExtraHash {
  bool flat = false;
  HashAlgorithm algorithm = HashAlgorithm::kSha256;
};

}  // namespace cloister
