#include "core/sha1.h"

#include "core/block-buffer.h"

namespace cloister {
namespace {

void CompressSha1(uint32_t* state, const uint8_t* data, size_t blocks) {
  for (; blocks > 0; --blocks, data += 64) {
    uint32_t w[80];
    for (int t = 0; t < 16; ++t) w[t] = LoadBigEndian<uint32_t>(data + 4 * t);
    for (int t = 16; t < 80; ++t) w[t] = RotateRight(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 31);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    auto rounds = [&](int from, auto function, uint32_t constant) {
#pragma GCC unroll 5  // so that the five words change names instead of places
      for (int t = from; t < from + 20; ++t) {
        const uint32_t next = RotateRight(a, 27) + function() + constant + e + w[t];
        e = d, d = c, c = RotateRight(b, 2), b = a, a = next;
      }
    };
    rounds(0, [&] { return (b & c) | (~b & d); }, 0x5a827999);
    rounds(20, [&] { return b ^ c ^ d; }, 0x6ed9eba1);
    rounds(40, [&] { return (b & c) | (b & d) | (c & d); }, 0x8f1bbcdc);
    rounds(60, [&] { return b ^ c ^ d; }, 0xca62c1d6);
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
  }
}

}  // namespace

Sha1::Sha1() noexcept { Reset(); }

void Sha1::Reset() noexcept {
  constexpr uint32_t kInitial[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::memcpy(state_, kInitial, sizeof state_);
  size_ = 0;
}

void Sha1::Update(const void* data, size_t size) noexcept {
  AbsorbBlocks(block_, size_, data, size, [&](const uint8_t* blocks, size_t n) { CompressSha1(state_, blocks, n); });
}

std::array<uint8_t, 20> Sha1::Finish() noexcept {
  PadBlocks<64, 8, true>(block_, size_, [&](const uint8_t* blocks, size_t n) { CompressSha1(state_, blocks, n); });
  std::array<uint8_t, 20> digest;
  for (int i = 0; i < 5; ++i) StoreBigEndian(digest.data() + 4 * i, state_[i]);
  Reset();
  return digest;
}

}  // namespace cloister
