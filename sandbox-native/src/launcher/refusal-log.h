// What a jail's filter refuses, while it is asked about each such call: for a build whose user wants to know.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "core/message.h"
#include "core/result.h"
#include "core/unique-fd.h"
#include "linux/jail.h"
#include "linux/syscall-filter.h"

namespace cloister {

class RefusalLog {
 public:
  /// Does nothing unless the spec asks for the log. Fails with JAIL_STEP_FAILED.
  Result<void> Open(const SeccompSpec& spec);

  /// For the jail's plan: what it writes to when there is a listener. -1: no log.
  int ready_fd() const noexcept { return ready_.get(); }
  /// What is to be polled for reading, one after the other; -1: nothing.
  int fd() const noexcept { return listener_ ? listener_.get() : over_ ? -1 : ready_.get(); }
  /// That is readable, or its other end is gone.
  void Serve(Jail& jail);
  /// The jail is gone: its listener is closed if it was not taken.
  void Close(Jail& jail);

  /// The names of the calls, with errno and count.
  std::string Body() const;

 private:
  void Answer();

  SeccompSpec spec_;
  UniqueFd ready_;     // an eventfd
  UniqueFd listener_;  // taken from the jail
  bool over_ = false;
  std::map<std::pair<std::string, int>, uint64_t> counts_;
};

}  // namespace cloister
