#include "tree/reference-scanner.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace cloister {
namespace {

/// The first 8 of 32 digits, 40 bits of a hash, spread over the upper bits.
uint64_t KeyOf(const void* digits) {
  uint64_t first;
  std::memcpy(&first, digits, sizeof first);
  return first * 0x9e3779b97f4a7c15;
}

}  // namespace

ReferenceScanner::ReferenceScanner(std::span<const HashPart> candidates)
    : candidates_(candidates), found_(candidates.size()), missing_(candidates.size()) {
  const size_t slots = std::bit_ceil(std::max<size_t>(candidates.size() * 4, 64));
  slots_.resize(slots);
  slot_shift_ = 64 - std::countr_zero(slots);
  for (size_t index = 0; index < candidates.size(); ++index) {
    size_t slot = KeyOf(candidates[index].data()) >> slot_shift_;
    while (slots_[slot] != 0) slot = (slot + 1) & (slots - 1);
    slots_[slot] = static_cast<uint32_t>(index + 1);
  }
}

void ReferenceScanner::Feed(const uint8_t* data, size_t size) {
  if (missing_ == 0) return;
  // What begins in an earlier piece ends within the first bytes of this one.
  uint8_t seam[2 * kOverlap];
  const size_t head = std::min(size, kOverlap);
  std::memcpy(seam, tail_, tail_size_);
  std::memcpy(seam + tail_size_, data, head);
  Scan(seam, tail_size_ + head);
  Scan(data, size);

  if (size >= kOverlap) {
    tail_size_ = kOverlap;
    std::memcpy(tail_, data + size - kOverlap, kOverlap);
  } else {
    const size_t together = tail_size_ + size;
    tail_size_ = std::min(together, kOverlap);
    std::memcpy(tail_, seam + together - tail_size_, tail_size_);
  }
}

std::vector<HashPart> ReferenceScanner::Found() const {
  std::vector<HashPart> result;
  for (size_t index = 0; index < candidates_.size(); ++index) {
    if (found_[index]) result.push_back(candidates_[index]);
  }
  return result;
}

void ReferenceScanner::Scan(const uint8_t* data, size_t size) {
  ForEachDigitRun(data, size, 0, [&](size_t position) {
    Look(data + position);
    return 1;
  });
}

void ReferenceScanner::Look(const uint8_t* digits) {
  size_t slot = KeyOf(digits) >> slot_shift_;
  for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
    const size_t index = slots_[slot] - 1;
    if (!found_[index] && std::memcmp(candidates_[index].data(), digits, sizeof(HashPart)) == 0) {
      found_[index] = true;
      --missing_;
    }
  }
}

}  // namespace cloister
