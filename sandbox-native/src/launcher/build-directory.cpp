// The directory that a build worked in, after its end: archived for whoever asked for that, and removed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "launcher/orders.h"
#include "linux/jail-spec.h"
#include "linux/kernel.h"
#include "tree/dump.h"

namespace cloister {
namespace {

constexpr size_t kMostNames = 10;

/// It is the builder's, who may have closed any of it to everybody; nobody looks at it again but us.
class Lenient : public WalkPolicy {
 public:
  Result<bool> MakeReadable(const WalkPlace& place) override {
    struct stat status{};
    if (fstatat(place.parent_fd, place.name, &status, AT_SYMLINK_NOFOLLOW) != 0) return CallFailed("stat", place.path);
    const mode_t needed = S_ISDIR(status.st_mode) ? 0700 : 0400;
    return ChangeMode(place.parent_fd, place.name, status, (status.st_mode & 0777) | needed);
  }
  Result<void> Enter(const WalkPlace& place, UniqueFd& fd, struct stat& status) override {
    // Without it what is below could not be looked at.
    if (!S_ISDIR(status.st_mode) || (status.st_mode & 0700) == 0700) return {};
    if (fchmod(fd.get(), (status.st_mode & 0777) | 0700) != 0) return CallFailed("chmod", place.path);
    return {};
  }
  bool LeaveOut(const WalkPlace& place) override {
    ++left_out;
    if (names.size() < kMostNames) names.emplace_back(place.path);
    return true;
  }

  uint64_t left_out = 0;
  std::vector<std::string> names;
};

class FileSink : public Sink {
 public:
  FileSink(int fd, uint64_t most) : fd_(fd), most_(most) {}
  bool Write(const uint8_t* data, size_t size) override {
    if (size > most_ - written) {
      error = EFBIG;
      return false;
    }
    if (!WriteAll(fd_, data, size)) {
      error = errno;
      return false;
    }
    written += size;
    return true;
  }

  uint64_t written = 0;
  int error = 0;

 private:
  int fd_;
  uint64_t most_;
};

}  // namespace

void RunGiveUpBuildDirectory(const TreeContext& context, const Order& order) {
  MessageReader reader(order.body);
  const std::string workspace = reader.Text();
  const uint64_t most = reader.U64();
  if (!reader.Finished() || !IsBaseName(workspace) || order.descriptors.size() > 1)
    return context.channel.SendFailure(order.id, Failure{"LAUNCHER_ORDER_INVALID", "read-order", EINVAL, "", 0});

  Result<void> done;
  Lenient policy;
  uint64_t written = 0;
  if (!order.descriptors.empty()) {
    const UniqueFd directory = OpenBelow(context.root.builds.get(), workspace.c_str(), O_RDONLY | O_DIRECTORY);
    FileSink sink(order.descriptors[0].get(), most);
    done = directory ? DumpTree(directory.get(), "build", sink, &policy) : Failure::Errno("TREE_SYSTEM_CALL", "open", workspace);
    if (sink.error != 0) done = Failure{"TREE_SYSTEM_CALL", "write", sink.error, "", 0};
    written = sink.written;
  }
  context.reaper.Remove(context.root.builds.get(), workspace);
  if (!done.ok()) return context.channel.SendFailure(order.id, done.failure());
  MessageWriter body;
  body.U64(written).U64(policy.left_out).U32(static_cast<uint32_t>(policy.names.size()));
  for (const std::string& name : policy.names) body.Bytes(name);
  context.channel.Send(MessageKind::kAnswer, order.id, body.body());
}

}  // namespace cloister
