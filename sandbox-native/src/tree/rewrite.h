// Replaces hash parts in a sealed tree: a floating output gets its final path only when its contents are known.
#pragma once

#include <span>

#include "core/result.h"
#include "tree/hash-part-replacer.h"
#include "tree/hash-part.h"
#include "tree/seal.h"

namespace cloister {

/// Makes the new entry `to_name` of `to_parent_fd`: the tree `name` of `parent_fd` with each `from` replaced by its `to`
/// in file contents, names and symlink targets, canonical, owned by the process. The old tree is left as it is.
/// Of `seal`, candidates, extra_hash, self_hash_part, modulo_algorithm and cancelled count; they are about the new tree.
/// Failures: OUTPUT_REWRITE_COLLISION (two names of a directory become one), those of ScanTree, TREE_SYSTEM_CALL. After
/// a failure nothing of the new tree is left.
Result<SealedTree> RewriteTree(int parent_fd, const char* name, int to_parent_fd, const char* to_name,
                               std::span<const HashPartPair> pairs, const SealOptions& seal);

}  // namespace cloister
