#include "launcher/build.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "launcher/jail-mounts.h"
#include "linux/jail-plan.h"

namespace cloister {
namespace {

uint64_t NowMicroseconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

/// How long each part of the work took.
class Stopwatch {
 public:
  void Lap(const char* name) {
    const uint64_t now = NowMicroseconds();
    laps_.emplace_back(name, now - last_);
    last_ = now;
  }
  void Write(MessageWriter& body) const {
    body.U32(static_cast<uint32_t>(laps_.size()));
    for (const auto& [name, microseconds] : laps_) body.Bytes(name).U64(microseconds);
  }

 private:
  uint64_t last_ = NowMicroseconds();
  std::vector<std::pair<const char*, uint64_t>> laps_;
};

/// Reads a build's output while it runs and ends it at its limits.
class Watch {
 public:
  Watch(const BuildContext& context, const LogPipe& log, uint64_t order, const JailSpec& spec, Jail& jail)
      : context_(context), log_(log), order_(order), spec_(spec), jail_(jail) {}

  /// Until the last process is gone and all it wrote is sent. Gives the reason if it was ended here.
  std::optional<Ending::Kind> UntilEnd() {
    const uint64_t start = NowMicroseconds();
    uint64_t last_output = start;
    pollfd entries[2] = {{jail_.pidfd(), POLLIN, 0}, {log_.read_end.get(), POLLIN, 0}};
    for (;;) {
      const int timeout = TimeoutMs(start, last_output);
      const int ready = poll(entries, 2, timeout);
      if (ready < 0 && errno != EINTR) End(Ending::Kind::kCancelled);
      const bool ended = ready > 0 && entries[0].revents != 0;
      if (ready > 0 && (entries[1].revents & POLLIN) != 0) {
        last_output = NowMicroseconds();
        ReadOutput(/*all=*/ended);
      }
      if (ended) return reason_;
      const uint64_t now = NowMicroseconds();
      if (Passed(spec_.wall_time_ms, start, now)) End(Ending::Kind::kTimedOut);
      if (Passed(spec_.silence_ms, last_output, now)) End(Ending::Kind::kSilent);
    }
  }

 private:
  static bool Passed(uint64_t limit_ms, uint64_t since, uint64_t now) { return limit_ms != 0 && now - since >= limit_ms * 1000; }

  int TimeoutMs(uint64_t start, uint64_t last_output) const {
    if (reason_) return -1;
    const uint64_t now = NowMicroseconds();
    uint64_t wait_ms = UINT64_MAX;
    const auto consider = [&](uint64_t limit_ms, uint64_t since) {
      if (limit_ms == 0) return;
      const uint64_t passed_ms = (now - since) / 1000;
      wait_ms = std::min(wait_ms, passed_ms >= limit_ms ? 0 : limit_ms - passed_ms);
    };
    consider(spec_.wall_time_ms, start);
    consider(spec_.silence_ms, last_output);
    return wait_ms == UINT64_MAX ? -1 : static_cast<int>(std::min<uint64_t>(wait_ms, 1 << 30));
  }

  void End(Ending::Kind reason) {
    if (reason_) return;
    reason_ = reason;
    jail_.Kill();
  }

  void ReadOutput(bool all) {
    do {
      const ssize_t size = read(log_.read_end.get(), buffer_, sizeof buffer_);
      if (size <= 0) return;
      uint64_t length = static_cast<uint64_t>(size);
      if (spec_.log_bytes != 0 && written_ + length > spec_.log_bytes) {
        length = spec_.log_bytes - written_;
        End(Ending::Kind::kLogLimit);
      }
      written_ += length;
      if (length > 0) context_.channel.Send(MessageKind::kLog, order_, {buffer_, static_cast<size_t>(length)});
    } while (all);
  }

  const BuildContext& context_;
  const LogPipe& log_;
  uint64_t order_;
  const JailSpec& spec_;
  Jail& jail_;
  std::optional<Ending::Kind> reason_;
  uint64_t written_ = 0;
  char buffer_[kInlineBody];
};

Ending DescribeEnding(const Jail& jail, const siginfo_t& info, std::optional<Ending::Kind> reason) {
  int error = 0;
  if (const Step* step = jail.FailedStep(error)) {
    const bool is_exec = std::strcmp(step->name, "exec") == 0;
    return {is_exec ? Ending::Kind::kExecFailed : Ending::Kind::kSetupFailed, 0,
            Failure{"JAIL_STEP_FAILED", step->name, error, step->path != nullptr ? step->path : "", 0}};
  }
  if (reason) return {*reason, 0, {}};
  if (info.si_code == CLD_EXITED) return {Ending::Kind::kExited, info.si_status, {}};
  return {Ending::Kind::kSignalled, info.si_status, {}};
}

bool IsRefusal(const Failure& failure) {
  const std::string_view code = failure.code;
  return code.starts_with("OUTPUT_") || code == "TREE_NOT_FLAT" || code == "TREE_SPECIAL_FILE" || code == "TREE_TOO_DEEP";
}

/// Appends one output's part of the answer; a failure that is not the builder's fault is given back.
Result<void> SealOutput(const PreparedJail& prepared, const View& view, const BuildOrder& order, const OutputOrder& output,
                        SealedInodes& inodes, MessageWriter& body) {
  enum : uint8_t { kMissing, kRefused, kSealed };
  struct stat status{};
  body.Bytes(output.name);
  if (fstatat(view.fd(), output.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    body.U8(kMissing);
    return {};
  }
  SealOptions options;
  options.candidates = order.candidates;
  options.extra_hash = output.hash;
  if (output.modulo_self) options.self_hash_part = MakeHashPart(std::string_view(output.name).substr(0, 32));
  if (output.modulo_self && output.hash) {
    options.modulo_algorithm = output.hash->algorithm;
    options.extra_hash.reset();
  }
  options.expected_uid = prepared.jail->identity().uid;
  options.inodes = &inodes;
  Result<SealedTree> sealed = SealTree(view.fd(), output.name.c_str(), options);
  if (!sealed.ok()) {
    if (!IsRefusal(sealed.failure())) return sealed.failure();
    body.U8(kRefused).Bytes(sealed.failure().code).U32(static_cast<uint32_t>(sealed.failure().error)).Bytes(sealed.failure().path);
    return {};
  }
  body.U8(kSealed).Bytes(view.name() + "/" + output.name);
  WriteSealedTree(body, *sealed);
  return {};
}

Result<uint32_t> SealOutputs(const PreparedJail& prepared, const View& view, const BuildOrder& order, MessageWriter& body) {
  std::vector<std::string> names;
  for (const OutputOrder& output : order.outputs) {
    struct stat status{};
    if (fstatat(view.fd(), output.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) names.push_back(output.name);
  }
  SealedInodes inodes(view.fd(), std::move(names));
  for (const OutputOrder& output : order.outputs) {
    Result<void> sealed = SealOutput(prepared, view, order, output, inodes, body);
    if (!sealed.ok()) return sealed.failure();
  }
  return static_cast<uint32_t>(order.outputs.size());
}

uint64_t Microseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
}

/// All of a build that needs its jail's directories.
class Build {
 public:
  Build(const BuildContext& context, uint64_t id, const BuildOrder& order, PreparedJail& prepared, View& view,
        Stopwatch stopwatch)
      : context_(context), id_(id), order_(order), prepared_(prepared), view_(view), stopwatch_(std::move(stopwatch)) {}

  void Run(const LogPipe& log, int first_private) {
    Result<OpenedMounts> opened = OpenJailMounts(context_.root, prepared_, view_, order_.spec);
    stopwatch_.Lap("open-inputs");
    if (!opened.ok()) {
      ending_ = {Ending::Kind::kSetupFailed, 0, opened.failure()};
      return;
    }
    opened_ = *std::move(opened);
    const Plan finish = MakeFinishPlan(order_.spec, opened_.mounts, log.write_end.get(), first_private);
    stopwatch_.Lap("make-plan");
    const uint64_t start = NowMicroseconds();
    prepared_.jail->Release(finish);
    stopwatch_.Lap("release");
    const std::optional<Ending::Kind> reason = Watch(context_, log, id_, order_.spec, *prepared_.jail).UntilEnd();
    stopwatch_.Lap("run");
    siginfo_t info{};
    prepared_.jail->Wait(info, usage_);
    wall_microseconds_ = NowMicroseconds() - start;
    ending_ = DescribeEnding(*prepared_.jail, info, context_.running.IsCancelled(id_) ? Ending::Kind::kCancelled : reason);
    stopwatch_.Lap("wait");
  }

  bool answered() const { return sealed_.ok(); }
  const std::string& view_name() const { return view_name_; }

  void Seal() {
    view_name_ = view_.name();
    if (ending_.kind != Ending::Kind::kExited || ending_.value != 0) return;
    sealed_ = SealOutputs(prepared_, view_, order_, outputs_);
    stopwatch_.Lap("seal");
  }

  void Answer() {
    if (!sealed_.ok()) return context_.channel.SendFailure(id_, sealed_.failure());
    MessageWriter body;
    body.U8(static_cast<uint8_t>(ending_.kind)).U32(static_cast<uint32_t>(ending_.value));
    body.Bytes(ending_.failure.step).U32(static_cast<uint32_t>(ending_.failure.error)).Bytes(ending_.failure.path);
    body.U32(prepared_.jail->identity().uid).Bytes(view_name_);
    body.U64(Microseconds(usage_.ru_utime)).U64(Microseconds(usage_.ru_stime));
    body.U64(static_cast<uint64_t>(usage_.ru_maxrss) * 1024).U64(wall_microseconds_);
    body.U64(static_cast<uint64_t>(usage_.ru_inblock) * 512).U64(static_cast<uint64_t>(usage_.ru_oublock) * 512);
    stopwatch_.Write(body);
    body.U32(*sealed_);
    context_.channel.Send(MessageKind::kAnswer, id_, body.body() + outputs_.body());
  }

 private:
  const BuildContext& context_;
  uint64_t id_;
  const BuildOrder& order_;
  PreparedJail& prepared_;
  View& view_;
  OpenedMounts opened_;  // closed when the answer has been sent
  Stopwatch stopwatch_;  // begun when the order was taken up
  Ending ending_;
  std::string view_name_;
  MessageWriter outputs_;
  Result<uint32_t> sealed_ = 0u;  // how many outputs were looked at
  struct rusage usage_{};
  uint64_t wall_microseconds_ = 0;
};

}  // namespace

void RunningBuilds::Add(uint64_t order) {
  const std::lock_guard lock(mutex_);
  entries_[order];
}

void RunningBuilds::Cancel(uint64_t order) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(order);
  if (found == entries_.end()) return;
  found->second.cancelled = true;
  if (found->second.jail != nullptr) found->second.jail->Kill();
}

bool RunningBuilds::IsCancelled(uint64_t order) {
  const std::lock_guard lock(mutex_);
  return entries_[order].cancelled;
}

void RunningBuilds::SetJail(uint64_t order, Jail& jail) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[order];
  entry.jail = &jail;
  if (entry.cancelled) jail.Kill();
}

void RunningBuilds::Remove(uint64_t order) {
  const std::lock_guard lock(mutex_);
  entries_.erase(order);
}

Result<std::vector<LogPipe>> MakeLogPipes(unsigned int count, int& first_private) {
  std::vector<LogPipe> pipes;
  for (unsigned int index = 0; index < count; ++index) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return Failure::Errno("LAUNCHER_START_FAILED", "make-pipe");
    LogPipe& log = pipes.emplace_back();
    log.read_end.Reset(fds[0]);
    log.write_end.Reset(fds[1]);
    // Not the end that the builder gets: it would see EAGAIN instead of waiting.
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) return Failure::Errno("LAUNCHER_START_FAILED", "make-pipe");
    first_private = std::max({first_private, fds[0] + 1, fds[1] + 1});
  }
  return pipes;
}

void RunBuild(const BuildContext& context, const LogPipe& log, int first_private, const Order& message) {
  Stopwatch stopwatch;
  std::optional<BuildOrder> order = ReadBuildOrder(message.body);
  stopwatch.Lap("read-order");
  if (!order) {
    context.running.Remove(message.id);
    return context.channel.SendFailure(message.id, Failure{"JAIL_SPEC_INVALID", "read-order", EINVAL, "", 0});
  }
  Result<PreparedJail> prepared = context.factory.Take();
  stopwatch.Lap("take-jail");
  if (!prepared.ok()) {
    context.running.Remove(message.id);
    return context.channel.SendFailure(message.id, prepared.failure());
  }
  Result<View> view = context.views.Take(prepared->jail->identity());
  if (view.ok()) {
    context.running.SetJail(message.id, *prepared->jail);
    Build build(context, message.id, *order, *prepared, *view, std::move(stopwatch));
    build.Run(log, first_private);
    build.Seal();
    context.views.Keep(*std::move(view));  // before the answer, for it may be released at once
    build.Answer();
    if (!build.answered()) context.views.Release(build.view_name());  // nobody was told of it
  } else {
    context.channel.SendFailure(message.id, view.failure());
  }
  context.running.Remove(message.id);
  UniqueFd mounts = prepared->jail->TakeMountNamespace();
  prepared->jail.reset();
  context.factory.Release(prepared->identity_index);
  context.reaper.Remove(context.root.builds.get(), std::move(prepared->workspace), std::move(mounts));
}

void WriteSealedTree(MessageWriter& body, const SealedTree& sealed) {
  const auto optional = [&body](const std::optional<DigestBytes>& digest) {
    body.Bytes(digest ? digest->data() : nullptr, digest ? digest->size : 0);
  };
  body.Bytes(sealed.nar_hash.data(), sealed.nar_hash.size()).U64(sealed.nar_size);
  body.U32(static_cast<uint32_t>(sealed.references.size()));
  for (const HashPart& part : sealed.references) body.Bytes(ViewOf(part));
  optional(sealed.extra_hash);
  optional(sealed.modulo_self_hash);
}

}  // namespace cloister
