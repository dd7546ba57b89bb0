// From a jail's spec to the list of system calls that makes it. Nothing is done here: the plan decides, RunJail runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/plan.h"
#include "linux/jail-spec.h"
#include "linux/jail.h"

namespace cloister {

/// One thing to appear in the jail: a mount at hand (a directory's or a file's), or a symlink to be made again.
struct JailEntry {
  enum class Kind { kDirectory, kFile, kSymlink };
  Kind kind = Kind::kDirectory;
  std::string name;
  int mount_fd = -1;
  std::string target;  // of a symlink
};

/// The mounts that a build's worker has made ready, as descriptors that jail and launcher share.
struct JailMounts {
  int view_fd = -1;               // the store directory, with all inputs in it
  int build_directory_fd = -1;
  std::vector<JailEntry> world;   // for the root directory
  bool etc_from_world = false;
  bool etc_is_mixed = false;      // then it is a directory of the root, and each entry of `etc` has its name from there
  std::vector<JailEntry> etc;     // etc_from_world: files to mount over those below /etc; else the one entry "etc"
};

/// An entry of /proc to be covered by an empty file or directory.
struct ProcMask {
  std::string name;
  bool is_directory = false;
};

/// What the launcher found out about the machine once.
struct JailHost {
  int last_capability = 40;  // CAP_CHECKPOINT_RESTORE
  bool has_keyrings = true;
  std::vector<ProcMask> proc_masks;
  uint64_t most_descriptors = 20'000;  // the hard limits, which nobody here can raise
  uint64_t most_stack_bytes = UINT64_MAX;
};

/// The part that is the same for every jail: made ahead, before anybody knows what will be built in it.
/// Its builder has the ids `inside`.
Plan MakePreparePlan(const JailHost& host, JailIdentity inside = {kInsideUid, kInsideGid});

/// The rest, which ends with execve. Descriptors from `first_private_fd` on are closed; `log_fd` is below it. If the spec asks
/// for a log of refusals, `ready_fd` is an eventfd that is written to when the filter's listener is in its slot.
Plan MakeFinishPlan(const JailSpec& spec, const JailMounts& mounts, int log_fd, int first_private_fd, int ready_fd = -1);

inline constexpr int kListenerSlot = 3;

/// The mount points and directories that the launcher's own root has for jails.
inline constexpr char kJailRoot[] = "/jail";
inline constexpr char kDeviceTemplate[] = "/template/dev";
inline constexpr char kMaskTemplate[] = "/template/mask";  // "empty-file" and "empty-directory"

}  // namespace cloister
