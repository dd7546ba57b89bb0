#include "tree/seal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/defences.h"
#include "core/scratch-buffer.h"
#include "core/unique-fd.h"
#include "tree/dump.h"
#include "tree/entry.h"
#include "tree/hash-part-replacer.h"
#include "tree/nar-words.h"
#include "tree/reference-scanner.h"
#include "tree/tree-walk.h"

namespace cloister {
namespace {

Failure Refused(const char* code, std::string_view path) { return Failure{code, "seal", 0, std::string(path), 0}; }

/// Attributes that a security module or the file system keeps for itself; Nix leaves them too (ignored-acls).
bool IsKeptAttribute(const char* name) {
  return std::strcmp(name, "security.selinux") == 0 || std::strcmp(name, "system.nfs4_acl") == 0 ||
         std::strcmp(name, "security.csm") == 0;
}

/// Removes what may be removed: a file system without attributes, or one we may not touch, is no failure. True if there
/// were any; then the mode may be another.
bool RemoveAttributes(int fd, const struct stat& status) {
  if (!HasDefence(Defence::kAttributesRemoved)) return false;
  char names[64 * 1024];  // the kernel's limit for a list
  const ssize_t size = flistxattr(fd, names, sizeof names);
  if (size <= 0) return false;
  if ((status.st_mode & 0200) == 0) (void)fchmod(fd, (status.st_mode & 07777) | 0200);
  for (const char* name = names; name < names + size; name += std::strlen(name) + 1) {
    if (!IsKeptAttribute(name)) (void)fremovexattr(fd, name);
  }
  return true;
}

}  // namespace

/// Holds each entry to the rules when the walk comes to it, and makes it canonical when the walk leaves it.
class Sealer : public WalkPolicy {
 public:
  explicit Sealer(const SealOptions& options) : options_(options) {}

  const char* CodeSpecialFile() const override { return "OUTPUT_SPECIAL_FILE"; }
  const char* CodeTooDeep() const override { return "OUTPUT_TOO_DEEP"; }

  Result<bool> MakeReadable(const WalkPlace& place) override {
    struct stat status;
    if (fstatat(place.parent_fd, place.name, &status, AT_SYMLINK_NOFOLLOW) != 0) return CallFailed("stat", place.path);
    if (auto owner = CheckOwner(place, status); !owner) return owner.failure();
    const mode_t needed = S_ISDIR(status.st_mode) ? 0700 : 0400;
    if (!ChangeMode(place.parent_fd, place.name, status, (status.st_mode & 07777) | needed)) {
      return CallFailed("chmod", place.path);
    }
    return true;
  }

  Result<void> Enter(const WalkPlace& place, UniqueFd& fd, struct stat& status) override {
    if (auto owner = CheckOwner(place, status); !owner) return owner;
    if (HasDefence(Defence::kCanonicalModes) && place.path.empty() && !S_ISLNK(status.st_mode) &&
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
      return Refused("OUTPUT_TOP_WRITABLE", place.path);
    }
    if (S_ISDIR(status.st_mode) && (status.st_mode & 0700) != 0700) {
      status.st_mode |= 0700;
      if (fchmod(fd.get(), status.st_mode & 07777) != 0) return CallFailed("chmod", place.path);
    }
    if (S_ISREG(status.st_mode) && status.st_nlink > 1) return EnterLinked(place, fd, status);
    if (S_ISLNK(status.st_mode) && status.st_nlink > 1) return EnterLinkedSymlink(place, status);
    return {};
  }

  Result<void> Leave(const WalkPlace& place, int fd, const struct stat& status) override {
    if (fd < 0) return LeaveSymlink(place, status);
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && IsSealed(status)) return {};

    const bool executable = S_ISDIR(status.st_mode) || (status.st_mode & S_IXUSR) != 0;
    const mode_t canonical = executable ? kExecutableMode : kFileMode;
    const mode_t mode = HasDefence(Defence::kCanonicalModes) ? canonical : status.st_mode & 07777;
    bool changed = RemoveAttributes(fd, status);
    if (status.st_uid != options_.owner_uid || status.st_gid != options_.owner_gid) {
      if (fchown(fd, options_.owner_uid, options_.owner_gid) != 0) return CallFailed("chown", place.path);
      changed = true;  // perhaps: it takes setuid bits away
    }
    if ((changed || (status.st_mode & 07777) != mode) && fchmod(fd, mode) != 0) return CallFailed("chmod", place.path);
    // A directory may have been written to on the way.
    if ((S_ISDIR(status.st_mode) || !HasCanonicalTime(status)) && !SetCanonicalTime(fd)) {
      return CallFailed("set time", place.path);
    }
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) MarkSealed(status);
    return {};
  }

 private:
  using Inode = SealedInodes::Inode;

  static SealedInodes::Key KeyOf(const struct stat& status) { return {status.st_dev, status.st_ino}; }

  Inode* FindInode(const struct stat& status) const {
    if (options_.inodes == nullptr) return nullptr;
    const auto found = options_.inodes->inodes_.find(KeyOf(status));
    return found == options_.inodes->inodes_.end() ? nullptr : &found->second;
  }

  bool IsSealed(const struct stat& status) const {
    const Inode* inode = FindInode(status);
    return inode != nullptr && inode->sealed;
  }

  void MarkSealed(const struct stat& status) {
    if (Inode* inode = FindInode(status)) inode->sealed = true;
  }

  Result<void> CheckOwner(const WalkPlace& place, const struct stat& status) const {
    if (status.st_uid == options_.expected_uid || !HasDefence(Defence::kForeignOwnerRefused)) return {};
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && IsSealed(status)) return {};
    return Refused("OUTPUT_FOREIGN_OWNER", place.path);
  }

  /// A file with several links: when all lie in the outputs they stay one inode. Else whoever has the others could still
  /// change it, so it is copied afresh.
  Result<void> EnterLinked(const WalkPlace& place, UniqueFd& fd, struct stat& status) {
    if (!HasDefence(Defence::kLinkedFilesCopied)) return {};
    if (auto counted = CountLinks(); !counted) return counted;
    Inode* inode = FindInode(status);
    if (inode != nullptr && inode->links_inside >= status.st_nlink) return {};
    if (inode != nullptr && inode->links_inside > 0) --inode->links_inside;

    char copied[48];
    UniqueFd copy = OpenNew(place.parent_fd, copied, sizeof copied);
    if (!copy) return CallFailed("create file", place.path);
    auto done = FillCopy(fd.get(), copy.get(), place, status);
    if (done && renameat(place.parent_fd, copied, place.parent_fd, place.name) != 0) done = CallFailed("rename", place.path);
    if (!done) {
      (void)unlinkat(place.parent_fd, copied, 0);  // it is discarded with the output all the same
      return done;
    }
    fd = OpenEntry(place.parent_fd, place.name, O_RDONLY);
    if (!fd || fstat(fd.get(), &status) != 0) return CallFailed("open", place.path);
    return {};
  }

  UniqueFd OpenNew(int parent_fd, char* name, size_t size) {
    for (;;) {
      std::snprintf(name, size, ".copied-%lu", copies_++);
      UniqueFd fd(openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (fd || errno != EEXIST) return fd;
    }
  }

  Result<void> FillCopy(int from, int to, const WalkPlace& place, const struct stat& status) {
    alignas(64) uint8_t buffer[64 * 1024];
    for (;;) {
      const ssize_t size = ReadSome(from, buffer, sizeof buffer);
      if (size < 0) return CallFailed("read", place.path);
      if (size == 0) break;
      if (!WriteAll(to, buffer, static_cast<size_t>(size))) return CallFailed("write", place.path);
    }
    const bool executable = (status.st_mode & S_IXUSR) != 0;
    if (fchmod(to, executable ? kExecutableMode : kFileMode) != 0) return CallFailed("chmod", place.path);
    return {};
  }

  Result<void> EnterLinkedSymlink(const WalkPlace& place, struct stat& status) {
    if (IsSealed(status)) return {};
    if (auto counted = CountLinks(); !counted) return counted;
    Inode* inode = FindInode(status);
    if (inode != nullptr && inode->links_inside >= status.st_nlink) return {};
    if (inode != nullptr && inode->links_inside > 0) --inode->links_inside;

    char target[kMaxTargetBytes + 1];
    const ssize_t size = readlinkat(place.parent_fd, place.name, target, sizeof target - 1);
    if (size < 0) return CallFailed("readlink", place.path);
    target[size] = '\0';
    char copied[48];
    do {
      std::snprintf(copied, sizeof copied, ".copied-%lu", copies_++);
      errno = 0;
    } while (symlinkat(target, place.parent_fd, copied) != 0 && errno == EEXIST);
    if (errno != 0) return CallFailed("symlink", place.path);
    if (renameat(place.parent_fd, copied, place.parent_fd, place.name) != 0) return CallFailed("rename", place.path);
    if (fstatat(place.parent_fd, place.name, &status, AT_SYMLINK_NOFOLLOW) != 0) return CallFailed("stat", place.path);
    return {};
  }

  Result<void> LeaveSymlink(const WalkPlace& place, const struct stat& status) {
    if (status.st_nlink > 1 && IsSealed(status)) return {};
    if (status.st_uid != options_.owner_uid || status.st_gid != options_.owner_gid) {
      if (fchownat(place.parent_fd, place.name, options_.owner_uid, options_.owner_gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return CallFailed("chown", place.path);
      }
    }
    if (!HasCanonicalTime(status) && !SetCanonicalTimeOfLink(place.parent_fd, place.name)) {
      return CallFailed("set time", place.path);
    }
    if (status.st_nlink > 1) MarkSealed(status);
    return {};
  }

  /// Counts once, and only when there is an inode with several links: builds without hard links pay nothing.
  Result<void> CountLinks() {
    SealedInodes* inodes = options_.inodes;
    if (inodes == nullptr || inodes->counted_) return {};
    inodes->counted_ = true;
    for (const std::string& name : inodes->names_) {
      struct stat top;
      if (fstatat(inodes->parent_fd_, name.c_str(), &top, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (auto counted = CountLinksOf(name.c_str()); !counted) return counted;
    }
    return {};
  }

  Result<void> CountLinksOf(const char* name) {
    class Counter : public WalkPolicy {
     public:
      explicit Counter(Sealer& sealer) : sealer_(sealer) {}
      const char* CodeSpecialFile() const override { return "OUTPUT_SPECIAL_FILE"; }
      const char* CodeTooDeep() const override { return "OUTPUT_TOO_DEEP"; }
      Result<bool> MakeReadable(const WalkPlace& place) override { return sealer_.MakeReadable(place); }
      Result<void> Enter(const WalkPlace& place, UniqueFd& fd, struct stat& status) override {
        if (S_ISDIR(status.st_mode) && status.st_uid == sealer_.options_.expected_uid && (status.st_mode & 0500) != 0500) {
          if (fchmod(fd.get(), (status.st_mode & 07777) | 0700) != 0) return CallFailed("chmod", place.path);
        }
        if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
          ++sealer_.options_.inodes->inodes_[KeyOf(status)].links_inside;
        }
        return {};
      }

     private:
      Sealer& sealer_;
    };
    Counter counter(*this);
    TreeWalk walk(options_.inodes->parent_fd_, name, &counter);
    for (;;) {
      auto event = walk.Next();
      if (!event) return event.failure();
      if (*event == TreeWalk::Event::kDone) return {};
    }
  }

  const SealOptions& options_;
  unsigned long copies_ = 0;
};

namespace {

/// The part of a piece of the archive of a plain file that belongs to the file's contents.
std::span<const uint8_t> ContentsIn(const uint8_t* data, size_t size, uint64_t position, uint64_t file_size) {
  const uint64_t begin = std::clamp(kFlatHeadSize, position, position + size);
  const uint64_t end = std::clamp(kFlatHeadSize + file_size, position, position + size);
  return {data + (begin - position), static_cast<size_t>(end - begin)};
}

Result<SealedTree> ReadTree(int parent_fd, const char* name, const SealOptions& options, WalkPolicy* policy) {
  uint64_t file_size = 0;
  const bool flat = options.extra_hash && options.extra_hash->flat;
  if (flat) {
    struct stat status;
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return CallFailed("stat", "");
    if (!S_ISREG(status.st_mode) || (status.st_mode & S_IXUSR) != 0) return Refused("TREE_NOT_FLAT", "");
    file_size = static_cast<uint64_t>(status.st_size);
  }

  ScratchBuffer buffer;
  NarSource source(parent_fd, name, policy);
  Sha256 nar;
  ReferenceScanner scanner(options.candidates);
  std::optional<Digest> extra;
  if (options.extra_hash) extra.emplace(options.extra_hash->algorithm);
  std::optional<ModuloHasher> modulo;
  if (options.self_hash_part) modulo.emplace(options.modulo_algorithm, *options.self_hash_part);

  SealedTree tree;
  for (;;) {
    if (options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed)) {
      return Refused("TREE_CANCELLED", "");
    }
    auto size = source.Fill(buffer.data(), buffer.size());
    if (!size) return size.failure();
    nar.Update(buffer.data(), *size);
    scanner.Feed(buffer.data(), *size);
    if (modulo) modulo->Feed(buffer.data(), *size);
    if (extra) {
      const auto part = flat ? ContentsIn(buffer.data(), *size, tree.nar_size, file_size)
                             : std::span<const uint8_t>(buffer.data(), *size);
      extra->Update(part.data(), part.size());
    }
    tree.nar_size += *size;
    if (*size < buffer.size()) break;
  }
  tree.nar_hash = nar.Finish();
  tree.references = scanner.Found();
  if (extra) tree.extra_hash = extra->Finish();
  if (modulo) tree.modulo_self_hash = modulo->Finish();
  return tree;
}

}  // namespace

Result<SealedTree> SealTree(int parent_fd, const char* name, const SealOptions& options) {
  Sealer sealer(options);
  return ReadTree(parent_fd, name, options, &sealer);
}

Result<SealedTree> ScanTree(int parent_fd, const char* name, const SealOptions& options) {
  return ReadTree(parent_fd, name, options, nullptr);
}

}  // namespace cloister
