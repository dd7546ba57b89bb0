#include "tree/restore.h"

#include <string>

#include "tree/nar-reader.h"
#include "tree/nar-words.h"
#include "tree/tree-builder.h"

namespace cloister {
namespace {

/// Hashes the archive as it is read, while the bytes are in the cache.
class ArchiveHasher : public ByteObserver {
 public:
  explicit ArchiveHasher(const std::optional<ExtraHash>& extra) {
    if (extra && !extra->flat) extra_.emplace(extra->algorithm);
  }
  void Saw(const uint8_t* data, size_t size) override {
    nar_.Update(data, size);
    if (extra_) extra_->Update(data, size);
    size_ += size;
  }

  Sha256 nar_;
  std::optional<Digest> extra_;
  uint64_t size_ = 0;
};

bool IsCancelled(const RestoreOptions& options) {
  return options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed);
}

Result<void> CopyFile(NarReader& reader, TreeBuilder& builder, const NarEvent& file, Digest* flat,
                      const RestoreOptions& options) {
  if (auto begun = builder.BeginFile(reader.name(), file.executable); !begun) return begun;
  for (;;) {
    if (IsCancelled(options)) return Failure{"TREE_CANCELLED", "restore", 0, {}, 0};
    auto piece = reader.Contents();
    if (!piece) return piece.failure();
    if (piece->empty()) return builder.EndFile();
    if (flat != nullptr) flat->Update(piece->data(), piece->size());
    if (auto written = builder.Write(*piece); !written) return written;
  }
}

}  // namespace

Result<RestoredTree> RestoreTree(int source_fd, int parent_fd, const char* name, const RestoreOptions& options) {
  ArchiveHasher hasher(options.extra_hash);
  NarReader reader(source_fd, hasher);
  TreeBuilder builder(parent_fd, name);
  std::optional<Digest> flat;
  if (options.extra_hash && options.extra_hash->flat) flat.emplace(options.extra_hash->algorithm);

  for (bool is_top = true;; is_top = false) {
    auto event = reader.Next();
    if (!event) return event.failure();
    const bool plain_file = event->kind == NarEvent::Kind::kFile && !event->executable;
    if (is_top && flat && !plain_file) return Failure{"TREE_NOT_FLAT", "restore", 0, {}, 0};
    Result<void> done;
    switch (event->kind) {
      case NarEvent::Kind::kFile: done = CopyFile(reader, builder, *event, flat ? &*flat : nullptr, options); break;
      case NarEvent::Kind::kSymlink: done = builder.AddSymlink(reader.name(), std::string(event->target)); break;
      case NarEvent::Kind::kDirectory: done = builder.BeginDirectory(reader.name()); break;
      case NarEvent::Kind::kEndOfDirectory: done = builder.EndDirectory(); break;
      case NarEvent::Kind::kDone: {
        builder.Keep();
        RestoredTree tree{hasher.nar_.Finish(), hasher.size_, std::nullopt};
        if (flat) tree.extra_hash = flat->Finish();
        if (hasher.extra_) tree.extra_hash = hasher.extra_->Finish();
        return tree;
      }
    }
    if (!done) return done.failure();
    if (IsCancelled(options)) return Failure{"TREE_CANCELLED", "restore", 0, {}, 0};
  }
}

Result<RestoredTree> WriteFileEntry(int parent_fd, const char* name, std::span<const uint8_t> contents) {
  TreeBuilder builder(parent_fd, name);
  if (auto begun = builder.BeginFile("", false); !begun) return begun.failure();
  if (auto written = builder.Write(contents); !written) return written.failure();
  if (auto ended = builder.EndFile(); !ended) return ended.failure();
  builder.Keep();

  const std::string head = FlatHead(contents.size());
  const std::string tail = FlatTail(contents.size());
  Sha256 hash;
  hash.Update(head.data(), head.size());
  hash.Update(contents.data(), contents.size());
  hash.Update(tail.data(), tail.size());
  return RestoredTree{hash.Finish(), head.size() + contents.size() + tail.size(), std::nullopt};
}

}  // namespace cloister
