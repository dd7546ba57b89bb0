// Finds which of a set of hash parts occur in a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tree/hash-part.h"

namespace cloister {

class ReferenceScanner {
 public:
  /// `candidates` must stay as long as the scanner.
  explicit ReferenceScanner(std::span<const HashPart> candidates);

  void Feed(const uint8_t* data, size_t size);
  /// Those that occurred, in the order of the candidates.
  std::vector<HashPart> Found() const;

 private:
  void Scan(const uint8_t* data, size_t size);
  void Look(const uint8_t* digits);

  static constexpr size_t kOverlap = sizeof(HashPart) - 1;

  std::span<const HashPart> candidates_;
  std::vector<bool> found_;
  size_t missing_;
  std::vector<uint32_t> slots_;  // open addressing by the first digits; 0 is free, else index + 1
  int slot_shift_;
  uint8_t tail_[kOverlap];  // the end of what was fed
  size_t tail_size_ = 0;
};

}  // namespace cloister
