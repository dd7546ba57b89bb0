// The launcher's own mount tree: the store's file system, a read-only sight of the store, and what jails are made from.
// Nothing of the host's is left in it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/result.h"
#include "core/unique-fd.h"

namespace cloister {

/// Absolute paths of existing directories, without symlinks in them.
struct LauncherDirectories {
  std::string store;
  std::string staging;
  std::string trash;
  std::string builds;
};

/// The directories that the launcher holds; it writes below these and nowhere else.
struct Root {
  UniqueFd store;
  UniqueFd staging;
  UniqueFd trash;
  UniqueFd builds;
  UniqueFd inputs;  // the store again, read-only, nosuid, nodev: clones of its parts inherit that
  UniqueFd etc;     // passwd, group and hosts, read-only
  UniqueFd other_etc;  // the same for builders with other ids
  UniqueFd bin;     // kBinPlaces empty directories and files, read-only, to mount over
  /// How often a name in the store stopped to mean what it had meant. Nobody but the launcher writes there.
  std::unique_ptr<std::atomic<uint64_t>> changes = std::make_unique<std::atomic<uint64_t>>(0);
};

/// Where views are mounted: a file system of its own.
inline constexpr char kViewMounts[] = "/views";
/// What is in a bin: directory0 to directory63, file0 to file63.
inline constexpr unsigned int kBinPlaces = 64;
inline constexpr char kBinDirectory[] = "directory";
inline constexpr char kBinFile[] = "file";

/// Leaves the host's mount tree for one of its own; this process is alone in a fresh mount namespace and process 1.
/// Fails with LAUNCHER_LAYOUT when store, staging and trash are not on one mount, else with LAUNCHER_START_FAILED.
Result<Root> EnterOwnRoot(const LauncherDirectories& directories);

}  // namespace cloister
