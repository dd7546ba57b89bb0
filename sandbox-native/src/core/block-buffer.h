// What the hash algorithms share: cutting input into blocks, and the padding at its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cloister {

/// Gives whole blocks to `compress(data, count)`, as many at once as lie together, and keeps the rest in `block`.
/// `total` counts the bytes since the start.
template <size_t kBlock, class Compress>
inline void AbsorbBlocks(uint8_t (&block)[kBlock], uint64_t& total, const void* input, size_t size, Compress compress) {
  if (size == 0) return;
  const uint8_t* data = static_cast<const uint8_t*>(input);
  const size_t held = total % kBlock;
  total += size;
  if (held != 0) {
    const size_t part = size < kBlock - held ? size : kBlock - held;
    std::memcpy(block + held, data, part);
    data += part;
    size -= part;
    if (held + part < kBlock) return;
    compress(block, 1);
  }
  if (size >= kBlock) compress(data, size / kBlock);
  std::memcpy(block, data + size / kBlock * kBlock, size % kBlock);
}

/// Appends the bit 1, zeros, and the length in bits as `kLengthSize` bytes, big or little endian.
template <size_t kBlock, size_t kLengthSize, bool kBigEndian, class Compress>
inline void PadBlocks(uint8_t (&block)[kBlock], uint64_t total, Compress compress) {
  size_t held = total % kBlock;
  block[held++] = 0x80;
  if (held > kBlock - kLengthSize) {
    std::memset(block + held, 0, kBlock - held);
    compress(block, 1);
    held = 0;
  }
  std::memset(block + held, 0, kBlock - held);
  const uint64_t bits = total << 3;
  const uint64_t bits_above = total >> 61;
  for (size_t i = 0; i < kLengthSize; ++i) {
    const uint64_t word = i < 8 ? bits : bits_above;
    const uint8_t byte = static_cast<uint8_t>(word >> (i % 8 * 8));
    block[kBigEndian ? kBlock - 1 - i : kBlock - kLengthSize + i] = byte;
  }
  compress(block, 1);
}

template <class Word>
constexpr Word RotateRight(Word value, int count) {
  return static_cast<Word>(value >> count | value << (sizeof(Word) * 8 - count));
}

template <class Word>
inline Word LoadBigEndian(const uint8_t* bytes) {
  Word value = 0;
  for (size_t i = 0; i < sizeof(Word); ++i) value = static_cast<Word>(value << 8 | bytes[i]);
  return value;
}

template <class Word>
inline void StoreBigEndian(uint8_t* bytes, Word value) {
  for (size_t i = 0; i < sizeof(Word); ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * (sizeof(Word) - 1 - i)));
}

}  // namespace cloister
