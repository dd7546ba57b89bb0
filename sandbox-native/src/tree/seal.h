// Sealing: what a builder left becomes a store object, in one pass: canonical, hashed, scanned, or refused.
#pragma once

#include <sys/types.h>

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
  /// `parent_fd` (held by the caller) and `names` (that exist) are all outputs of the build.
  SealedInodes(int parent_fd, std::vector<std::string> names) : parent_fd_(parent_fd), names_(std::move(names)) {}

 private:
  friend class Sealer;
  using Key = std::pair<dev_t, ino_t>;

  int parent_fd_;
  std::vector<std::string> names_;
  bool counted_ = false;
  std::map<Key, uint64_t> links_inside_;  // of inodes with several links: how many of them the outputs hold
  std::map<Key, bool> sealed_;            // of inodes with several links: canonical already, by this build
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
};

struct SealedTree {
  Sha256Digest nar_hash{};
  uint64_t nar_size = 0;
  std::vector<HashPart> references;             // the candidates that occur, in the order they were given
  std::optional<DigestBytes> extra_hash;
  std::optional<DigestBytes> modulo_self_hash;  // of the NAR with the own hash part blanked; source: nix references.cc
};

/// Seals the entry `name` of the directory `parent_fd`; no other process may still be able to change it.
/// Refused, with the path inside the output: OUTPUT_SPECIAL_FILE (devices, FIFOs, sockets), OUTPUT_FOREIGN_OWNER,
/// OUTPUT_TOP_WRITABLE (the top by group or others), OUTPUT_TOO_DEEP (past 64 levels), OUTPUT_TARGET_INVALID,
/// TREE_NOT_FLAT. Also TREE_SYSTEM_CALL, TREE_CHANGED. After a failure the tree is partly canonical: discard it.
Result<SealedTree> SealTree(int parent_fd, const char* name, const SealOptions& options);

/// The hashes and references of a tree that is canonical already; changes nothing and follows no owner rules.
Result<SealedTree> ScanTree(int parent_fd, const char* name, const SealOptions& options);

}  // namespace cloister
