// Where control groups can be made: looked for once, when the launcher starts, as the user who started it and while the
// host's file system is still in sight. What is found goes on as descriptors, which stay when the launcher has left that
// file system.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cloister {

/// What a hierarchy can limit or count; bits.
enum Controller : uint8_t {
  kMemoryController = 1,
  kCpuController = 2,
  kCpuCounter = 4,
  kPidsController = 8,
  kIoController = 16,
};

/// A directory of this launcher's own, empty of processes, in which each jail gets one; locked as long as it is used.
struct GroupPlace {
  int fd = -1;
  uint8_t controllers = 0;
};

struct GroupPlaces {
  int version = 0;  // of the kernel's interface: 2, or 1 with a place for each hierarchy; 0: none
  std::string name;  // of this launcher's directory in each
  std::vector<GroupPlace> places;

  uint8_t controllers() const noexcept;
};

/// `root`: "auto" looks at the launcher's own group and those above it, "none" finds nothing, and a path as in
/// /proc/self/cgroup names the group to make them in. What dead launchers left there is removed. Finding none is no error:
/// a limit that is not enforced is told where it is asked for.
GroupPlaces FindGroupPlaces(const std::string& root);

/// For the argument of a program that inherits the descriptors, which lose close-on-exec, and back again.
std::string PassGroupPlaces(const GroupPlaces& places);
GroupPlaces TakeGroupPlaces(const std::string& text);

/// Removes this launcher's directories with the groups in them; false while there are processes in one.
bool RemoveGroupPlaces(const GroupPlaces& places);

}  // namespace cloister
