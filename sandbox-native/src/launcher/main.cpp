// The launcher's program. Two stages of one start: `serve` takes the strength and makes the first process of a new pid
// namespace, which executes this program again as `inside`: with memory that belongs to the new user namespace. Without
// that the first jail's change of ids would close /proc/PID to us, and with it the maps of all jails to come.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/defences.h"
#include "launcher/channel.h"
#include "launcher/disk-number.h"
#include "launcher/group-places.h"
#include "launcher/identity.h"
#include "launcher/network-helper.h"
#include "launcher/print-plan.h"
#include "launcher/probe.h"
#include "launcher/serve.h"
#include "linux/kernel.h"

namespace cloister {
namespace {

enum Argument {
  kMode = 1,
  kStrength,
  kStore,
  kStaging,
  kTrash,
  kBuilds,
  kMostJobs,
  kPasta,
  kGroupRoot,
  kMostIds,
  kFirstId,
  kIdCount,
  kLockFd,
  kNetworkFd,
  kGroups,
  kDisk,
};

int Fail(const Failure& failure) {
  Channel(kChannelFd).SendFailure(0, failure);
  return 1;
}

uint32_t Number(const char* text) { return static_cast<uint32_t>(strtoul(text, nullptr, 10)); }

/// What has to be done while the host's network and mounts are in sight; then they are left.
Result<void> StartHelpers(Identities& identities, const std::string& pasta) {
  if (!pasta.empty()) {
    std::optional<JailIdentity> identity;
    // Its last id is kept for pasta: no build ever has it.
    if (identities.strength != Strength::kSingle) identity = identities.At(--identities.count);
    Result<UniqueFd> helper = StartNetworkHelper(pasta, identity);
    if (!helper.ok()) return helper.failure();
    identities.network_fd = helper->Release();
  }
  return LeaveHost();
}

int Start(int count, char** arguments) {
  const std::optional<Strength> strength = ParseStrength(arguments[kStrength]);
  if (!strength) return Fail({"STRENGTH_UNAVAILABLE", "know-strength", EINVAL, arguments[kStrength], 0});
  CloseRange(kChannelFd + 1, ~0u, 0);
  const UniqueFd program(open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (!program) return Fail(Failure::Errno("LAUNCHER_START_FAILED", "open-program", "/proc/self/exe"));
  if (!HasDefence(Defence::kDescriptorsClosed)) fcntl(program.get(), F_SETFD, 0);
  const GroupPlaces groups = FindGroupPlaces(arguments[kGroupRoot]);
  const auto fail = [&groups](const Failure& failure) {
    RemoveGroupPlaces(groups);
    return Fail(failure);
  };
  Result<Identities> identities = TakeStrength(*strength);
  if (!identities.ok()) return fail(identities.failure());
  int turns[2];
  if (pipe2(turns, O_CLOEXEC) != 0) return fail(Failure::Errno("LAUNCHER_START_FAILED", "make-pipe"));
  UniqueFd wait(turns[0]), go(turns[1]);
  const uint32_t most_ids = Number(arguments[kMostIds]);
  if (most_ids != 0) identities->count = std::min(identities->count, most_ids);
  Result<pid_t> first = BecomeFirstProcess();
  if (!first.ok()) return fail(first.failure());
  if (*first > 0) {
    MessageWriter body;
    body.U32(static_cast<uint32_t>(*first));
    Channel(kChannelFd).Send(MessageKind::kSpawned, 0, body.body());
    return 0;
  }
  // Which process this is has been said before it can fail: else nobody could wait for its end.
  go.Reset();
  char byte;
  (void)!read(wait.get(), &byte, 1);
  Result<void> done = StartHelpers(*identities, arguments[kPasta]);
  if (!done.ok()) return Fail(done.failure());
  std::vector<std::string> texts(arguments, arguments + count);
  texts[kMode] = "inside";
  for (const uint32_t number : {identities->first, identities->count, static_cast<uint32_t>(identities->lock_fd),
                                static_cast<uint32_t>(identities->network_fd)})
    texts.push_back(std::to_string(number));
  texts.push_back(PassGroupPlaces(groups));
  texts.push_back(FindDiskNumber(arguments[kBuilds]));
  for (const int fd : {identities->lock_fd, identities->network_fd})
    if (fd >= 0) fcntl(fd, F_SETFD, 0);
  if (const char* without = DefencesTakenOut(); without != nullptr) texts.push_back(without);
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  char* const environment[] = {nullptr};
  syscall(SYS_execveat, program.get(), "", list.data(), environment, AT_EMPTY_PATH);
  return Fail(Failure::Errno("LAUNCHER_START_FAILED", "exec-again"));
}

int RunInside(char** arguments) {
  Identities identities;
  identities.strength = ParseStrength(arguments[kStrength]).value_or(Strength::kSingle);
  identities.first = Number(arguments[kFirstId]);
  identities.count = Number(arguments[kIdCount]);
  identities.lock_fd = static_cast<int>(Number(arguments[kLockFd]));
  identities.network_fd = static_cast<int>(Number(arguments[kNetworkFd]));
  for (const int fd : {identities.lock_fd, identities.network_fd})
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  ServeOptions options;
  options.directories = {arguments[kStore], arguments[kStaging], arguments[kTrash], arguments[kBuilds]};
  options.most_jobs = Number(arguments[kMostJobs]);
  options.groups = TakeGroupPlaces(arguments[kGroups]);
  options.disk = arguments[kDisk];
  Serve(identities, std::move(options));
}

}  // namespace
}  // namespace cloister

int main(int count, char** arguments) {
  using namespace cloister;
  count = TakeDefencesOut(count, arguments);
  const std::string mode = count > kMode ? arguments[kMode] : "";
  if (mode == "serve" && count == kMostIds + 1) return Start(count, arguments);
  if (mode == "inside" && count == kDisk + 1 && getpid() == 1) return RunInside(arguments);
  if (mode == "--print-plan" && count == kMode + 1) return PrintPlan();
  if (mode == "--probe" && count == kMode + 2) return Probe(arguments[kMode + 1]);
  return 2;
}
