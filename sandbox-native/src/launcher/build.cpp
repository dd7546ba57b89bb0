#include "launcher/build.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "launcher/build-guard.h"
#include "launcher/jail-mounts.h"
#include "launcher/move-into-store.h"
#include "launcher/network-helper.h"
#include "launcher/processors.h"
#include "launcher/watch.h"
#include "linux/jail-plan.h"

namespace cloister {
namespace {

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

Ending DescribeEnding(const Jail& jail, const siginfo_t& info, std::optional<Ending> reason, const BuildGuard& guard) {
  int error = 0;
  if (const Step* step = jail.FailedStep(error)) {
    const bool is_exec = std::strcmp(step->name, "exec") == 0;
    return {is_exec ? Ending::Kind::kExecFailed : Ending::Kind::kSetupFailed, 0,
            Failure{"JAIL_STEP_FAILED", step->name, error, step->path != nullptr ? step->path : "", 0}};
  }
  if (reason) return *std::move(reason);
  const bool failed = info.si_code != CLD_EXITED || info.si_status != 0;
  if (std::optional<Ending> met = failed ? guard.FindReason() : std::nullopt) return *std::move(met);
  if (info.si_code == CLD_EXITED) return {Ending::Kind::kExited, info.si_status, {}};
  return {Ending::Kind::kSignalled, info.si_status, {}};
}

bool IsRefusal(const Failure& failure) {
  const std::string_view code = failure.code;
  return code.starts_with("OUTPUT_") || code == "TREE_NOT_FLAT" || code == "TREE_SPECIAL_FILE" || code == "TREE_TOO_DEEP";
}

/// Appends one output's part of the answer; true if it is sealed. A failure that is not the builder's fault is given back.
Result<bool> SealOutput(const PreparedJail& prepared, const View& view, const BuildOrder& order, const OutputOrder& output,
                        SealedInodes& inodes, MessageWriter& body) {
  enum : uint8_t { kMissing, kRefused, kSealed };
  struct stat status{};
  body.Bytes(output.name);
  if (fstatat(view.fd(), output.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    body.U8(kMissing);
    return false;
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
    return false;
  }
  body.U8(kSealed).Bytes(view.name() + "/" + output.name);
  WriteSealedTree(body, *sealed);
  return true;
}

/// True if all are sealed.
Result<bool> SealOutputs(const PreparedJail& prepared, const View& view, const BuildOrder& order, MessageWriter& body) {
  std::vector<std::string> names;
  for (const OutputOrder& output : order.outputs) {
    struct stat status{};
    if (fstatat(view.fd(), output.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) names.push_back(output.name);
  }
  SealedInodes inodes(view.fd(), std::move(names));
  bool all = true;
  for (const OutputOrder& output : order.outputs) {
    Result<bool> sealed = SealOutput(prepared, view, order, output, inodes, body);
    if (!sealed.ok()) return sealed.failure();
    all = all && *sealed;
  }
  return all;
}

/// All or none.
Result<void> MoveOutputs(const BuildContext& context, const View& view, const BuildOrder& order) {
  for (size_t index = 0; index < order.outputs.size(); ++index) {
    const std::string& name = order.outputs[index].name;
    Result<void> moved = MoveIntoStore(context.root, context.reaper, view.fd(), name, name);
    if (moved.ok()) continue;
    for (size_t before = 0; before < index; ++before)
      TakeOutOfStore(context.root, context.reaper, order.outputs[before].name, context.names.NextForTrash());
    return moved;
  }
  return {};
}

uint64_t Microseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
}

/// All of a build that needs its jail's directories.
class Build {
 public:
  Build(const BuildContext& context, uint64_t id, const BuildOrder& order, PreparedJail& prepared, View& view,
        BuildGuard& guard, Stopwatch stopwatch)
      : context_(context), id_(id), order_(order), prepared_(prepared), view_(view), guard_(guard),
        stopwatch_(std::move(stopwatch)) {}

  void Run(const LogPipe& log, int first_private) {
    log.Reset();
    if (order_.spec.resources.required && guard_.unenforced() != 0) {
      ending_.kind = Ending::Kind::kNotEnforced;
      return;
    }
    Result<WayOut> way = OpenWay();
    Result<OpenedMounts> opened = OpenJailMounts(context_.root, prepared_, view_, order_.spec);
    stopwatch_.Lap("open-inputs");
    if (opened.ok() && way.ok() && order_.spec.has_network) {
      Result<void> done = way->Wait();
      if (!done.ok()) way = done.failure();
      stopwatch_.Lap("open-network");
    }
    if (!opened.ok() || !way.ok())
      return void(ending_ = {Ending::Kind::kSetupFailed, 0, opened.ok() ? way.failure() : opened.failure()});
    opened_ = *std::move(opened);
    if (order_.spec.build_in_memory) guard_.SetMemoryDirectory(opened_.mounts.build_directory_fd);
    Result<void> refusals = refusals_.Open(order_.spec.seccomp);
    if (!refusals.ok()) return void(ending_ = {Ending::Kind::kSetupFailed, 0, refusals.failure()});
    const Plan finish =
        MakeFinishPlan(order_.spec, opened_.mounts, log.write_end.get(), first_private, refusals_.ready_fd());
    stopwatch_.Lap("make-plan");
    const uint64_t start = NowMicroseconds();
    prepared_.jail->Release(finish);
    stopwatch_.Lap("release");
    Watch watch(context_.channel, id_, order_.spec, *prepared_.jail, guard_, log.read_end.get(), refusals_);
    std::optional<Ending> reason = watch.UntilEnd();
    stopwatch_.Lap("run");
    siginfo_t info{};
    prepared_.jail->Wait(info, usage_);
    refusals_.Close(*prepared_.jail);
    wall_microseconds_ = NowMicroseconds() - start;
    if (context_.running.IsCancelled(id_)) reason = Ending{.kind = Ending::Kind::kCancelled};
    ending_ = DescribeEnding(*prepared_.jail, info, std::move(reason), guard_);
    group_usage_ = guard_.ReadUsage();
    stopwatch_.Lap("wait");
  }

  /// A part of it is made while the mounts are opened.
  Result<WayOut> OpenWay() {
    if (!order_.spec.has_network) return WayOut();
    if (context_.network_fd < 0) return Failure{"JAIL_STEP_FAILED", "open-network", ENOENT, "to find pasta", 0};
    return WayOut::Open(context_.network_fd, prepared_.network.fd(), order_.spec.blocked_networks);
  }

  /// Whoever got the answer gives it up.
  bool has_left_directory() const { return done_.ok() && order_.keep_directory; }
  /// Nothing in the view is of use to anyone.
  bool is_over() const { return !done_.ok() || moved_; }
  const std::string& view_name() const { return view_name_; }

  void Seal() {
    view_name_ = view_.name();
    if (ending_.kind != Ending::Kind::kExited || ending_.value != 0) return;
    sealed_count_ = static_cast<uint32_t>(order_.outputs.size());
    Result<bool> sealed = SealOutputs(prepared_, view_, order_, outputs_);
    if (!sealed.ok()) done_ = sealed.failure();
    stopwatch_.Lap("seal");
    if (!sealed.ok() || !*sealed || !order_.move_outputs) return;
    done_ = MoveOutputs(context_, view_, order_);
    moved_ = done_.ok();
    stopwatch_.Lap("move");
  }

  void Answer() {
    if (!done_.ok()) return context_.channel.SendFailure(id_, done_.failure());
    MessageWriter body;
    body.U8(static_cast<uint8_t>(ending_.kind)).U32(static_cast<uint32_t>(ending_.value));
    body.Bytes(ending_.failure.step).U32(static_cast<uint32_t>(ending_.failure.error)).Bytes(ending_.failure.path);
    body.U32(prepared_.jail->identity().uid).Bytes(view_name_);
    body.U64(Microseconds(usage_.ru_utime)).U64(Microseconds(usage_.ru_stime));
    body.U64(static_cast<uint64_t>(usage_.ru_maxrss) * 1024).U64(wall_microseconds_);
    body.U64(group_usage_.read_bytes.value_or(static_cast<uint64_t>(usage_.ru_inblock) * 512));
    body.U64(group_usage_.written_bytes.value_or(static_cast<uint64_t>(usage_.ru_oublock) * 512));
    body.U8(moved_ ? 1 : 0);
    body.U64(ending_.limit).U64(ending_.reached).U32(guard_.unenforced());
    body.U64(group_usage_.peak_memory_bytes.value_or(0)).U64(group_usage_.most_processes.value_or(0));
    body.Bytes(order_.keep_directory ? prepared_.workspace : "");
    stopwatch_.Write(body);
    body.U32(sealed_count_);
    context_.channel.Send(MessageKind::kAnswer, id_, body.body() + outputs_.body() + refusals_.Body());
  }

 private:
  const BuildContext& context_;
  uint64_t id_;
  const BuildOrder& order_;
  PreparedJail& prepared_;
  View& view_;
  BuildGuard& guard_;
  OpenedMounts opened_;  // closed when the answer has been sent
  Stopwatch stopwatch_;  // begun when the order was taken up
  Ending ending_;
  RefusalLog refusals_;
  std::string view_name_;
  MessageWriter outputs_;
  Result<void> done_;  // or what failed in sealing and moving that is not the builder's fault
  uint32_t sealed_count_ = 0;  // how many outputs were looked at
  bool moved_ = false;
  struct rusage usage_{};
  GroupUsage group_usage_;
  uint64_t wall_microseconds_ = 0;
};

}  // namespace

Result<std::vector<LogPipe>> MakeLogPipes(unsigned int count, int& first_private) {
  std::vector<LogPipe> pipes;
  for (unsigned int index = 0; index < count; ++index) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return Failure::Errno("LAUNCHER_START_FAILED", "make-pipe");
    LogPipe& log = pipes.emplace_back();
    log.read_end.Reset(fds[0]);
    log.write_end.Reset(fds[1]);
    log.size = fcntl(fds[1], F_GETPIPE_SZ);
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
  JailFactory& factory = order->spec.other_ids                 ? context.varied_factory
                         : order->spec.seccomp.is_standard() ? context.factory
                                                             : context.other_factory;
  if (order->spec.most_processors != 0) order->spec.processors = FindProcessors(order->spec.most_processors);
  Result<PreparedJail> prepared = factory.Take([&](uint32_t count) {
    const std::string says = "cloister: waits for a free build user: all " + std::to_string(count) + " are in use\n";
    context.channel.Send(MessageKind::kLog, message.id, says);
  });
  stopwatch.Lap("take-jail");
  if (!prepared.ok()) {
    context.running.Remove(message.id);
    return context.channel.SendFailure(message.id, prepared.failure());
  }
  bool has_left_directory = false;
  Result<View> view = context.views.Take(prepared->jail->identity(), order->spec.fresh_view);
  if (view.ok()) {
    context.running.SetJail(message.id, *prepared->jail);
    BuildGuard guard(context.groups, order->spec, *prepared, *view);
    guard.Begin(order->spec.limits);
    stopwatch.Lap("limits");
    Build build(context, message.id, *order, *prepared, *view, guard, std::move(stopwatch));
    build.Run(log, first_private);
    build.Seal();
    context.views.Keep(*std::move(view));  // before the answer, for it may be released at once
    build.Answer();
    if (build.is_over()) context.views.Release(build.view_name());
    has_left_directory = build.has_left_directory();
  } else {
    context.channel.SendFailure(message.id, view.failure());
  }
  context.running.Remove(message.id);
  UniqueFd mounts = prepared->jail->TakeMountNamespace();
  prepared->jail.reset();
  factory.Release(prepared->identity_index);
  context.reaper.Do([&factory, network = std::make_shared<NetNamespace>(std::move(prepared->network))] {
    factory.TakeBack(std::move(*network));
  });
  if (prepared->group) {
    // Shared, because a task can be copied and descriptors cannot.
    auto group = std::make_shared<ControlGroup>(*std::move(prepared->group));
    context.reaper.Do([&groups = context.groups, group] { groups.Remove(std::move(*group)); });
  }
  if (!has_left_directory) context.reaper.Remove(context.root.builds.get(), std::move(prepared->workspace), std::move(mounts));
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
