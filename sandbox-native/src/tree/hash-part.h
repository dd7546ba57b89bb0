// What the functions on trees share: hash parts of store paths, and which hashes they are asked for.
#pragma once

#include <array>
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

/// A hash besides the NAR's SHA-256: `flat` is of the contents of the one regular file that the tree must be then (and
/// not executable), else it is of the NAR.
struct ExtraHash {
  bool flat = false;
  HashAlgorithm algorithm = HashAlgorithm::kSha256;
};

}  // namespace cloister
