// One jail: its first process, from clone to its end.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <csignal>
#include <functional>
#include <memory>
#include <utility>

#include "core/plan.h"
#include "core/result.h"
#include "core/unique-fd.h"
#include "linux/run-plan.h"

namespace cloister {

/// The ids that a jail's builder has in the launcher's user namespace.
struct JailIdentity {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// A jail whose namespaces and root are made and which waits for the rest of its plan. Used once. When the object goes,
/// the jail is killed, with all that runs in it, and waited for.
class Jail {
 public:
  /// Makes one, as far as `prepare` goes, which must outlive it. It gets the network namespace in which the calling thread
  /// is. `joins` is called with its process before that takes its ids. Fails with JAIL_STEP_FAILED.
  static Result<std::unique_ptr<Jail>> Prepare(const Plan& prepare, JailIdentity identity, JailIdentity inside,
                                               const std::function<void(pid_t)>& joins);
  ~Jail();
  Jail(const Jail&) = delete;
  Jail& operator=(const Jail&) = delete;

  const JailIdentity& identity() const noexcept { return identity_; }
  pid_t pid() const noexcept { return pid_; }
  /// Readable when the last process of the jail is gone.
  int pidfd() const noexcept { return pidfd_.get(); }

  /// Holds the jail's mounts, whose unmounting would else be a part of its end: to be closed where nobody waits.
  UniqueFd TakeMountNamespace() noexcept { return std::move(mount_namespace_); }

  /// A descriptor that a step of the plan has left in a slot, in the table that jail and launcher shared; -1 if none has.
  int TakeSlot(int slot) noexcept;

  /// Lets it run to its end; `finish` must outlive it.
  void Release(const Plan& finish) noexcept;
  void Kill() noexcept;
  /// Waits for the last process. `info` tells the first one's end, `usage` what all of them took.
  void Wait(siginfo_t& info, struct rusage& usage) noexcept;
  /// After Wait: the step that failed before the builder began, if one did.
  const Step* FailedStep(int& error) const noexcept;

 private:
  explicit Jail(JailIdentity identity) noexcept : identity_(identity) {}
  Result<void> Start(const Plan& prepare, JailIdentity inside, const std::function<void(pid_t)>& joins);
  Result<void> WaitUntilReady(const Plan& prepare);
  void CloseSlots() noexcept;

  JailIdentity identity_;
  JailControl control_{};
  void* stack_ = nullptr;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd mount_namespace_;
  bool waited_ = false;
};

}  // namespace cloister
