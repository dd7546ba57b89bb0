#include "launcher/serve.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/defences.h"
#include "launcher/build.h"
#include "launcher/channel.h"
#include "launcher/jail-factory.h"
#include "launcher/jail-usage.h"
#include "launcher/name-source.h"
#include "launcher/orders.h"
#include "launcher/reaper.h"
#include "launcher/task-queue.h"
#include "launcher/thread.h"
#include "launcher/view-pool.h"
#include "linux/jail-plan.h"

namespace cloister {
namespace {

/// Beside those that builds take: restores and moves never wait behind builds.
constexpr unsigned int kTreeThreads = 3;
constexpr rlim_t kTableSize = 4096;
/// What builders are inside.
constexpr JailIdentity kUsual{kInsideUid, kInsideGid};
constexpr JailIdentity kVaried{kOtherInsideUid, kOtherInsideGid};

/// No signal changes anything here but SIGKILL; a builder gets all of them afresh.
void PrepareSignals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  // Not by sigaction, which refuses the C library's own two signals, and those may have come to us ignored.
  const unsigned long standard[4] = {};
  for (int signal = 1; signal < NSIG; ++signal) syscall(SYS_rt_sigaction, signal, standard, nullptr, sizeof(uint64_t));
}

/// A shared table of descriptors that grows makes all wait; one that is large enough from the start does not.
void PrepareDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const int last = fcntl(0, F_DUPFD_CLOEXEC, static_cast<int>(std::min(limit.rlim_cur, kTableSize) - 1));
  if (last >= 0) UniqueFd(last).Reset();
  fcntl(kChannelFd, F_SETFD, FD_CLOEXEC);
}

/// What of /proc is there and can be opened by whoever builds are.
std::vector<ProcMask> FindProcMasks(Strength strength) {
  // What tells of other users, of devices or of the kernel's memory and inner life, as container engines cover it too.
  constexpr const char* kTelling[] = {
      "acpi",       "asound",     "config.gz",     "firmware", "kcore",       "key-users", "keys",
      "kmsg",       "kpagecgroup", "kpagecount",   "kpageflags", "latency_stats", "pressure", "sched_debug",
      "scsi",       "slabinfo",   "sysrq-trigger", "timer_list", "timer_stats", "vmallocinfo",
  };
  // Of root, and of no interest to builds; it matters where root is whom they run as.
  constexpr const char* kOfRoot[] = {"bus", "driver", "fs", "irq", "mtrr", "pagetypeinfo"};
  std::vector<ProcMask> masks;
  const auto add = [&masks, strength](const char* name, bool only_of_root) {
    struct stat status{};
    if (stat((std::string("/proc/") + name).c_str(), &status) != 0) return;
    const bool is_builders = strength == Strength::kSingle && status.st_uid == 0;
    if (is_builders || (!only_of_root && (status.st_mode & S_IROTH) != 0)) masks.push_back({name, S_ISDIR(status.st_mode)});
  };
  for (const char* name : kTelling) add(name, false);
  for (const char* name : kOfRoot) add(name, true);
  return masks;
}

JailHost ExamineHost(Strength strength) {
  JailHost host;
  host.proc_masks = FindProcMasks(strength);
  if (FILE* file = fopen("/proc/sys/kernel/cap_last_cap", "re")) {
    if (fscanf(file, "%d", &host.last_capability) != 1) host.last_capability = CAP_LAST_CAP;
    fclose(file);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) host.most_descriptors = limit.rlim_max;
  if (getrlimit(RLIMIT_STACK, &limit) == 0) host.most_stack_bytes = limit.rlim_max;
  host.has_keyrings = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0;
  return host;
}

/// A quarter and an eighth of the ids for jails that are made on demand, so that no two factories ever give the same one.
std::array<Identities, 3> DivideIdentities(const Identities& all) {
  if (all.strength == Strength::kSingle) return {all, all, all};
  Identities first = all, second = all, third = all;
  third.count = all.count / 8;
  second.count = all.count / 4;
  first.count = all.count - second.count - third.count;
  second.first = all.first + first.count;
  third.first = second.first + second.count;
  return {first, second, third};
}

class Launcher {
 public:
  Launcher(const Identities& identities, Root root, ServeOptions options)
      : identities_(identities), root_(std::move(root)), options_(std::move(options)), host_(ExamineHost(identities.strength)), prepare_(MakePreparePlan(host_)), prepare_varied_(MakePreparePlan(host_, kVaried)) {}

  Result<void> Start() {
    const unsigned int most_jobs = options_.most_jobs;
    groups_.Start(std::move(options_.groups), options_.disk);
    const unsigned int threads = most_jobs + kTreeThreads;
    Result<std::vector<LogPipe>> pipes = MakeLogPipes(threads, first_private_);
    if (!pipes.ok()) return pipes.failure();
    if (Result<void> started = reaper_.Start(); !started.ok()) return started;
    const Swept swept = Sweep(root_, reaper_);
    names_.Start(swept.prefix + "x", swept.left > 0);
    views_.Start(root_, names_, reaper_, identities_.strength, 2 * most_jobs);
    const auto [standard, other, varied] = DivideIdentities(identities_);
    for (Result<void> started :
         {factory_.Start(root_, names_, standard, prepare_, kUsual, groups_, std::clamp(2 * most_jobs, 4u, 16u), /*filtered=*/true),
          other_factory_.Start(root_, names_, other, prepare_, kUsual, groups_, /*most=*/0, /*filtered=*/false),
          varied_factory_.Start(root_, names_, varied, prepare_varied_, kVaried, groups_, /*most=*/0, /*filtered=*/false),
          removals_.Start("remove", 1, 10)}) {
      if (!started.ok()) return started;
    }
    for (LogPipe& log : *pipes) {
      // Each has a pipe of its own, because any of them may run a build.
      auto* work = new Worker{*this, std::move(log)};
      if (Result<void> started = StartThread(&Launcher::Work, work); !started.ok()) return started;
    }
    // Last: what fails before is told in its place, and orders come only after it.
    MessageWriter hello;
    hello.U8(static_cast<uint8_t>(identities_.strength)).U32(identities_.first).U32(identities_.count).U32(swept.left);
    channel_.Send(MessageKind::kHello, 0, hello.body());
    return {};
  }

  /// Until the addon's end of the socket closes.
  void WaitForEnd() {
    std::unique_lock lock(ended_mutex_);
    ended_changed_.wait(lock, [this] { return ended_; });
  }

  /// Ends all jails and leaves nothing that only these ids may remove, if that does not take long.
  void Clear() {
    factory_.Stop();
    other_factory_.Stop();
    varied_factory_.Stop();
    kill(-1, SIGKILL);
    views_.Stop();
    Empty(root_, /*patience_ms=*/2000);
    groups_.RemoveAll();
  }

 private:
  TreeContext trees() { return {channel_, root_, names_, views_, reaper_}; }

  struct Worker {
    Launcher& launcher;
    LogPipe log;
  };

  /// Whoever is free takes the next order and does it itself: to hand it to another thread would cost a wake-up.
  static void* Work(void* argument) {
    Worker& worker = *static_cast<Worker*>(argument);
    pthread_setname_np(pthread_self(), "worker");
    Order order;
    while (worker.launcher.Receive(order)) worker.launcher.Do(order, worker.log);
    worker.launcher.End();
    return nullptr;
  }

  bool Receive(Order& order) {
    // One at a time, so that a build is known before another thread takes the order that cancels it.
    const std::lock_guard lock(receive_mutex_);
    if (!channel_.Receive(order)) return false;
    if (order.kind == MessageKind::kBuild) running_.Add(order.id);
    return true;
  }

  void End() {
    const std::lock_guard lock(ended_mutex_);
    ended_ = true;
    ended_changed_.notify_one();
  }

  void Do(Order& order, const LogPipe& log) {
    switch (order.kind) {
      case MessageKind::kBuild:
        return RunBuild({channel_, root_, factory_, other_factory_, varied_factory_, views_, running_, reaper_, names_, groups_, identities_.network_fd}, log,
                        first_private_, order);
      case MessageKind::kCancel:
        return running_.Cancel(order.id);
      case MessageKind::kRestore:
        return RunRestore(trees(), order);
      case MessageKind::kWriteText:
        return RunWriteText(trees(), order);
      case MessageKind::kMove:
        return RunMove(trees(), order);
      case MessageKind::kRewrite:
        return RunRewrite(trees(), order);
      case MessageKind::kDiscard:
        return RunDiscard(trees(), order);
      case MessageKind::kUsage:
        return SendUsage(order.id);
      case MessageKind::kGiveUpBuildDirectory:
        return RunGiveUpBuildDirectory(trees(), order);
      case MessageKind::kRemove:
        // Long work, which gives way to all other. Shared, because a task can be copied and descriptors cannot.
        return removals_.Push([this, taken = std::make_shared<Order>(std::move(order))] { RunRemove(trees(), *taken); });
      default:
        return channel_.SendFailure(order.id, Failure{"LAUNCHER_ORDER_INVALID", "know-order", EINVAL, "", 0});
    }
  }

  void SendUsage(uint64_t id) {
    const std::vector<std::pair<uint64_t, pid_t>> builds = running_.List();
    std::vector<pid_t> first_processes;
    for (const auto& [order, first] : builds) first_processes.push_back(first);
    const std::vector<JailUsage> usages = ReadJailUsage(first_processes);
    MessageWriter body;
    body.U32(static_cast<uint32_t>(builds.size()));
    for (size_t index = 0; index < builds.size(); ++index)
      body.U64(builds[index].first).U64(usages[index].cpu_microseconds).U64(usages[index].memory_bytes);
    channel_.Send(MessageKind::kAnswer, id, body.body());
  }

  Channel channel_{kChannelFd};
  Identities identities_;
  Root root_;
  ServeOptions options_;
  JailHost host_;
  Plan prepare_;
  Plan prepare_varied_;
  NameSource names_;
  ControlGroups groups_;
  Reaper reaper_;
  JailFactory factory_;
  JailFactory other_factory_;  // makes none ahead, and so does the next
  JailFactory varied_factory_;
  ViewPool views_;
  RunningBuilds running_;
  TaskQueue removals_;
  std::mutex receive_mutex_;
  std::mutex ended_mutex_;
  std::condition_variable ended_changed_;
  bool ended_ = false;
  int first_private_ = 64;
};

}  // namespace

void Serve(const Identities& identities, ServeOptions options) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (HasDefence(Defence::kNewSession)) setsid();
  umask(022);
  PrepareSignals();
  PrepareDescriptors();

  Result<Root> root = EnterOwnRoot(options.directories);
  Channel channel(kChannelFd);
  if (!root.ok()) {
    channel.SendFailure(0, root.failure());
    _exit(1);
  }
  // Never deleted: threads use it until the process ends.
  Launcher& launcher = *new Launcher(identities, *std::move(root), std::move(options));
  Result<void> started = launcher.Start();
  if (!started.ok()) {
    channel.SendFailure(0, started.failure());
    _exit(1);
  }
  launcher.WaitForEnd();
  launcher.Clear();
  _exit(0);  // and the kernel waits for the last process
}

}  // namespace cloister
