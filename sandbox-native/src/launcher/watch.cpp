#include "launcher/watch.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

namespace cloister {
namespace {

bool Passed(uint64_t limit_ms, uint64_t since, uint64_t now) { return limit_ms != 0 && now - since >= limit_ms * 1000; }

}  // namespace

uint64_t NowMicroseconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

std::optional<Ending> Watch::UntilEnd() {
  const uint64_t start = NowMicroseconds();
  uint64_t last_output = start;
  // In this order: when the first is ready, all that was ever written is there to be seen by the second.
  pollfd entries[3] = {{jail_.pidfd(), POLLIN, 0}, {log_fd_, POLLIN, 0}, {-1, POLLIN, 0}};
  for (;;) {
    entries[2].fd = refusals_.fd();
    const int ready = poll(entries, 3, TimeoutMs(start, last_output));
    if (ready < 0 && errno != EINTR) End(Ending::Kind::kCancelled);
    const bool ended = ready > 0 && entries[0].revents != 0;
    if (ready > 0 && (entries[1].revents & POLLIN) != 0) {
      last_output = NowMicroseconds();
      ReadOutput(/*all=*/ended);
    }
    if (ended) return reason_;
    if (ready > 0 && entries[2].revents != 0) refusals_.Serve(jail_);
    const uint64_t now = NowMicroseconds();
    if (Passed(spec_.wall_time_ms, start, now)) End(Ending::Kind::kTimedOut);
    if (Passed(spec_.silence_ms, last_output, now)) End(Ending::Kind::kSilent);
    if (reason_ || now < guard_.next_look()) continue;
    if (std::optional<Ending> met = guard_.Look()) End(*std::move(met));
  }
}

int Watch::TimeoutMs(uint64_t start, uint64_t last_output) const {
  if (reason_) return -1;
  const uint64_t now = NowMicroseconds();
  uint64_t wait_ms = guard_.next_look() <= now ? 0 : (guard_.next_look() - now + 999) / 1000;
  const auto consider = [&](uint64_t limit_ms, uint64_t since) {
    if (limit_ms == 0) return;
    const uint64_t passed_ms = (now - since) / 1000;
    wait_ms = std::min(wait_ms, passed_ms >= limit_ms ? 0 : limit_ms - passed_ms);
  };
  consider(spec_.wall_time_ms, start);
  consider(spec_.silence_ms, last_output);
  return static_cast<int>(std::min<uint64_t>(wait_ms, 1 << 30));
}

void Watch::End(Ending reason) {
  if (reason_) return;
  reason_ = std::move(reason);
  jail_.Kill();
}

void Watch::ReadOutput(bool all) {
  do {
    const ssize_t size = read(log_fd_, buffer_, sizeof buffer_);
    if (size <= 0) return;
    uint64_t length = static_cast<uint64_t>(size);
    if (spec_.log_bytes != 0 && written_ + length > spec_.log_bytes) {
      length = spec_.log_bytes - written_;
      End(Ending::Kind::kLogLimit);
    }
    written_ += length;
    if (length > 0) channel_.Send(MessageKind::kLog, order_, {buffer_, static_cast<size_t>(length)});
  } while (all);
}

}  // namespace cloister
