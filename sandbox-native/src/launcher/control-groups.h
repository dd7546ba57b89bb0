// The control groups of jails: made in the launcher's own places, joined before the builder starts, removed when it is over.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/unique-fd.h"
#include "launcher/group-places.h"
#include "linux/jail-spec.h"

namespace cloister {

/// Limits that could not be enforced; bits, and the names in sandbox-native/launcher-messages.ts.
enum Unenforced : uint32_t {
  kMemoryUnenforced = 1,
  kSwapUnenforced = 2,
  kCpuUnenforced = 4,
  kCpuWeightUnenforced = 8,
  kProcessesUnenforced = 16,
  kIoWeightUnenforced = 32,
  kIoRateUnenforced = 64,
};

/// What a group counted; nothing where it has no controller for it.
struct GroupUsage {
  std::optional<uint64_t> peak_memory_bytes;
  std::optional<uint64_t> read_bytes;
  std::optional<uint64_t> written_bytes;
  std::optional<uint64_t> most_processes;
};

/// One jail's, a directory in each place.
class ControlGroup {
 public:
  const std::string& name() const noexcept { return name_; }

 private:
  friend class ControlGroups;
  std::string name_;
  std::vector<UniqueFd> directories_;  // as the places
};

class ControlGroups {
 public:
  /// `disk` is the "MAJOR:MINOR" whose reading and writing can be limited, or "".
  void Start(GroupPlaces places, std::string disk);

  bool available() const noexcept { return places_.version != 0; }
  /// Version 1 lets only root move a process of another user, so there a jail joins before it takes its ids.
  bool must_be_joined_early(bool has_own_ids) const noexcept { return places_.version == 1 && has_own_ids; }

  /// Nothing if one cannot be made.
  std::optional<ControlGroup> Make(const std::string& name) const;
  bool Join(const ControlGroup& group, pid_t pid) const;
  /// The bits of Unenforced that were asked for and could not be set.
  uint32_t SetLimits(const ControlGroup& group, const ResourceLimits& limits) const;
  /// Processes that were killed because the group had no memory left.
  bool RanOutOfMemory(const ControlGroup& group) const;
  /// A process could not be made because of the limit.
  bool RanOutOfProcesses(const ControlGroup& group) const;
  GroupUsage ReadUsage(const ControlGroup& group) const;
  /// When the last process is gone. What cannot be removed goes with the launcher.
  void Remove(ControlGroup group) const;
  /// At the launcher's end, when all processes of jails have been killed; waits a little for the last ones.
  void RemoveAll() const;

 private:
  /// The group's directory with this controller, or -1.
  int Find(const ControlGroup& group, Controller controller) const noexcept;
  uint32_t SetMemory(const ControlGroup& group, const ResourceLimits& limits) const;
  uint32_t SetCpu(const ControlGroup& group, const ResourceLimits& limits) const;
  uint32_t SetIo(const ControlGroup& group, const ResourceLimits& limits) const;

  GroupPlaces places_;
  std::string disk_;
};

/// What of the limits needs a group; a number of processes can be watched without.
bool NeedControlGroup(const ResourceLimits& limits) noexcept;
/// The bits of Unenforced for all that needs a group.
uint32_t AllUnenforced(const ResourceLimits& limits) noexcept;

}  // namespace cloister
