// Network namespaces with nothing but a loopback interface. To make one and to take it down are the dearest parts of a
// jail, so one that nobody has used is handed on to the next jail.
#pragma once

#include <array>
#include <string>

#include "core/result.h"
#include "core/unique-fd.h"

namespace cloister {

/// Belongs to the launcher's user namespace, not to a jail's: no builder has a say in it.
class NetNamespace {
 public:
  NetNamespace() = default;

  /// Makes one whose loopback is up; the calling thread is in it afterwards. Fails with JAIL_STEP_FAILED.
  static Result<NetNamespace> Make();

  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  int fd() const noexcept { return fd_.get(); }

  /// Brings the calling thread into it, and what that clones from now on. Fails with JAIL_STEP_FAILED.
  Result<void> Enter() const;

  /// Whether it is as it was made, to be asked when the last process of its jail is gone: no socket is left, not even
  /// one that another one's queue holds, the interfaces are the same, and no counter of any protocol has moved: no
  /// packet was ever sent, no call ever failed. What a builder could have left for another one would show there.
  bool IsUntouched() const;

 private:
  static constexpr size_t kViews = 7;

  UniqueFd fd_;
  std::array<UniqueFd, kViews> views_;  // what the kernel tells about it; not there: the kernel has no such protocol
  std::string fresh_;                   // what they said when it was new

  std::string ReadViews() const;
};

}  // namespace cloister
