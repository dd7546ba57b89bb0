#include "tree/list.h"

#include <cstdint>

#include "tree/nar-words.h"
#include "tree/tree-walk.h"

namespace cloister {
namespace {

void AppendU32(std::string& out, size_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

void AppendText(std::string& out, const std::string& text) {
  AppendU32(out, text.size());
  out.append(text);
}

/// Bytes of an archive's string of this length.
constexpr uint64_t SizeOf(uint64_t length) { return 8 + length + PaddingOf(length); }

uint64_t SizeOf(std::string_view text) { return SizeOf(uint64_t{text.size()}); }

template <class... Texts>
uint64_t SizesOf(Texts... texts) {
  return (SizeOf(std::string_view(texts)) + ...);
}

}  // namespace

Result<std::string> ListTree(int parent_fd, const char* name) {
  std::string packed;
  TreeWalk walk(parent_fd, name, nullptr);
  for (uint64_t offset = 0;;) {
    const bool is_top = offset == 0;
    auto event = walk.Next();
    if (!event) return event.failure();
    if (*event == TreeWalk::Event::kDone) return packed;
    if (*event == TreeWalk::Event::kEndOfDirectory) {
      packed.push_back('e');
      offset += SizesOf(")", ")");
      continue;
    }
    offset += is_top ? SizesOf(kNarMagic) : SizesOf("entry", "(", "name", walk.name(), "node");
    offset += SizesOf("(", "type");
    switch (*event) {
      case TreeWalk::Event::kFile: {
        const bool executable = (walk.status().st_mode & S_IXUSR) != 0;
        const auto size = static_cast<uint64_t>(walk.status().st_size);
        offset += SizesOf("regular", "contents") + (executable ? SizesOf("executable", "") : 0) + 8;
        packed.push_back(executable ? 'x' : 'f');
        AppendText(packed, walk.name());
        AppendU64(packed, size);
        AppendU64(packed, offset);
        offset += size + PaddingOf(size) + SizesOf(")", ")");
        break;
      }
      case TreeWalk::Event::kSymlink:
        packed.push_back('l');
        AppendText(packed, walk.name());
        AppendText(packed, walk.target());
        offset += SizesOf("symlink", "target", walk.target(), ")", ")");
        break;
      default:
        packed.push_back('d');
        AppendText(packed, walk.name());
        offset += SizesOf("directory");
        break;
    }
  }
}

}  // namespace cloister
