#include "launcher/jail-factory.h"

#include <fcntl.h>
#include <sched.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <utility>

#include "core/defences.h"
#include "launcher/thread.h"
#include "linux/syscall-filter.h"

namespace cloister {
namespace {

constexpr char kCode[] = "JAIL_STEP_FAILED";

/// What fails leaves nothing.
Result<UniqueFd> MakeDirectory(int parent_fd, const std::string& name, JailIdentity owner, mode_t mode) {
  if (mkdirat(parent_fd, name.c_str(), 0700) != 0) return Failure::Errno(kCode, "make-directory", name);
  const auto failed = [&](const char* step) {
    const Failure failure = Failure::Errno(kCode, step, name);
    unlinkat(parent_fd, name.c_str(), AT_REMOVEDIR);
    return failure;
  };
  UniqueFd directory(openat(parent_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return failed("open-directory");
  if (fchown(directory.get(), owner.uid, owner.gid) != 0) return failed("give-directory");
  if (fchmod(directory.get(), mode) != 0) return failed("set-mode");
  return directory;
}

}  // namespace

Result<void> JailFactory::Start(const Root& root, NameSource& names, const Identities& identities, const Plan& prepare,
                                JailIdentity inside, const ControlGroups& groups, unsigned int most, bool filtered) {
  root_ = &root;
  names_ = &names;
  identities_ = identities;
  prepare_ = &prepare;
  inside_ = inside;
  groups_ = &groups;
  most_ = most;
  filtered_ = filtered;
  used_.assign(identities.count, false);
  return StartThread(&JailFactory::Main, this);
}

Result<PreparedJail> JailFactory::Take(const std::function<void(uint32_t)>& on_exhausted) {
  std::unique_lock lock(mutex_);
  if (waiting_.empty()) {
    ++takers_;
    // Told before it waits, so that it is told at all; a jail that is being made is somebody's who came before.
    if (IsExhausted() && failures_.empty()) on_exhausted(identities_.count);
    wanted_.notify_one();
    made_.wait(lock, [this] { return !waiting_.empty() || !failures_.empty(); });
    --takers_;
  }
  if (waiting_.empty()) {
    Failure failure = std::move(failures_.front());
    failures_.pop_front();
    return failure;
  }
  PreparedJail prepared = std::move(waiting_.front());
  waiting_.pop_front();
  ++running_;
  if (ShouldMake()) wanted_.notify_one();
  return prepared;
}

void JailFactory::Release(uint32_t identity_index) {
  const std::lock_guard lock(mutex_);
  GiveIdentity(identity_index);
  --running_;
  if (ShouldMake()) wanted_.notify_one();
}

void JailFactory::TakeBack(NetNamespace network) {
  // In single strength the builder is outside who the launcher is, and some settings go by that alone.
  if (identities_.strength == Strength::kSingle || !network.IsUntouched()) return;
  const std::lock_guard lock(mutex_);
  if (networks_.size() < most_) networks_.push_back(std::move(network));
}

void JailFactory::Stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  made_.wait(lock, [this] { return !making_; });
}

bool JailFactory::ShouldMake() const noexcept {
  if (stopped_ || IsExhausted()) return false;
  if (takers_ > failures_.size() + waiting_.size()) return true;
  if (failed_) return false;
  // Making a jail beside a running build slows that down, so what can wait until nothing runs does.
  return waiting_.size() < (running_ == 0 ? most_ : (most_ + 1) / 2);
}

void* JailFactory::Main(void* self) {
  pthread_setname_np(pthread_self(), "prepare");  // and of what it prepares, until that is the builder
  static_cast<JailFactory*>(self)->Run();
  return nullptr;
}

void JailFactory::Run() {
  // A jail's mount namespace begins as a copy of this thread's, which stays as small as the launcher's is at its start.
  if (unshare(CLONE_FS | CLONE_NEWNS) != 0) defect_ = Failure::Errno(kCode, "leave-mount-namespace");
  if (filtered_ && HasDefence(Defence::kSeccomp)) {
    Result<void> installed = InstallInheritedFilter();
    if (!installed.ok()) defect_ = installed.failure();
  }
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return ShouldMake(); });
    const uint32_t identity_index = TakeIdentity();
    making_ = true;
    lock.unlock();
    Result<PreparedJail> prepared = Make(identity_index);
    lock.lock();
    making_ = false;
    failed_ = !prepared.ok();
    if (prepared.ok()) {
      waiting_.push_back(*std::move(prepared));
    } else {
      GiveIdentity(identity_index);
      if (takers_ > failures_.size()) failures_.push_back(prepared.failure());
    }
    made_.notify_all();
  }
}

/// In turn, so that an id is used again as late as possible. In single strength there is but one for all.
uint32_t JailFactory::TakeIdentity() {
  if (SharesIdentity()) return 0;
  assert(used_count_ < identities_.count);  // see ShouldMake
  ++used_count_;
  do {
    next_identity_ = (next_identity_ + 1) % identities_.count;
  } while (used_[next_identity_]);
  used_[next_identity_] = true;
  return next_identity_;
}

void JailFactory::GiveIdentity(uint32_t index) {
  if (SharesIdentity()) return;
  used_[index] = false;
  --used_count_;
}

bool JailFactory::SharesIdentity() const noexcept {
  return identities_.strength == Strength::kSingle || !HasDefence(Defence::kFreshUid);
}

bool JailFactory::IsExhausted() const noexcept { return !SharesIdentity() && used_count_ == identities_.count; }

Result<PreparedJail> JailFactory::Make(uint32_t identity_index) {
  if (defect_) return *defect_;
  PreparedJail prepared;
  prepared.identity_index = identity_index;
  const JailIdentity identity = HasDefence(Defence::kBuildUser) ? identities_.At(identity_index) : JailIdentity{0, 0};
  Result<void> directory = MakeBuildDirectory(prepared, identity);
  if (!directory.ok()) return directory.failure();
  Result<NetNamespace> network = EnterNetwork();
  if (groups_->must_be_joined_early(identities_.strength == Strength::kRange)) prepared.group = groups_->Make(prepared.workspace);
  const auto join = [&](pid_t pid) {
    if (prepared.group && !groups_->Join(*prepared.group, pid)) groups_->Remove(*std::exchange(prepared.group, std::nullopt));
  };
  Result<std::unique_ptr<Jail>> jail = network.ok() ? Jail::Prepare(*prepare_, identity, inside_, join) : network.failure();
  if (!jail.ok()) {
    if (prepared.group) groups_->Remove(*std::move(prepared.group));
    unlinkat(root_->builds.get(), (prepared.workspace + "/build").c_str(), AT_REMOVEDIR);
    unlinkat(root_->builds.get(), prepared.workspace.c_str(), AT_REMOVEDIR);
    return jail.failure();
  }
  prepared.jail = *std::move(jail);
  prepared.network = *std::move(network);
  return prepared;
}

Result<NetNamespace> JailFactory::EnterNetwork() {
  NetNamespace network;
  if (!HasDefence(Defence::kOwnNetwork)) return network;
  {
    const std::lock_guard lock(mutex_);
    if (!networks_.empty()) {
      network = std::move(networks_.back());
      networks_.pop_back();
    }
  }
  if (!network) return NetNamespace::Make();
  Result<void> entered = network.Enter();
  if (!entered.ok()) return entered.failure();
  return network;
}

Result<void> JailFactory::MakeBuildDirectory(PreparedJail& prepared, JailIdentity identity) const {
  prepared.workspace = names_->Next("build");
  Result<UniqueFd> workspace = MakeDirectory(root_->builds.get(), prepared.workspace, JailIdentity{0, 0},
                                             HasDefence(Defence::kClosedToOthers) ? 0700 : 0777);
  if (!workspace.ok()) return workspace.failure();
  Result<UniqueFd> build = MakeDirectory(workspace->get(), "build", identity, 0700);
  if (!build.ok()) {
    unlinkat(root_->builds.get(), prepared.workspace.c_str(), AT_REMOVEDIR);
    return build.failure();
  }
  prepared.build_fd = *std::move(build);
  return {};
}

}  // namespace cloister
