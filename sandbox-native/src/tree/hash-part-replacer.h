// Replaces hash parts in a stream, wherever its pieces end, and computes the hash modulo self.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/digest.h"
#include "tree/hash-part.h"

namespace cloister {

using HashPartPair = std::pair<HashPart, HashPart>;  // from, to

class HashPartReplacer {
 public:
  /// Replacements never overlap: after one, the search goes on behind it.
  explicit HashPartReplacer(std::vector<HashPartPair> pairs) : pairs_(std::move(pairs)) {}

  /// What is settled of the stream so far and was not given out yet; valid until the next call.
  std::span<const uint8_t> Feed(const uint8_t* data, size_t size);
  /// The rest; the next Feed begins a new stream.
  std::span<const uint8_t> Finish();

  /// Where in the stream something was replaced, since the last Finish; only if asked for.
  const std::vector<uint64_t>& positions() const { return positions_; }
  void KeepPositions() { keep_positions_ = true; }

 private:
  std::vector<HashPartPair> pairs_;
  std::vector<uint8_t> buffer_;
  std::vector<uint8_t> finished_;
  size_t given_ = 0;     // bytes at the start of the buffer that were given out
  size_t searched_ = 0;  // where the search goes on
  uint64_t start_ = 0;   // the stream's position of the buffer's first byte
  bool keep_positions_ = false;
  std::vector<uint64_t> positions_;
};

/// The whole of `text` with replacements; for names and symlink targets.
std::string ReplaceHashParts(std::string_view text, std::span<const HashPartPair> pairs);

/// The hash of an archive that holds its own hash part: each occurrence counts as 32 NUL bytes, and its position follows
/// at the end as `|POSITION`, so that no two archives have the same hash.
/// Source: Nix libstore/references.cc, HashModuloSink. Nix 2.17 to 2.34 left the positions out by mistake (issue 15837).
class ModuloHasher {
 public:
  ModuloHasher(HashAlgorithm algorithm, const HashPart& self);

  void Feed(const uint8_t* data, size_t size);
  DigestBytes Finish();

 private:
  Digest digest_;
  HashPartReplacer replacer_;
};

}  // namespace cloister
