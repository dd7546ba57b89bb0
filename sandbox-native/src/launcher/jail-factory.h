// Makes jails ahead, in time that nobody waits for. Each is used once; its build directory and its ids come with it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/plan.h"
#include "core/result.h"
#include "core/unique-fd.h"
#include "launcher/control-groups.h"
#include "launcher/identity.h"
#include "launcher/name-source.h"
#include "launcher/root.h"
#include "linux/jail.h"
#include "linux/net-namespace.h"

namespace cloister {

/// A jail that waits, with the directory that only it will see.
struct PreparedJail {
  std::unique_ptr<Jail> jail;
  NetNamespace network;
  uint32_t identity_index = 0;
  std::string workspace;  // in builds, 0700; holds "build", which is the builder's
  UniqueFd build_fd;
  std::optional<ControlGroup> group;
};

class JailFactory {
 public:
  /// Starts the thread; `root`, `names`, `prepare` and `groups` must outlive it. `most` jails wait at a time, and new ones are begun
  /// when fewer than half of that are left, or nothing runs. `inside` are the ids for which `prepare` was made. With `filtered` they have the inherited part of the standard
  /// filter, else none yet. Fails as StartThread.
  Result<void> Start(const Root& root, NameSource& names, const Identities& identities, const Plan& prepare,
                     JailIdentity inside, const ControlGroups& groups, unsigned int most, bool filtered);

  /// The next jail; waits for one if need be, and calls `on_exhausted` with the count of ids if all of them are in use.
  /// Fails with what preparing one failed with.
  Result<PreparedJail> Take(const std::function<void(uint32_t)>& on_exhausted);
  /// A build is over: its jail is gone, so its ids may be used again.
  void Release(uint32_t identity_index);
  /// Takes back the network of a jail that is gone, for another one if nobody has used it. Takes some time.
  void TakeBack(NetNamespace network);
  /// Makes no more, and returns when the one being made is done. Who waits in Take waits for ever.
  void Stop();

 private:
  static void* Main(void* self);
  [[noreturn]] void Run();
  bool ShouldMake() const noexcept;
  Result<PreparedJail> Make(uint32_t identity_index);
  Result<NetNamespace> EnterNetwork();
  Result<void> MakeBuildDirectory(PreparedJail& prepared, JailIdentity identity) const;
  uint32_t TakeIdentity();
  void GiveIdentity(uint32_t index);
  bool SharesIdentity() const noexcept;
  bool IsExhausted() const noexcept;

  const Root* root_ = nullptr;
  NameSource* names_ = nullptr;
  const Plan* prepare_ = nullptr;
  const ControlGroups* groups_ = nullptr;
  Identities identities_;
  JailIdentity inside_;
  unsigned int most_ = 0;
  bool filtered_ = false;
  std::optional<Failure> defect_;  // why none can be made

  std::mutex mutex_;
  std::condition_variable wanted_;
  std::condition_variable made_;
  std::deque<PreparedJail> waiting_;
  std::deque<Failure> failures_;  // one for each taker that has nothing else to get
  std::vector<NetNamespace> networks_;  // as new
  std::vector<bool> used_;
  uint32_t used_count_ = 0;
  uint32_t next_identity_ = 0;
  unsigned int takers_ = 0;
  unsigned int running_ = 0;
  bool making_ = false;
  bool stopped_ = false;
  bool failed_ = false;  // the last attempt failed: only a taker starts another
};

}  // namespace cloister
