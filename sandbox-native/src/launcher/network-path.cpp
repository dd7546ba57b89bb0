#include "launcher/network-path.h"

#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "core/defences.h"
#include "linux/kernel.h"
#include "linux/route-socket.h"

namespace cloister {
namespace {

// Addresses that are nobody's elsewhere. Source: RFC 7335 (192.0.0.0/29), RFC 4193 (fd00::/8, with a random part).
constexpr char kRouterV4[] = "192.0.0.1/30", kJailV4[] = "192.0.0.2/30", kPastaV4[] = "192.0.0.5", kGatewayV4[] = "192.0.0.6";
constexpr char kRouterV6[] = "fe80::1/64", kJailV6[] = "fd5d:51a6:9e0c::2/64", kPastaV6[] = "fd5d:51a6:9e0c::2";
constexpr char kToJailV6[] = "fd5d:51a6:9e0c::/64", kGatewayV6[] = "fe80::2";

constexpr char kTap[] = "tap0", kIn[] = "in0", kJailEnd[] = "eth0";
constexpr char kPastaHardware[] = "02:00:00:00:00:06";
constexpr uint8_t kPastaHardwareBytes[6] = {2, 0, 0, 0, 0, 6};
constexpr uint32_t kMtu = 65520;  // what pasta's own interface has
constexpr int kPatienceSeconds = 20;

/// Source: RFC 4291 (mapped), RFC 6052 (NAT64): both lead to an address of version 4.
constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};

AddressBlock Block(const std::string& text) { return *ParseAddressBlock(text); }
AddressBlock Host(const char* address, const char* length) { return Block(std::string(address) + length); }

const AddressBlock& EverythingV4() { static const AddressBlock block = Block("0.0.0.0/0"); return block; }
const AddressBlock& EverythingV6() { static const AddressBlock block = Block("::/0"); return block; }

bool WriteSetting(const char* path) {
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), "1", 1) == 1;
}

/// Steps one after the other, all in one process; after the first that failed the others are left out.
class Path {
 public:
  Path(const PathOrder& order, Complaints& complaints, PathFailure& failure)
      : order_(order), complaints_(complaints), failure_(failure) {}

  bool Make() {
    return Enter(order_.jail_fd) && Open(jail_) && Enter(order_.between_fd) && Open(between_) && Join() &&
           Forward() && Block() && JailRoutes() && WaitForPasta() && WayToPasta();
  }

 private:
  bool Check(const char* what, int error) {
    if (error == 0) return true;
    failure_ = {what, error};
    return false;
  }

  bool Enter(int fd) { return Check("to enter a network namespace", setns(fd, CLONE_NEWNET) == 0 ? 0 : errno); }

  bool Open(RouteSocket& socket) {
    Result<RouteSocket> opened = RouteSocket::Open();
    if (!opened.ok()) return Check("to open a netlink socket", opened.failure().error);
    socket = *std::move(opened);
    return true;
  }

  bool Join() {
    if (!Check("to make a pair of interfaces (veth)", between_.MakePair(kIn, kJailEnd, order_.jail_fd, kMtu))) return false;
    const int interface = static_cast<int>(if_nametoindex(kIn));
    return (!order_.families.v4 || Check("to give an address", between_.AddAddress(interface, cloister::Block(kRouterV4)))) &&
           (!order_.families.v6 || Check("to give an address", between_.AddAddress(interface, cloister::Block(kRouterV6)))) &&
           Check("to raise an interface", between_.Raise(interface)) &&
           (!order_.families.v6 || Check("to add a route", between_.AddRoute(cloister::Block(kToJailV6), interface, nullptr)));
  }

  bool Forward() {
    if (order_.families.v4 && !WriteSetting("/proc/sys/net/ipv4/ip_forward"))
      return Check("to write /proc/sys/net/ipv4/ip_forward", errno);
    if (order_.families.v6 && !WriteSetting("/proc/sys/net/ipv6/conf/all/forwarding"))
      return Check("to write /proc/sys/net/ipv6/conf/all/forwarding", errno);
    return true;
  }

  bool Block() {
    if (!HasDefence(Defence::kBlockedAddresses)) return true;
    for (const AddressBlock& block : order_.blocked) {
      if (!AddUnreachable(block)) return false;
      if (!block.is_v6 && !(AddUnreachable(EmbedInV6(block, kMapped)) && AddUnreachable(EmbedInV6(block, kNat64)))) return false;
    }
    return true;
  }

  bool AddUnreachable(const AddressBlock& block) {
    if (block.is_v6 ? !order_.families.v6 : !order_.families.v4) return true;  // no way leads there
    return Check("to block an address", between_.AddUnreachable(NetworkOf(block)));
  }

  bool JailRoutes() {
    if (!Enter(order_.jail_fd)) return false;
    const int interface = static_cast<int>(if_nametoindex(kJailEnd));
    const AddressBlock router_v4 = cloister::Block(kRouterV4), router_v6 = cloister::Block(kRouterV6);
    const bool done =
        (!order_.families.v4 || Check("to give an address", jail_.AddAddress(interface, cloister::Block(kJailV4)))) &&
        (!order_.families.v6 || Check("to give an address", jail_.AddAddress(interface, cloister::Block(kJailV6)))) &&
        Check("to raise an interface", jail_.Raise(interface)) &&
        (!order_.families.v4 || Check("to add a route", jail_.AddRoute(EverythingV4(), interface, &router_v4))) &&
        (!order_.families.v6 || Check("to add a route", jail_.AddRoute(EverythingV6(), interface, &router_v6)));
    return done && WaitUntilRunning(jail_, kJailEnd) && Enter(order_.between_fd) && WaitUntilRunning(between_, kIn);
  }

  /// A raised interface loses what is sent until the kernel has seen that its other end is there.
  bool WaitUntilRunning(RouteSocket& socket, const char* interface) {
    const UniqueFd asking(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    strcpy(request.ifr_name, interface);
    for (const time_t deadline = time(nullptr) + kPatienceSeconds; time(nullptr) <= deadline; socket.WaitForNews(1000)) {
      if (ioctl(asking.get(), SIOCGIFFLAGS, &request) != 0) return Check("to look at an interface", errno);
      if ((request.ifr_flags & IFF_RUNNING) != 0) return true;
    }
    return Check("to raise an interface", ETIMEDOUT);
  }

  bool WaitForPasta() {
    const time_t deadline = time(nullptr) + kPatienceSeconds;
    while (if_nametoindex(kTap) == 0) {
      pollfd entries[2] = {{between_.fd(), POLLIN, 0}, {complaints_.fd(), POLLIN, 0}};
      poll(entries, 2, 1000);
      if (entries[0].revents != 0) between_.WaitForNews(0);
      if (entries[1].revents != 0) complaints_.Read();
      if (complaints_.has_ended()) {
        failure_ = {"to run pasta: " + complaints_.Last(), 0};
        return false;
      }
      if (time(nullptr) > deadline) return Check("to run pasta", ETIMEDOUT);
    }
    return true;
  }

  bool WayToPasta() {
    const int interface = static_cast<int>(if_nametoindex(kTap));
    const AddressBlock gateway_v4 = Host(kGatewayV4, "/32"), gateway_v6 = Host(kGatewayV6, "/128");
    const auto lead = [&](const AddressBlock& everything, const AddressBlock& gateway) {
      return Check("to name a neighbour", between_.AddNeighbour(interface, gateway, kPastaHardwareBytes)) &&
             Check("to add a route", between_.AddRoute(everything, interface, &gateway));
    };
    return Check("to raise an interface", between_.Raise(interface)) &&
           (!order_.families.v4 || lead(EverythingV4(), gateway_v4)) &&
           (!order_.families.v6 || lead(EverythingV6(), gateway_v6));
  }

  const PathOrder& order_;
  Complaints& complaints_;
  PathFailure& failure_;
  RouteSocket between_;
  RouteSocket jail_;
};

}  // namespace

Families FindFamilies() {
  Families found;
  char line[512], target[64] = {}, length[64] = {};
  // Interface, target and then what does not matter here; source: Linux's Documentation/networking/proc_net_tcp and ipv6.
  if (FILE* routes = fopen("/proc/self/net/route", "re")) {
    while (fgets(line, sizeof line, routes) != nullptr)
      found.v4 |= sscanf(line, "%*s %63s", target) == 1 && std::string_view(target) == "00000000";
    fclose(routes);
  }
  if (FILE* routes = fopen("/proc/self/net/ipv6_route", "re")) {
    // All of the loopback's are to be unreachable.
    while (fgets(line, sizeof line, routes) != nullptr)
      found.v6 |= sscanf(line, "%63s %63s", target, length) == 2 && std::string_view(length) == "00" &&
                  std::string_view(target) == std::string(32, '0') && std::string_view(line).find(" lo\n") == std::string_view::npos;
    fclose(routes);
  }
  return found;
}

bool MakePath(const PathOrder& order, Complaints& complaints, PathFailure& failure) {
  return Path(order, complaints, failure).Make();
}

std::vector<std::string> PastaArguments(const std::string& program, Families families, const std::string& anchor_process) {
  const std::string namespaces = "/proc/" + anchor_process + "/ns/";
  std::vector<std::string> arguments = {program, "--foreground", "--quiet", "--stderr"};
  const auto add = [&arguments](std::initializer_list<const char*> more) { arguments.insert(arguments.end(), more.begin(), more.end()); };
  // Nothing of the host's is led in, and nothing of the namespace's out but what goes by the tap.
  add({"--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"});
  if (HasDefence(Defence::kHostLoopbackHidden)) add({"--no-map-gw"});
  add({"--no-dhcp", "--no-dhcpv6", "--no-ra", "--ns-ifname", kTap, "--mac-addr", kPastaHardware});
  // Not the host's own, which pasta would take by itself: they would be the jail's, and the host out of its reach.
  if (families.v4) add({"--address", kPastaV4, "--netmask", "29", "--gateway", kGatewayV4});
  if (families.v6) add({"--address", kPastaV6});
  if (!families.v6) add({"--ipv4-only"});
  if (!families.v4) add({"--ipv6-only"});
  if (geteuid() == 0) add({"--runas", "0"});  // of the launcher's user namespace, in single strength
  arguments.insert(arguments.end(), {"--userns", namespaces + "user", "--netns", namespaces + "net"});
  return arguments;
}

void Complaints::Read() {
  char buffer[1024];
  const ssize_t size = read(fd_.get(), buffer, sizeof buffer);
  if (size <= 0) {
    ended_ = true;
    return;
  }
  constexpr size_t kMost = 8192;
  if (text_.size() < kMost) text_.append(buffer, static_cast<size_t>(size));
}

std::string Complaints::Last() const {
  std::string last;
  for (size_t start = 0; start < text_.size();) {
    const size_t end = std::min(text_.find('\n', start), text_.size());
    const std::string_view line = std::string_view(text_).substr(start, end - start);
    if (!line.empty() && !line.starts_with("Failed to send")) last = line;  // that is about the system's log
    start = end + 1;
  }
  return last;
}

}  // namespace cloister
