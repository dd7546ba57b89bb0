// The words of the NAR grammar, as they stand in an archive. The grammar is in derivations/nar/grammar.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace cloister {

inline constexpr std::string_view kNarMagic = "nix-archive-1";
inline constexpr size_t kMaxNameBytes = 255;
inline constexpr size_t kMaxTargetBytes = 4095;
inline constexpr uint64_t kMaxFileBytes = UINT64_MAX >> 1;

/// Zero bytes that follow a string of this length.
constexpr size_t PaddingOf(uint64_t length) { return static_cast<size_t>(-length & 7); }

inline void AppendU64(std::string& out, uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, sizeof bytes);
}

inline void AppendString(std::string& out, std::string_view text) {
  AppendU64(out, text.size());
  out.append(text);
  out.append(PaddingOf(text.size()), '\0');
}

inline void AppendStrings(std::string& out, std::initializer_list<std::string_view> texts) {
  for (const std::string_view text : texts) AppendString(out, text);
}

/// The archive of a plain (not executable) file is this, the contents, and the tail.
inline std::string FlatHead(uint64_t size) {
  std::string head;
  AppendStrings(head, {kNarMagic, "(", "type", "regular", "contents"});
  AppendU64(head, size);
  return head;
}

inline std::string FlatTail(uint64_t size) {
  std::string tail(PaddingOf(size), '\0');
  AppendString(tail, ")");
  return tail;
}

/// The size of FlatHead: where the contents begin in such an archive.
inline constexpr uint64_t kFlatHeadSize = 24 + 16 + 16 + 16 + 16 + 8;

}  // namespace cloister
