#include "launcher/control-groups.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "launcher/group-files.h"

namespace cloister {
namespace {

constexpr uint64_t kCpuPeriodMicroseconds = 100'000;
/// What version 1 calls 1,024 shares and version 2 a weight of 100: everybody's.
constexpr uint64_t kUsualShares = 1024;
constexpr uint64_t kUsualWeight = 100;
constexpr uint64_t kLeastShares = 2;

bool Write(int fd, const char* name, uint64_t value) { return WriteGroupFile(fd, name, std::to_string(value)); }

/// The numbers after a word in lines such as "8:0 rbytes=12 wbytes=3" or "8:0 Read 12", added up.
uint64_t AddUp(const std::string& text, std::string_view word) {
  uint64_t sum = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + word.size()))
    sum += strtoull(text.c_str() + at + word.size(), nullptr, 10);
  return sum;
}

}  // namespace

bool NeedControlGroup(const ResourceLimits& limits) noexcept {
  return AllUnenforced(limits) != 0;
}

uint32_t AllUnenforced(const ResourceLimits& limits) noexcept {
  return (limits.memory_bytes != 0 ? kMemoryUnenforced : 0u) | (limits.cpu_thousandths != 0 ? kCpuUnenforced : 0u) |
         (limits.cpu_weight != 0 ? kCpuWeightUnenforced : 0u) | (limits.io_weight != 0 ? kIoWeightUnenforced : 0u) |
         (limits.read_bytes_per_second != 0 || limits.written_bytes_per_second != 0 ? kIoRateUnenforced : 0u);
}

void ControlGroups::Start(GroupPlaces places, std::string disk) {
  places_ = std::move(places);
  disk_ = std::move(disk);
}

int ControlGroups::Find(const ControlGroup& group, Controller controller) const noexcept {
  for (size_t index = 0; index < group.directories_.size(); ++index)
    if ((places_.places[index].controllers & controller) != 0) return group.directories_[index].get();
  return -1;
}

std::optional<ControlGroup> ControlGroups::Make(const std::string& name) const {
  ControlGroup group;
  group.name_ = name;
  for (const GroupPlace& place : places_.places) {
    UniqueFd directory;
    if (mkdirat(place.fd, name.c_str(), 0755) == 0 || errno == EEXIST)
      directory.Reset(openat(place.fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) {
      Remove(std::move(group));
      return std::nullopt;
    }
    group.directories_.push_back(std::move(directory));
  }
  return group;
}

bool ControlGroups::Join(const ControlGroup& group, pid_t pid) const {
  return std::all_of(group.directories_.begin(), group.directories_.end(), [pid](const UniqueFd& directory) {
    return Write(directory.get(), "cgroup.procs", static_cast<uint64_t>(pid));
  });
}

uint32_t ControlGroups::SetLimits(const ControlGroup& group, const ResourceLimits& limits) const {
  uint32_t unenforced = SetMemory(group, limits) | SetCpu(group, limits) | SetIo(group, limits);
  const int pids = Find(group, kPidsController);
  if (limits.processes != 0 && (pids < 0 || !Write(pids, "pids.max", limits.processes))) unenforced |= kProcessesUnenforced;
  return unenforced;
}

uint32_t ControlGroups::SetMemory(const ControlGroup& group, const ResourceLimits& limits) const {
  if (limits.memory_bytes == 0) return 0;
  const int fd = Find(group, kMemoryController);
  if (fd < 0) return kMemoryUnenforced;
  if (places_.version == 2) {
    if (!Write(fd, "memory.max", limits.memory_bytes)) return kMemoryUnenforced;
    Write(fd, "memory.oom.group", 1);  // else the builder itself might outlive what it started
    // Without this file the kernel has no swap, or does not count it.
    return Write(fd, "memory.swap.max", limits.swap_bytes) || errno == ENOENT ? 0u : kSwapUnenforced;
  }
  if (!Write(fd, "memory.limit_in_bytes", limits.memory_bytes)) return kMemoryUnenforced;
  const uint64_t both = limits.memory_bytes + limits.swap_bytes;
  return Write(fd, "memory.memsw.limit_in_bytes", both) || errno == ENOENT ? 0u : kSwapUnenforced;
}

uint32_t ControlGroups::SetCpu(const ControlGroup& group, const ResourceLimits& limits) const {
  uint32_t unenforced = 0;
  const int fd = Find(group, kCpuController);
  if (limits.cpu_thousandths != 0) {
    const std::string period = std::to_string(kCpuPeriodMicroseconds);
    const std::string quota = std::to_string(limits.cpu_thousandths * kCpuPeriodMicroseconds / 1000);
    const bool set = fd >= 0 && (places_.version == 2 ? WriteGroupFile(fd, "cpu.max", quota + " " + period)
                                                      : WriteGroupFile(fd, "cpu.cfs_period_us", period) &&
                                                            WriteGroupFile(fd, "cpu.cfs_quota_us", quota));
    if (!set) unenforced |= kCpuUnenforced;
  }
  if (limits.cpu_weight != 0) {
    const uint64_t shares = std::max(kLeastShares, limits.cpu_weight * kUsualShares / kUsualWeight);
    const bool set = fd >= 0 && (places_.version == 2 ? Write(fd, "cpu.weight", limits.cpu_weight) : Write(fd, "cpu.shares", shares));
    if (!set) unenforced |= kCpuWeightUnenforced;
  }
  return unenforced;
}

uint32_t ControlGroups::SetIo(const ControlGroup& group, const ResourceLimits& limits) const {
  uint32_t unenforced = 0;
  const int fd = Find(group, kIoController);
  if (limits.io_weight != 0) {
    // Which of them is there depends on what schedules the disks.
    const bool set = fd >= 0 && (places_.version == 2 ? Write(fd, "io.weight", limits.io_weight) || Write(fd, "io.bfq.weight", std::min(1000u, limits.io_weight))
                                                      : Write(fd, "blkio.bfq.weight", std::min(1000u, limits.io_weight)));
    if (!set) unenforced |= kIoWeightUnenforced;
  }
  const auto rate = [&](const char* key, const char* file, uint64_t bytes) {
    if (bytes == 0) return;
    const bool set = fd >= 0 && !disk_.empty() &&
                     (places_.version == 2 ? WriteGroupFile(fd, "io.max", disk_ + " " + key + "=" + std::to_string(bytes))
                                           : WriteGroupFile(fd, file, disk_ + " " + std::to_string(bytes)));
    if (!set) unenforced |= kIoRateUnenforced;
  };
  rate("rbps", "blkio.throttle.read_bps_device", limits.read_bytes_per_second);
  rate("wbps", "blkio.throttle.write_bps_device", limits.written_bytes_per_second);
  return unenforced;
}

bool ControlGroups::RanOutOfMemory(const ControlGroup& group) const {
  const int fd = Find(group, kMemoryController);
  if (fd < 0) return false;
  const std::string events = ReadGroupFile(fd, places_.version == 2 ? "memory.events" : "memory.oom_control");
  return FindGroupNumber(events, "oom_kill").value_or(0) > 0;
}

bool ControlGroups::RanOutOfProcesses(const ControlGroup& group) const {
  const int fd = Find(group, kPidsController);
  return fd >= 0 && FindGroupNumber(ReadGroupFile(fd, "pids.events"), "max").value_or(0) > 0;
}

GroupUsage ControlGroups::ReadUsage(const ControlGroup& group) const {
  GroupUsage usage;
  const bool second = places_.version == 2;
  if (const int fd = Find(group, kMemoryController); fd >= 0)
    usage.peak_memory_bytes = ReadGroupNumber(fd, second ? "memory.peak" : "memory.max_usage_in_bytes");
  if (const int fd = Find(group, kPidsController); fd >= 0) usage.most_processes = ReadGroupNumber(fd, "pids.peak");
  if (const int fd = Find(group, kIoController); fd >= 0) {
    const std::string text = ReadGroupFile(fd, second ? "io.stat" : "blkio.throttle.io_service_bytes");
    usage.read_bytes = AddUp(text, second ? "rbytes=" : " Read ");
    usage.written_bytes = AddUp(text, second ? "wbytes=" : " Write ");
  }
  return usage;
}

void ControlGroups::Remove(ControlGroup group) const {
  for (size_t index = 0; index < group.directories_.size(); ++index)
    unlinkat(places_.places[index].fd, group.name_.c_str(), AT_REMOVEDIR);
}

void ControlGroups::RemoveAll() const {
  constexpr timespec kPause{0, 5'000'000};
  for (int tries = 0; tries < 100 && !RemoveGroupPlaces(places_); ++tries) nanosleep(&kPause, nullptr);
}

}  // namespace cloister
