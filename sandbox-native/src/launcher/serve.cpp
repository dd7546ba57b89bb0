#include "launcher/serve.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "launcher/build.h"
#include "launcher/channel.h"
#include "launcher/jail-factory.h"
#include "launcher/name-source.h"
#include "launcher/orders.h"
#include "launcher/reaper.h"
#include "launcher/task-queue.h"
#include "launcher/view-pool.h"
#include "linux/jail-plan.h"

namespace cloister {
namespace {

constexpr unsigned int kTreeThreads = 3;  // restores and moves never wait behind builds
constexpr rlim_t kTableSize = 4096;

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

JailHost ExamineHost() {
  JailHost host;
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

class Launcher {
 public:
  Launcher(const Identities& identities, Root root)
      : identities_(identities), root_(std::move(root)), prepare_(MakePreparePlan(ExamineHost())) {}

  Result<void> Start(unsigned int most_jobs) {
    Result<std::vector<LogPipe>> pipes = MakeLogPipes(most_jobs, first_private_);
    if (!pipes.ok()) return pipes.failure();
    reaper_.Start();
    const Swept swept = Sweep(root_, reaper_);
    names_.Start(swept.prefix + "x", swept.left > 0);
    views_.Start(root_, names_, reaper_, identities_.strength, 2 * most_jobs);
    factory_.Start(root_, names_, identities_, prepare_, std::clamp(2 * most_jobs, 4u, 16u));
    for (LogPipe& log : *pipes) free_pipes_.push_back(std::move(log));
    builds_.Start("build", most_jobs);
    trees_.Start("tree", kTreeThreads);
    removals_.Start("remove", 1, 10);
    MessageWriter hello;
    hello.U8(static_cast<uint8_t>(identities_.strength)).U32(identities_.first).U32(identities_.count).U32(swept.left);
    channel_.Send(MessageKind::kHello, 0, hello.body());
    return {};
  }

  Channel& channel() { return channel_; }
  /// Ends all jails and leaves nothing that only these ids may remove, if that does not take long.
  void Clear() {
    factory_.Stop();
    kill(-1, SIGKILL);
    Empty(root_, /*patience_ms=*/2000);
  }

  void Take(Order order) {
    switch (order.kind) {
      case MessageKind::kBuild:
        running_.Add(order.id);
        return Push(builds_, std::move(order), [this](const Order& taken) { Build(taken); });
      case MessageKind::kCancel:
        return running_.Cancel(order.id);
      case MessageKind::kRestore:
        return Push(trees_, std::move(order), [this](const Order& taken) { RunRestore(trees(), taken); });
      case MessageKind::kWriteText:
        return Push(trees_, std::move(order), [this](const Order& taken) { RunWriteText(trees(), taken); });
      case MessageKind::kMove:
        return Push(trees_, std::move(order), [this](const Order& taken) { RunMove(trees(), taken); });
      case MessageKind::kRewrite:
        return Push(trees_, std::move(order), [this](const Order& taken) { RunRewrite(trees(), taken); });
      case MessageKind::kDiscard:
        return Push(trees_, std::move(order), [this](const Order& taken) { RunDiscard(trees(), taken); });
      case MessageKind::kRemove:
        return Push(removals_, std::move(order), [this](const Order& taken) { RunRemove(trees(), taken); });
      default:
        return channel_.SendFailure(order.id, Failure{"LAUNCHER_ORDER_INVALID", "know-order", EINVAL, "", 0});
    }
  }

 private:
  TreeContext trees() { return {channel_, root_, names_, views_, reaper_}; }

  template <class Work>
  static void Push(TaskQueue& queue, Order order, Work work) {
    // Shared, because a task can be copied and descriptors cannot.
    queue.Push([taken = std::make_shared<Order>(std::move(order)), work = std::move(work)] { work(*taken); });
  }

  void Build(const Order& order) {
    LogPipe log;
    {
      const std::lock_guard lock(pipes_mutex_);
      log = std::move(free_pipes_.back());  // as many as threads
      free_pipes_.pop_back();
    }
    RunBuild({channel_, root_, factory_, views_, running_, reaper_}, log, first_private_, order);
    const std::lock_guard lock(pipes_mutex_);
    free_pipes_.push_back(std::move(log));
  }

  Channel channel_{kChannelFd};
  Identities identities_;
  Root root_;
  Plan prepare_;
  NameSource names_;
  Reaper reaper_;
  JailFactory factory_;
  ViewPool views_;
  RunningBuilds running_;
  TaskQueue builds_;
  TaskQueue trees_;
  TaskQueue removals_;
  std::mutex pipes_mutex_;
  std::vector<LogPipe> free_pipes_;
  int first_private_ = 64;
};

}  // namespace

void Serve(const Identities& identities, const LauncherDirectories& directories, unsigned int most_jobs) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();
  umask(022);
  PrepareSignals();
  PrepareDescriptors();

  Result<Root> root = EnterOwnRoot(directories);
  Channel channel(kChannelFd);
  if (!root.ok()) {
    channel.SendFailure(0, root.failure());
    _exit(1);
  }
  // Never deleted: threads use it until the process ends.
  Launcher& launcher = *new Launcher(identities, *std::move(root));
  Result<void> started = launcher.Start(most_jobs);
  if (!started.ok()) {
    channel.SendFailure(0, started.failure());
    _exit(1);
  }
  Order order;
  while (launcher.channel().Receive(order)) launcher.Take(std::move(order));
  launcher.Clear();
  _exit(0);  // and the kernel waits for the last process
}

}  // namespace cloister
