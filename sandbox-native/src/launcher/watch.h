// A build while it runs: its output is read and sent, and it is ended at its limits.
#pragma once

#include <cstdint>
#include <optional>

#include "core/message.h"
#include "launcher/build-guard.h"
#include "launcher/channel.h"
#include "launcher/ending.h"
#include "launcher/refusal-log.h"
#include "linux/jail-spec.h"
#include "linux/jail.h"

namespace cloister {

class Watch {
 public:
  /// `log_fd` does not block.
  Watch(Channel& channel, uint64_t order, const JailSpec& spec, Jail& jail, BuildGuard& guard, int log_fd,
        RefusalLog& refusals) noexcept
      : channel_(channel), order_(order), spec_(spec), jail_(jail), guard_(guard), log_fd_(log_fd), refusals_(refusals) {}

  /// Until the last process is gone and all it wrote is sent. Gives the reason if it was ended here.
  std::optional<Ending> UntilEnd();

 private:
  int TimeoutMs(uint64_t start, uint64_t last_output) const;
  void End(Ending::Kind reason) { End(Ending{.kind = reason}); }
  void End(Ending reason);
  void ReadOutput(bool all);

  Channel& channel_;
  uint64_t order_;
  const JailSpec& spec_;
  Jail& jail_;
  BuildGuard& guard_;
  int log_fd_;
  RefusalLog& refusals_;
  std::optional<Ending> reason_;
  uint64_t written_ = 0;
  char buffer_[kInlineBody];
};

}  // namespace cloister
