#include "launcher/network-helper.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "core/message.h"
#include "launcher/network-path.h"
#include "linux/kernel.h"

namespace cloister {
namespace {

constexpr char kCode[] = "JAIL_STEP_FAILED";
constexpr char kStep[] = "open-network";
constexpr char kTunDevice[] = "/dev/net/tun";
constexpr size_t kLongestMessage = 32 * 1024;
constexpr size_t kDescriptors = 2;  // of an order: the session's end and the jail's network namespace

struct Helper {
  std::string pasta;
  std::optional<JailIdentity> identity;
};

/// Changes the ids; no group stays, and without an identity all stay.
bool Become(const std::optional<JailIdentity>& identity) {
  if (!identity) return true;
  return setgroups(0, nullptr) == 0 && setresgid(identity->gid, identity->gid, identity->gid) == 0 &&
         setresuid(identity->uid, identity->uid, identity->uid) == 0;
}

bool WriteFile(const char* path, const std::string& text) {
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void End(pid_t process) {
  if (process <= 0) return;
  kill(process, SIGKILL);
  while (waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
  }
}

/// All that belongs to one jail's way out, in a process of its own.
class Keeper {
 public:
  Keeper(const Helper& helper, UniqueFd session, UniqueFd jail, std::vector<AddressBlock> blocked)
      : helper_(helper), session_(std::move(session)) {
    order_.jail_fd = jail.Release();
    order_.blocked = std::move(blocked);
  }

  [[noreturn]] void Run() {
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // pasta has children for a moment now and then
    PathFailure failure;
    const bool made = Make(failure);
    MessageWriter answer;
    answer.U8(made ? 1 : 0).U32(static_cast<uint32_t>(failure.error)).Bytes(failure.what);
    send(session_.get(), answer.body().data(), answer.body().size(), MSG_NOSIGNAL);
    End(anchor_);
    if (made) WaitForEnd();
    End(pasta_);
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    _exit(0);
  }

 private:
  bool Make(PathFailure& failure) {
    order_.families = FindFamilies();
    if (!order_.families.v4 && !order_.families.v6) {
      failure = {"to find a way out: this machine has no default route", ENETUNREACH};
      return false;
    }
    UniqueFd between;
    if (!StartAnchor(between)) {
      failure = {"to make a network namespace", errno};
      return false;
    }
    order_.between_fd = between.get();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      failure = {"to make a pipe", errno};
      return false;
    }
    complaints_ = Complaints(UniqueFd(ends[0]));
    UniqueFd writing(ends[1]);
    pasta_ = fork();
    if (pasta_ == 0) RunPasta(writing.get());
    if (pasta_ < 0) {
      failure = {"to start pasta", errno};
      return false;
    }
    writing.Reset();  // so that the pipe ends with pasta
    return MakePath(order_, complaints_, failure);
  }

  /// A process in a user and a network namespace of its own, which holds them until pasta is in them. pasta enters them as
  /// their owner, and has no right outside of them.
  bool StartAnchor(UniqueFd& between) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
    const UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    anchor_ = fork();
    if (anchor_ == 0) RunAnchor(theirs.get());
    theirs.Reset();
    char number[32] = {};
    const ssize_t size = anchor_ < 0 ? -1 : recv(ours.get(), number, sizeof number - 1, 0);
    if (size <= 0) return errno = errno == 0 ? EPERM : errno, false;
    if (number[0] == '-') return errno = atoi(number + 1), false;
    anchor_number_ = number;
    between.Reset(open(("/proc/" + anchor_number_ + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    return static_cast<bool>(between);
  }

  [[noreturn]] void RunAnchor(int socket) {
    const auto tell = [socket](const std::string& text) { send(socket, text.data(), text.size(), MSG_NOSIGNAL); };
    const uid_t uid = helper_.identity ? helper_.identity->uid : geteuid();
    const gid_t gid = helper_.identity ? helper_.identity->gid : getegid();
    bool done = Become(helper_.identity) && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    prctl(PR_SET_DUMPABLE, 1);  // /proc/PID/ns is for nobody else's eyes: there is nothing in this memory
    done = done && WriteFile("/proc/self/setgroups", "deny") && WriteFile("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1") &&
           WriteFile("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
    // By which number it goes in that /proc is for /proc to say: it may be of another pid namespace.
    char number[32] = {};
    if (done && readlink("/proc/self", number, sizeof number - 1) > 0) {
      tell(number);
    } else {
      tell("-" + std::to_string(errno));
    }
    for (;;) pause();
  }

  [[noreturn]] void RunPasta(int complaints_fd) {
    const std::optional<JailIdentity> identity = helper_.identity;
    const bool done = Become(identity) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && dup2(complaints_fd, 1) >= 0 &&
                      dup2(complaints_fd, 2) >= 0 && CloseRange(3, ~0u, 0) == 0;
    const std::vector<std::string> arguments = PastaArguments(helper_.pasta, order_.families, anchor_number_);
    std::vector<char*> list;
    for (const std::string& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
    list.push_back(nullptr);
    char* const environment[] = {nullptr};
    if (done) execve(helper_.pasta.c_str(), list.data(), environment);
    const std::string why = helper_.pasta + ": " + strerror(errno) + "\n";
    (void)!write(2, why.data(), why.size());
    _exit(127);
  }

  /// Until the launcher has no more use for it. What pasta says meanwhile is read, so that it never waits for us.
  void WaitForEnd() {
    for (;;) {
      pollfd entries[2] = {{session_.get(), POLLIN, 0}, {complaints_.has_ended() ? -1 : complaints_.fd(), POLLIN, 0}};
      if (poll(entries, 2, -1) < 0 && errno != EINTR) return;
      if (entries[0].revents != 0) return;
      if (entries[1].revents != 0) complaints_.Read();
    }
  }

  const Helper& helper_;
  UniqueFd session_;
  PathOrder order_;
  Complaints complaints_{UniqueFd()};
  std::string anchor_number_;
  pid_t anchor_ = -1;
  pid_t pasta_ = -1;
};

/// The machine's root needs nobody's leave to make a device, and pasta, who is not root, must be able to open it.
void OfferTunDevice() {
  struct stat status{};
  if (geteuid() != 0 || stat(kTunDevice, &status) != 0 || (status.st_mode & 06) == 06) return;
  if (unshare(CLONE_NEWNS) != 0 || Mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
  if (Mount("tmpfs", "/dev/net", "tmpfs", MS_NOSUID, "mode=0755,size=16k") != 0) return;
  if (mknod(kTunDevice, S_IFCHR | 0666, makedev(10, 200)) != 0 || chmod(kTunDevice, 0666) != 0)
    (void)syscall(SYS_umount2, "/dev/net", 0);  // the root of a user namespace only
}

bool ReceiveOrder(int socket, MessageReader& reader, char* buffer, UniqueFd (&descriptors)[kDescriptors]) {
  iovec part{buffer, kLongestMessage};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  const cmsghdr* rights = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (rights == nullptr || rights->cmsg_len != CMSG_LEN(sizeof(int) * kDescriptors)) return false;
  int fds[kDescriptors];
  std::memcpy(fds, CMSG_DATA(rights), sizeof fds);
  for (size_t index = 0; index < kDescriptors; ++index) descriptors[index].Reset(fds[index]);
  reader = MessageReader({buffer, static_cast<size_t>(size)});
  return true;
}

[[noreturn]] void Serve(int socket, const Helper& helper) {
  prctl(PR_SET_NAME, "network-helper");
  setsid();                  // what a terminal sends to the daemon is not for it
  signal(SIGCHLD, SIG_IGN);  // nobody asks how a keeper ended
  const UniqueFd held(fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (held.get() != 3) dup3(held.get(), 3, O_CLOEXEC);
  CloseRange(4, ~0u, 0);
  OfferTunDevice();
  char* buffer = new char[kLongestMessage];
  for (;;) {
    UniqueFd descriptors[kDescriptors];
    MessageReader reader({});
    if (!ReceiveOrder(3, reader, buffer, descriptors)) _exit(0);
    std::vector<AddressBlock> blocked;
    for (const std::string& text : reader.Texts())
      if (const std::optional<AddressBlock> block = ParseAddressBlock(text)) blocked.push_back(*block);
    if (fork() == 0) Keeper(helper, std::move(descriptors[0]), std::move(descriptors[1]), std::move(blocked)).Run();
  }
}

}  // namespace

Result<UniqueFd> StartNetworkHelper(const std::string& pasta, std::optional<JailIdentity> identity) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Failure::Errno("LAUNCHER_START_FAILED", "make-network-helper");
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t process = fork();
  if (process < 0) return Failure::Errno("LAUNCHER_START_FAILED", "make-network-helper");
  if (process == 0) Serve(theirs.get(), Helper{pasta, identity});
  return ours;
}

WayOut::~WayOut() {
  if (!session_) return;
  shutdown(session_.get(), SHUT_WR);
  // Its end comes after an answer, which nobody may have waited for.
  char byte;
  ssize_t size;
  do {
    size = recv(session_.get(), &byte, 1, 0);
  } while (size > 0 || (size < 0 && errno == EINTR));
}

Result<WayOut> WayOut::Open(int helper_fd, int net_namespace_fd, const std::vector<std::string>& blocked) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return Failure::Errno(kCode, kStep);
  WayOut way;
  way.session_.Reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  MessageWriter order;
  order.Texts(blocked);
  const std::string& body = order.body();
  if (body.size() > kLongestMessage) return Failure{kCode, kStep, EMSGSIZE, "to send the blocked networks", 0};

  iovec part{const_cast<char*>(body.data()), body.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * kDescriptors);
  const int fds[kDescriptors] = {theirs.get(), net_namespace_fd};
  std::memcpy(CMSG_DATA(rights), fds, sizeof fds);
  if (sendmsg(helper_fd, &message, MSG_NOSIGNAL) < 0) return Failure::Errno(kCode, kStep, "to reach the network helper");
  return way;
}

Result<void> WayOut::Wait() {
  char buffer[kLongestMessage];
  ssize_t size;
  do {
    size = recv(session_.get(), buffer, sizeof buffer, 0);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return Failure{kCode, kStep, ECONNRESET, "to start pasta", 0};
  MessageReader answer({buffer, static_cast<size_t>(size)});
  if (answer.U8() != 0) return {};
  const int error = static_cast<int>(answer.U32());
  return Failure{kCode, kStep, error, answer.Text(), 0};
}

}  // namespace cloister
