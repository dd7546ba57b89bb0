#include "tree/rewrite.h"

#include <string>

#include "core/scratch-buffer.h"
#include "tree/entry.h"
#include "tree/tree-builder.h"
#include "tree/tree-walk.h"

namespace cloister {
namespace {

Result<void> RewriteFile(TreeWalk& walk, TreeBuilder& builder, const std::string& name, HashPartReplacer& replacer,
                         ScratchBuffer& buffer) {
  if (auto begun = builder.BeginFile(name, (walk.status().st_mode & S_IXUSR) != 0); !begun) return begun;
  for (;;) {
    const ssize_t size = ReadSome(walk.file_fd(), buffer.data(), buffer.size());
    if (size < 0) return CallFailed("read", walk.path());
    const auto piece = size > 0 ? replacer.Feed(buffer.data(), static_cast<size_t>(size)) : replacer.Finish();
    if (auto written = builder.Write(piece); !written) return written;
    if (size == 0) return builder.EndFile();
  }
}

Result<void> CopyRewritten(TreeWalk& walk, TreeBuilder& builder, std::span<const HashPartPair> pairs,
                           const SealOptions& seal) {
  ScratchBuffer buffer;
  HashPartReplacer replacer({pairs.begin(), pairs.end()});
  for (;;) {
    if (seal.cancelled != nullptr && seal.cancelled->load(std::memory_order_relaxed)) {
      return Failure{"TREE_CANCELLED", "rewrite", 0, {}, 0};
    }
    auto event = walk.Next();
    if (!event) return event.failure();
    const std::string name = ReplaceHashParts(walk.name(), pairs);
    Result<void> done;
    switch (*event) {
      case TreeWalk::Event::kFile: done = RewriteFile(walk, builder, name, replacer, buffer); break;
      case TreeWalk::Event::kSymlink: done = builder.AddSymlink(name, ReplaceHashParts(walk.target(), pairs)); break;
      case TreeWalk::Event::kDirectory: done = builder.BeginDirectory(name); break;
      case TreeWalk::Event::kEndOfDirectory: done = builder.EndDirectory(); break;
      case TreeWalk::Event::kDone: return {};
    }
    if (done) continue;
    // Names differ below the top, so one that is taken was made equal by the replacing; the top may be taken by others.
    if (done.failure().error == EEXIST && !walk.name().empty()) done.failure().code = "OUTPUT_REWRITE_COLLISION";
    return done;
  }
}

}  // namespace

Result<SealedTree> RewriteTree(int parent_fd, const char* name, int to_parent_fd, const char* to_name,
                               std::span<const HashPartPair> pairs, const SealOptions& seal) {
  TreeWalk walk(parent_fd, name, nullptr);
  TreeBuilder builder(to_parent_fd, to_name);
  if (auto copied = CopyRewritten(walk, builder, pairs, seal); !copied) return copied.failure();
  // Read again, because new names may stand in another order; it is in the page cache.
  auto scanned = ScanTree(to_parent_fd, to_name, seal);
  if (scanned) builder.Keep();
  return scanned;
}

}  // namespace cloister
