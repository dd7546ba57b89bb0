/* Sockets: families that a build has no use for, what of the host's network can be reached, and terminals' ioctls. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "probe.h"

/* Neither the kernel nor the filter has such a family: the run outside tells which. */
static void judge_socket(int fd) {
  if (fd >= 0) opened("made");
  if (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT || errno == ENOSYS)
    absent("%s", strerrorname_np(errno));
  held("%s", strerrorname_np(errno));
}

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW};

static void family(long number) {
  int error = EAFNOSUPPORT;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    const int fd = socket((int)number, types[i], 0);
    if (fd >= 0) opened("made, of type %d", types[i]);
    if (errno != EAFNOSUPPORT && errno != EPROTONOSUPPORT && errno != ESOCKTNOSUPPORT) error = errno;
  }
  errno = error;
  judge_socket(-1);
}

/* All that no attempt of its own names; unix, inet, inet6 and netlink are what builds use. */
static void other_families(long unused) {
  (void)unused;
  char made[256] = "";
  for (int number = 0; number < 64; number++) {
    if (number == AF_UNIX || number == AF_INET || number == AF_INET6 || number == AF_NETLINK) continue;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
      const int fd = socket(number, types[i], 0);
      if (fd < 0) continue;
      close(fd);
      snprintf(made + strlen(made), sizeof made - strlen(made), " %d", number);
      break;
    }
  }
  if (*made) opened("%s", made);
  held("none");
}

/* By socketcall, whose arguments a filter cannot read, and by i386's own socket. */
static void family_by_socketcall(long number) {
  int arguments[3] = {(int)number, SOCK_SEQPACKET, 0};
  const int type = number == AF_VSOCK ? SOCK_STREAM : number == AF_NETLINK ? SOCK_RAW : SOCK_SEQPACKET;
  arguments[1] = type;
  if (number == AF_NETLINK) arguments[2] = NETLINK_NETFILTER;
  judge_socket((int)call32(102, 1, (long)low(arguments, sizeof arguments), 0, 0, 0));
}
static void family_32(long number) {
  const int type = number == AF_VSOCK ? SOCK_STREAM : number == AF_NETLINK ? SOCK_RAW : SOCK_SEQPACKET;
  judge_socket((int)call32(359, number, type, number == AF_NETLINK ? NETLINK_NETFILTER : 0, 0, 0));
}
static void family_x32(long number) { judge_socket((int)call_x32(SYS_socket, number, SOCK_STREAM, 0, 0, 0)); }
static void family_high_bits(long number) {
  const long high = 0x100000000L;
  judge_socket((int)syscall(SYS_socket, high | number, high | (number == AF_NETLINK ? SOCK_RAW : SOCK_STREAM),
                            number == AF_NETLINK ? high | NETLINK_NETFILTER : 0));
}
static void pair(long number) {
  int fds[2];
  judge_socket(socketpair((int)number, SOCK_STREAM, 0, fds));
}

static void netlink(long protocol) { judge_socket(socket(AF_NETLINK, SOCK_RAW, (int)protocol)); }
static void raw(long number) { judge_socket(socket((int)number, SOCK_RAW, number == AF_INET ? IPPROTO_ICMP : 58)); }
static void ping(long number) { judge_socket(socket((int)number, SOCK_DGRAM, number == AF_INET ? IPPROTO_ICMP : 58)); }
static void stream_protocol(long protocol) {
  int fd = socket(AF_INET, SOCK_STREAM, (int)protocol);
  if (fd < 0) fd = socket(AF_INET, SOCK_SEQPACKET, (int)protocol);
  judge_socket(fd);
}

static void replace_filter(long unused) {
  (void)unused;
  char table[128] = "filter";
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  judge(setsockopt(fd, IPPROTO_IP, 64 /* IPT_SO_SET_REPLACE */, table, sizeof table));
}

static void reach(const struct sockaddr *address, socklen_t length) {
  const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) held("no socket: %s", strerrorname_np(errno));
  if (connect(fd, address, length) == 0) opened("connected");
  if (errno != EINPROGRESS) held("%s", strerrorname_np(errno));
  struct pollfd wait = {fd, POLLOUT, 0};
  if (poll(&wait, 1, 1000) != 1) held("no answer");
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) opened("connected");
  held("%s", strerrorname_np(error));
}

static void reach_4(const char *address, const char *port) {
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(port))};
  if (inet_pton(AF_INET, address, &there.sin_addr) != 1) broken("%s is no address", address);
  reach((const struct sockaddr *)&there, sizeof there);
}

static void host_loopback(long unused) {
  (void)unused;
  reach_4("127.0.0.1", given("PROBE_PORT"));
}
static void host_loopback_6(long unused) {
  (void)unused;
  struct sockaddr_in6 there = {.sin6_family = AF_INET6, .sin6_port = htons((in_port_t)atoi(given("PROBE_PORT"))),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  reach((const struct sockaddr *)&there, sizeof there);
}
static void any_address(long unused) {
  (void)unused;
  reach_4("0.0.0.0", given("PROBE_PORT"));
}
static void metadata(long unused) {
  (void)unused;
  reach_4("169.254.169.254", "80");
}
static void outside(long unused) {
  (void)unused;
  reach_4("192.0.2.1", "80");
}

static void abstract_socket(long unused) {
  (void)unused;
  struct sockaddr_un there = {.sun_family = AF_UNIX};
  const char *name = given("PROBE_ABSTRACT");
  memcpy(there.sun_path + 1, name, strlen(name));
  reach((const struct sockaddr *)&there, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}
static void path_socket(long unused) {
  (void)unused;
  struct sockaddr_un there = {.sun_family = AF_UNIX};
  snprintf(there.sun_path, sizeof there.sun_path, "%s", given("PROBE_SOCKET"));
  reach((const struct sockaddr *)&there, sizeof there);
}
static void listed_sockets(long unused) {
  (void)unused;
  const char *at = strchr(read_text("/proc/net/unix"), '@');
  if (at != NULL) opened("%.60s", at);
  held("none");
}

static void devices(long unused) {
  (void)unused;
  struct if_nameindex *names = if_nameindex();
  if (names == NULL) held("%s", strerrorname_np(errno));
  for (struct if_nameindex *name = names; name->if_index != 0; name++)
    if (strcmp(name->if_name, "lo") != 0) opened("%s", name->if_name);
  held("lo alone");
}
static void configure(long unused) {
  (void)unused;
  struct ifreq request = {.ifr_name = "lo"};
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) held("%s", strerrorname_np(errno));
  judge(ioctl(fd, SIOCSIFFLAGS, &request));
}
static void low_port(long unused) {
  (void)unused;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(25)};
  judge(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&here, sizeof here));
}

/* On a terminal of its own: what is typed into it by a program would be read by whoever has the terminal next. */
static void type_into_terminal(long how) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) held("no terminals");
  setsid();
  const int terminal = open(ptsname(master), O_RDWR);
  if (terminal < 0) held("no terminals");
  ioctl(terminal, TIOCSCTTY, 0);
  char *character = low_text("\2x");
  const long request = (how & 1) != 0 ? 0x541c /* TIOCLINUX */ : TIOCSTI;
  long result;
  if ((how & 2) != 0) result = call32(54, terminal, request, (long)character, 0, 0);
  else if ((how & 4) != 0) result = syscall(SYS_ioctl, terminal, 0x100000000L | request, character);
  else if ((how & 8) != 0) result = call_x32(514, terminal, request, (long)character, 0, 0);
  else result = syscall(SYS_ioctl, terminal, request, character);
  if (result < 0 && errno == EIO) held("EIO: off in this kernel");
  judge_refused(result);
}

/* Code for modems and radios that a terminal can be put through. */
static void line_discipline(long unused) {
  (void)unused;
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0) held("no terminals");
  int error = EINVAL;
  for (int number = 1; number < 31; number++) {
    const int discipline = number;
    if (ioctl(master, TIOCSETD, &discipline) == 0) opened("%d", number);
    if (errno != EINVAL) error = errno;
  }
  if (error == EINVAL) absent("none in this kernel");
  held("%s", strerrorname_np(error));
}

const struct attempt socket_attempts[] = {
    {"sockets/packet", family, AF_PACKET},
    {"sockets/alg", family, AF_ALG},
    {"sockets/vsock", family, AF_VSOCK},
    {"sockets/key", family, AF_KEY},
    {"sockets/rds", family, AF_RDS},
    {"sockets/can", family, AF_CAN},
    {"sockets/tipc", family, AF_TIPC},
    {"sockets/bluetooth", family, AF_BLUETOOTH},
    {"sockets/kcm", family, AF_KCM},
    {"sockets/qipcrtr", family, AF_QIPCRTR},
    {"sockets/smc", family, AF_SMC},
    {"sockets/xdp", family, AF_XDP},
    {"sockets/other-families", other_families, 0},
    {"sockets/alg-int80-socketcall", family_by_socketcall, AF_ALG},
    {"sockets/vsock-int80-socketcall", family_by_socketcall, AF_VSOCK},
    {"sockets/netfilter-int80-socketcall", family_by_socketcall, AF_NETLINK},
    {"sockets/alg-int80", family_32, AF_ALG},
    {"sockets/vsock-int80", family_32, AF_VSOCK},
    {"sockets/netfilter-int80", family_32, AF_NETLINK},
    {"sockets/vsock-x32", family_x32, AF_VSOCK},
    {"sockets/vsock-high-bits", family_high_bits, AF_VSOCK},
    {"sockets/netfilter-high-bits", family_high_bits, AF_NETLINK},
    {"sockets/vsock-pair", pair, AF_VSOCK},
    {"sockets/raw", raw, AF_INET},
    {"sockets/raw-6", raw, AF_INET6},
    {"sockets/ping", ping, AF_INET},
    {"sockets/ping-6", ping, AF_INET6},
    {"sockets/sctp", stream_protocol, 132},
    {"sockets/dccp", stream_protocol, 33},
    {"sockets/mptcp", stream_protocol, 262},
    {"sockets/netlink-netfilter", netlink, NETLINK_NETFILTER},
    {"sockets/netlink-xfrm", netlink, NETLINK_XFRM},
    {"sockets/netlink-sock-diag", netlink, NETLINK_SOCK_DIAG},
    {"sockets/netlink-audit", netlink, NETLINK_AUDIT},
    {"sockets/netlink-uevent", netlink, NETLINK_KOBJECT_UEVENT},
    {"sockets/netlink-generic", netlink, NETLINK_GENERIC},
    {"sockets/netlink-connector", netlink, NETLINK_CONNECTOR},
    {"sockets/netlink-crypto", netlink, NETLINK_CRYPTO},
    {"sockets/replace-filter-table", replace_filter, 0},
    {"network/host-loopback", host_loopback, 0},
    {"network/host-loopback-6", host_loopback_6, 0},
    {"network/any-address", any_address, 0},
    {"network/metadata", metadata, 0},
    {"network/outside", outside, 0},
    {"network/abstract-socket", abstract_socket, 0},
    {"network/path-socket", path_socket, 0},
    {"network/abstract-sockets-listed", listed_sockets, 0},
    {"network/devices", devices, 0},
    {"network/configure", configure, 0},
    {"network/low-port", low_port, 0},
    {"terminals/TIOCSTI", type_into_terminal, 0},
    {"terminals/TIOCSTI-int80", type_into_terminal, 2},
    {"terminals/TIOCSTI-high-bits", type_into_terminal, 4},
    {"terminals/TIOCSTI-x32", type_into_terminal, 8},
    {"terminals/line-discipline", line_discipline, 0},
    {"terminals/TIOCLINUX", type_into_terminal, 1},
    {"terminals/TIOCLINUX-int80", type_into_terminal, 3},
    {"terminals/TIOCLINUX-high-bits", type_into_terminal, 5},
    {NULL, NULL, 0},
};
