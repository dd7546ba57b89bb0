#include "launcher/refusal-log.h"

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "linux/jail-plan.h"

namespace cloister {
namespace {

/// A builder may call what has no name as often and with as many numbers as it likes.
constexpr size_t kMostNames = 1000;

}  // namespace

Result<void> RefusalLog::Open(const SeccompSpec& spec) {
  spec_ = spec;
  over_ = !spec.log;
  if (over_) return {};
  ready_.Reset(eventfd(0, EFD_CLOEXEC));
  if (!ready_) return Failure::Errno("JAIL_STEP_FAILED", "open-refusal-log");
  return {};
}

void RefusalLog::Serve(Jail& jail) {
  if (listener_) return Answer();
  listener_.Reset(jail.TakeSlot(kListenerSlot));
  over_ = true;
}

void RefusalLog::Close(Jail& jail) {
  if (spec_.log && !over_) UniqueFd(jail.TakeSlot(kListenerSlot)).Reset();
  listener_.Reset();
  over_ = true;
}

void RefusalLog::Answer() {
  seccomp_notif call{};
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
    if (errno != EINTR && errno != ENOENT) listener_.Reset();  // nobody is left who could ask
    return;
  }
  const uint32_t action = RunFilter(WholeFilter(spec_), call.data);
  const int error = static_cast<int>(action & SECCOMP_RET_DATA);
  if (counts_.size() < kMostNames) ++counts_[{CallNameOf(call.data), error}];
  seccomp_notif_resp answer{};
  answer.id = call.id;
  answer.error = -error;
  (void)ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);  // fails if it was killed meanwhile
}

std::string RefusalLog::Body() const {
  MessageWriter body;
  body.U32(static_cast<uint32_t>(counts_.size()));
  for (const auto& [call, count] : counts_) body.Bytes(call.first).U32(static_cast<uint32_t>(call.second)).U64(count);
  return std::string(body.body());
}

}  // namespace cloister
