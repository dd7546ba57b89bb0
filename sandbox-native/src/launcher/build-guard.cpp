#include "launcher/build-guard.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "launcher/jail-processes.h"
#include "tree/measure.h"

namespace cloister {
namespace {

constexpr uint64_t kFirstLook = 50'000;
constexpr uint64_t kSlowest = 1'000'000;
/// Looking takes at most this part of the time: one in so many.
constexpr uint64_t kShare = 20;
/// On a small disk less must be left than was asked for.
constexpr uint64_t kMostOfDisk = 20;

uint64_t HardLimit(int resource) {
  rlimit limit{};
  return getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0 ? limit.rlim_max : 0;
}

Ending Met(Ending::Kind kind, uint64_t limit, uint64_t reached) {
  Ending ending;
  ending.kind = kind;
  ending.limit = limit;
  ending.reached = reached;
  return ending;
}

}  // namespace

BuildGuard::BuildGuard(const ControlGroups& groups, const JailSpec& spec, PreparedJail& prepared, const View& view)
    : groups_(groups), spec_(spec), prepared_(prepared), view_(view), interval_(kFirstLook), next_look_(NowMicroseconds() + kFirstLook) {
  if (spec.build_size_bytes == 0 && spec.build_inodes == 0) return;
  inputs_ = spec.inputs;
  std::sort(inputs_.begin(), inputs_.end());
}

void BuildGuard::Begin(std::vector<JailLimit>& rlimits) {
  const ResourceLimits& limits = spec_.resources;
  if (!prepared_.group && groups_.available() && NeedControlGroup(limits)) {
    std::optional<ControlGroup> group = groups_.Make(prepared_.workspace);
    if (group && groups_.Join(*group, prepared_.jail->pid())) {
      prepared_.group = std::move(group);
    } else if (group) {
      groups_.Remove(*std::move(group));
    }
  }
  unenforced_ = prepared_.group ? groups_.SetLimits(*prepared_.group, limits) : AllUnenforced(limits);
  counts_processes_ = limits.processes != 0 && (!prepared_.group || (unenforced_ & kProcessesUnenforced) != 0);
  unenforced_ &= ~static_cast<uint32_t>(kProcessesUnenforced);  // then they are counted here
  AddRlimits(rlimits);
}

void BuildGuard::AddRlimits(std::vector<JailLimit>& rlimits) const {
  const auto add = [&rlimits](int resource, uint64_t value) {
    const uint64_t least = std::min<uint64_t>(value, HardLimit(resource));
    rlimits.push_back({static_cast<uint32_t>(resource), least, least});
  };
  // Some more than are allowed, so that whoever makes too many can be seen to.
  const uint64_t processes = spec_.resources.processes;
  if (counts_processes_) add(RLIMIT_NPROC, processes + processes / 8 + 8);
  // Of each process by itself: little, but better than nothing.
  if ((unenforced_ & kMemoryUnenforced) != 0) add(RLIMIT_DATA, spec_.resources.memory_bytes);
}

std::optional<Ending> BuildGuard::Look() {
  const uint64_t start = NowMicroseconds();
  std::optional<Ending> ending = LookAtGroup();
  if (!ending) ending = LookAtProcesses();
  if (!ending) ending = LookAtDisk();
  if (!ending) ending = spec_.build_in_memory ? LookAtMemoryDirectory() : LookAtDirectory();
  const uint64_t now = NowMicroseconds();
  interval_ = near_limit_ ? kFirstLook : std::min(interval_ * 3 / 2, kSlowest);
  next_look_ = now + std::max(interval_, (now - start) * kShare);
  return ending;
}

std::optional<Ending> BuildGuard::FindReason() const {
  if (std::optional<Ending> ending = LookAtGroup()) return ending;
  if (spec_.build_in_memory) return LookAtMemoryDirectory();
  return std::nullopt;
}

GroupUsage BuildGuard::ReadUsage() const { return prepared_.group ? groups_.ReadUsage(*prepared_.group) : GroupUsage(); }

std::optional<Ending> BuildGuard::LookAtGroup() const {
  if (!prepared_.group) return std::nullopt;
  const ResourceLimits& limits = spec_.resources;
  if (limits.memory_bytes != 0 && groups_.RanOutOfMemory(*prepared_.group))
    return Met(Ending::Kind::kOutOfMemory, limits.memory_bytes, ReadUsage().peak_memory_bytes.value_or(limits.memory_bytes));
  if (limits.processes != 0 && groups_.RanOutOfProcesses(*prepared_.group))
    return Met(Ending::Kind::kTooManyProcesses, limits.processes, limits.processes);
  return std::nullopt;
}

std::optional<Ending> BuildGuard::LookAtProcesses() const {
  if (!counts_processes_) return std::nullopt;
  const uint64_t limit = spec_.resources.processes;
  const uint64_t count = CountProcesses(prepared_.jail->pid(), limit);
  if (count <= limit) return std::nullopt;
  return Met(Ending::Kind::kTooManyProcesses, limit, count);
}

std::optional<Ending> BuildGuard::LookAtDirectory() {
  if (spec_.build_size_bytes == 0 && spec_.build_inodes == 0) return std::nullopt;
  MeasureOptions options;
  options.most_bytes = spec_.build_size_bytes;
  options.most_inodes = spec_.build_inodes;
  TreeSize size;
  MeasureTree(prepared_.build_fd.get(), options, size);
  options.without = &inputs_;
  if (size.whole) MeasureTree(view_.fd(), options, size);
  near_limit_ = (options.most_bytes != 0 && size.bytes > options.most_bytes / 2) ||
                (options.most_inodes != 0 && size.inodes > options.most_inodes / 2);
  if (size.whole) return std::nullopt;
  if (options.most_inodes != 0 && size.inodes > options.most_inodes)
    return Met(Ending::Kind::kDirectoryInodes, options.most_inodes, size.inodes);
  return Met(Ending::Kind::kDirectoryFull, options.most_bytes, size.bytes);
}

/// The kernel lets it grow no further; here it is only found out that it is full.
std::optional<Ending> BuildGuard::LookAtMemoryDirectory() const {
  struct statvfs status{};
  if (memory_directory_fd_ < 0 || fstatvfs(memory_directory_fd_, &status) != 0) return std::nullopt;
  if (spec_.build_size_bytes != 0 && status.f_bfree == 0)
    return Met(Ending::Kind::kDirectoryFull, spec_.build_size_bytes, status.f_blocks * status.f_frsize);
  if (spec_.build_inodes != 0 && status.f_ffree == 0)
    return Met(Ending::Kind::kDirectoryInodes, spec_.build_inodes, status.f_files);
  return std::nullopt;
}

std::optional<Ending> BuildGuard::LookAtDisk() const {
  const ResourceLimits& limits = spec_.resources;
  if (limits.least_free_bytes == 0 && limits.least_free_inodes == 0) return std::nullopt;
  for (const int fd : {prepared_.build_fd.get(), view_.fd()}) {
    struct statvfs status{};
    if (fstatvfs(fd, &status) != 0) continue;
    const uint64_t total = uint64_t{status.f_blocks} * status.f_frsize;
    const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
    const uint64_t least = std::min<uint64_t>(limits.least_free_bytes, total / kMostOfDisk);
    if (free < least) return Met(Ending::Kind::kDiskLow, least, free);
    const uint64_t least_inodes = std::min<uint64_t>(limits.least_free_inodes, status.f_files / kMostOfDisk);
    if (status.f_files != 0 && status.f_favail < least_inodes)
      return Met(Ending::Kind::kDiskInodesLow, least_inodes, status.f_favail);
  }
  return std::nullopt;
}

}  // namespace cloister
