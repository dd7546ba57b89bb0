// A build while it runs: its output is read and sent, and it is ended at its limits.
#pragma once

#include <cstdint>
#include <optional>

#include "core/message.h"
#include "core/result.h"
#include "launcher/channel.h"
#include "linux/jail-spec.h"
#include "linux/jail.h"

namespace cloister {

/// Of a clock that only goes forward.
uint64_t NowMicroseconds() noexcept;

struct Ending {
  enum class Kind : uint8_t { kExited, kSignalled, kTimedOut, kSilent, kLogLimit, kCancelled, kSetupFailed, kExecFailed };
  Kind kind = Kind::kExited;
  int value = 0;  // the exit status or the signal
  Failure failure;
};

class Watch {
 public:
  /// `log_fd` does not block.
  Watch(Channel& channel, uint64_t order, const JailSpec& spec, Jail& jail, int log_fd) noexcept
      : channel_(channel), order_(order), spec_(spec), jail_(jail), log_fd_(log_fd) {}

  /// Until the last process is gone and all it wrote is sent. Gives the reason if it was ended here.
  std::optional<Ending::Kind> UntilEnd();

 private:
  int TimeoutMs(uint64_t start, uint64_t last_output) const;
  void End(Ending::Kind reason);
  void ReadOutput(bool all);

  Channel& channel_;
  uint64_t order_;
  const JailSpec& spec_;
  Jail& jail_;
  int log_fd_;
  std::optional<Ending::Kind> reason_;
  uint64_t written_ = 0;
  char buffer_[kInlineBody];
};

}  // namespace cloister
