#include "linux/net-namespace.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace cloister {
namespace {

constexpr char kCode[] = "JAIL_STEP_FAILED";

/// sockstat counts the sockets that there are, of every family; dev the interfaces and their packets; ip6_flowlabel has
/// what may outlive its socket by a minute; the others count all that IP, ICMP, UDP and TCP ever did. Each is of the
/// namespace in which it was opened. See proc_pid_net(5) and, for flow labels, Linux's net/ipv6/ip6_flowlabel.c.
constexpr const char* kViewFiles[] = {"sockstat", "sockstat6", "dev", "ip6_flowlabel", "snmp", "snmp6", "netstat"};

Result<void> RaiseLoopback() {
  // Not an internet socket: that would be counted until some time after it is closed.
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) return Failure::Errno(kCode, "open-loopback");
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) != 0) return Failure::Errno(kCode, "loopback-up");
  return {};
}

}  // namespace

Result<NetNamespace> NetNamespace::Make() {
  if (unshare(CLONE_NEWNET) != 0) return Failure::Errno(kCode, "make-network-namespace");
  NetNamespace made;
  made.fd_.Reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!made.fd_) return Failure::Errno(kCode, "open-network-namespace");
  Result<void> raised = RaiseLoopback();
  if (!raised.ok()) return raised.failure();
  static_assert(std::size(kViewFiles) == kViews);
  for (size_t index = 0; index < kViews; ++index)
    made.views_[index].Reset(open((std::string("/proc/thread-self/net/") + kViewFiles[index]).c_str(), O_RDONLY | O_CLOEXEC));
  made.fresh_ = made.ReadViews();
  return made;
}

Result<void> NetNamespace::Enter() const {
  if (setns(fd_.get(), CLONE_NEWNET) != 0) return Failure::Errno(kCode, "enter-network-namespace");
  return {};
}

bool NetNamespace::IsUntouched() const { return !fresh_.empty() && ReadViews() == fresh_; }

/// Empty if one of them cannot be read.
std::string NetNamespace::ReadViews() const {
  std::string text;
  char buffer[8192];
  for (const UniqueFd& view : views_) {
    if (!view) continue;
    for (off_t offset = 0;;) {
      const ssize_t size = pread(view.get(), buffer, sizeof buffer, offset);
      if (size < 0) return {};
      if (size == 0) break;
      text.append(buffer, static_cast<size_t>(size));
      offset += size;
    }
  }
  return text;
}

}  // namespace cloister
