// Sealing: what a builder left becomes a store object, in one pass: canonical, hashed, scanned, or refused.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "tree/hash-part.h"

namespace cloister {

/// What the sealings of one build's outputs share: hard links may lie between them. Make one for each build.
class SealedInodes {
 public:
  /// `parent_fd` (held by the caller) and `names` are all outputs of the build; one that does not exist is no failure.
  SealedInodes(int parent_fd, std::vector<std::string> names) : parent_fd_(parent_fd), names_(std::move(names)) {}

 private:
  friend class Sealer;
  using Key = std::pair<dev_t, ino_t>;

  struct Inode {
    uint64_t links_inside = 0;  // how many of its links the outputs hold
    bool sealed = false;        // canonical already, by this build
  };

  int parent_fd_;
  std::vector<std::string> names_;
  bool counted_ = false;
  std::map<Key, Inode> inodes_;  // those with several links
};

struct SealOptions {
  std::span<const HashPart> candidates;    // looked for in the NAR
  std::optional<ExtraHash> extra_hash;     // flat: else TREE_NOT_FLAT
  std::optional<HashPart> self_hash_part;  // asks for modulo_self_hash
  HashAlgorithm modulo_algorithm = HashAlgorithm::kSha256;
  uid_t expected_uid = 0;  // whoever else owns something in the tree: OUTPUT_FOREIGN_OWNER
  uid_t owner_uid = 0;     // who owns it afterwards
  gid_t owner_gid = 0;
  SealedInodes* inodes = nullptr;  // without it every inode with several links is copied afresh
  const std::atomic<bool>* cancelled = nullptr;  // looked at once for each buffer: TREE_CANCELLED
};

struct SealedTree {
  Sha256Digest nar_hash{};
  uint64_t nar_size = 0;
  std::vector<HashPart> references;             // the candidates that occur, in the order they were given
  std::optional<DigestBytes> extra_hash;
  std::optional<DigestBytes> modulo_self_hash;  // of the NAR with the own hash part blanked: hash-part-replacer.h
};

/// Seals the entry `name` of the directory `parent_fd`; no other process may still be able to change it.
/// Refused, with the path inside the output: OUTPUT_SPECIAL_FILE (devices, FIFOs, sockets), OUTPUT_FOREIGN_OWNER,
/// OUTPUT_TOP_WRITABLE (the top by group or others), OUTPUT_TOO_DEEP (past 64 levels), TREE_NOT_FLAT.
/// Also TREE_SYSTEM_CALL, TREE_CHANGED, TREE_CANCELLED. After a failure the tree is partly canonical: discard it.
Result<SealedTree> SealTree(int parent_fd, const char* name, const SealOptions& options);

/// The hashes and references of any tree: changes nothing, and has no rules on owners or modes.
Result<SealedTree> ScanTree(int parent_fd, const char* name, const SealOptions& options);

}  // namespace cloister
