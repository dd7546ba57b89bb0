// Holds a build to its limits, as far as the kernel does not do so by itself, and counts what it took.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launcher/control-groups.h"
#include "launcher/ending.h"
#include "launcher/jail-factory.h"
#include "launcher/view-pool.h"
#include "linux/jail-spec.h"

namespace cloister {

class BuildGuard {
 public:
  /// All must outlive it; `prepared` has its group already where that had to be joined early.
  BuildGuard(const ControlGroups& groups, const JailSpec& spec, PreparedJail& prepared, const View& view);

  /// Before the jail runs: has it join its group, if a limit needs one, and sets the limits. What is to be limited by
  /// rlimits instead is added to `rlimits`.
  void Begin(std::vector<JailLimit>& rlimits);
  /// After Begin: the bits of Unenforced.
  uint32_t unenforced() const noexcept { return unenforced_; }

  /// When to look next, by the clock of NowMicroseconds.
  uint64_t next_look() const noexcept { return next_look_; }
  /// The build directory's mount, if it is in memory.
  void SetMemoryDirectory(int mount_fd) noexcept { memory_directory_fd_ = mount_fd; }
  /// Why it is to be ended, if it is.
  std::optional<Ending> Look();
  /// Of a build that failed by itself: the limit that it met, if it met one.
  std::optional<Ending> FindReason() const;
  /// When the last process is gone.
  GroupUsage ReadUsage() const;

 private:
  std::optional<Ending> LookAtGroup() const;
  std::optional<Ending> LookAtProcesses() const;
  std::optional<Ending> LookAtDirectory();
  std::optional<Ending> LookAtMemoryDirectory() const;
  std::optional<Ending> LookAtDisk() const;
  void AddRlimits(std::vector<JailLimit>& rlimits) const;

  const ControlGroups& groups_;
  const JailSpec& spec_;
  PreparedJail& prepared_;
  const View& view_;
  std::vector<std::string> inputs_;  // sorted: their mount points in the view are not the builder's
  int memory_directory_fd_ = -1;
  uint32_t unenforced_ = 0;
  bool counts_processes_ = false;  // here, because no group does
  uint64_t interval_;
  uint64_t next_look_;
  bool near_limit_ = false;
};

}  // namespace cloister
