// A network namespace may go to another jail only if nobody could tell that it has been used. Prints what failed; needs
// the right to make namespaces (status 77 without).
#include <fcntl.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <functional>

#include "check.h"
#include "linux/net-namespace.h"

using namespace cloister;

namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// What a builder might do, and whether the namespace may be used again when that is over.
void Try(const char* what, bool untouched, const std::function<void()>& use) {
  Result<NetNamespace> made = NetNamespace::Make();
  if (!made.ok()) {
    std::printf("failed: %s: %s\n", what, made.failure().step);
    ++g_failures;
    return;
  }
  Check(made->IsUntouched(), "a new one is untouched");
  use();
  Check(made->IsUntouched() == untouched, what);
}

void SendPacket() {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM, 0));
  const sockaddr_in address = Loopback(9);
  Check(sendto(socket_fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 1, "sendto");
}

void ConnectInVain() {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in address = Loopback(9);
  Check(connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0, "nobody listens");
}

void ReachNoHost() {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in address = Loopback(9);
  address.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1
  Check(connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0, "no route");
}

/// A label may stay for some time after its socket. struct in6_flowlabel_req, linux/in6.h.
void LeaveFlowLabel() {
  const UniqueFd socket_fd(socket(AF_INET6, SOCK_DGRAM, 0));
  in6_flowlabel_req request{};
  request.flr_dst.s6_addr[15] = 1;
  request.flr_label = htonl(0x12345);
  request.flr_action = IPV6_FL_A_GET;
  request.flr_share = IPV6_FL_S_EXCL;
  request.flr_flags = IPV6_FL_F_CREATE;
  request.flr_linger = 30;
  request.flr_expires = 30;
  constexpr int kFlowLabelManager = 32;  // IPV6_FLOWLABEL_MGR
  Check(setsockopt(socket_fd.get(), IPPROTO_IPV6, kFlowLabelManager, &request, sizeof request) == 0, "flow label");
}

/// A socket with a name, held by nothing but its own queue: it lives until the kernel looks for such garbage.
int ListenOnAbstractName() {
  const int socket_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, "\0left", 5);
  const socklen_t size = offsetof(sockaddr_un, sun_path) + 5;
  Check(bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), size) == 0, "bind");
  return socket_fd;
}

void UseAndClose() {
  UniqueFd(ListenOnAbstractName()).Reset();
  int pair[2];
  Check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[0], "x", 1) == 1, "socketpair");
  close(pair[0]);
  close(pair[1]);
}

}  // namespace

int main() {
  if (unshare(CLONE_NEWUSER) != 0 || unshare(CLONE_NEWNET) != 0) return 77;
  Try("nothing done", true, [] {});
  Try("Unix sockets that are closed", true, UseAndClose);
  Try("a packet", false, SendPacket);
  Try("a connection refused", false, ConnectInVain);
  Try("an address without a route", false, ReachNoHost);
  Try("a flow label", false, LeaveFlowLabel);
  int left = -1;
  Try("a socket that is left", false, [&left] { left = ListenOnAbstractName(); });
  close(left);
  return Conclude();
}
