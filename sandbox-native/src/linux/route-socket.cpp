#include "linux/route-socket.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace cloister {
namespace {

/// A request that grows: a head, then attributes, each of which may hold others.
class Request {
 public:
  template <class Body>
  Request(uint16_t type, uint16_t flags, const Body& body) {
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    Append(head);
    Append(body);
  }

  template <class T>
  Request& Append(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return Pad();
  }
  Request& Attribute(uint16_t type, std::string_view value) {
    const size_t start = Begin(type);
    bytes_.append(value);
    Close(start);
    return *this;
  }
  template <class T>
  Request& Number(uint16_t type, T value) {
    return Attribute(type, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  Request& Address(uint16_t type, const AddressBlock& block) {
    return Attribute(type, {reinterpret_cast<const char*>(block.address.data()), block.size()});
  }
  /// Begins an attribute that holds others; `Close` ends it.
  size_t Begin(uint16_t type) {
    const size_t start = bytes_.size();
    const rtattr head{0, type};
    bytes_.append(reinterpret_cast<const char*>(&head), sizeof head);
    return start;
  }
  void Close(size_t start) {
    const uint16_t length = static_cast<uint16_t>(bytes_.size() - start);
    std::memcpy(bytes_.data() + start, &length, sizeof length);
    Pad();
  }

  std::string Take() { return std::move(bytes_); }

 private:
  Request& Pad() {
    bytes_.resize((bytes_.size() + 3) & ~size_t{3});
    return *this;
  }

  std::string bytes_;
};

constexpr int kPeerIndex = 16;
/// Of two routes to the same target the lower number wins. Version 4 would give a route 0, version 6 gives this one.
constexpr uint32_t kPriority = 1024, kUnreachablePriority = 1;

uint8_t FamilyOf(const AddressBlock& block) { return block.is_v6 ? AF_INET6 : AF_INET; }

rtmsg RouteTo(const AddressBlock& target, uint8_t type) {
  rtmsg route{};
  route.rtm_family = FamilyOf(target);
  route.rtm_dst_len = target.prefix_length;
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_BOOT;
  route.rtm_type = type;
  return route;
}

}  // namespace

Result<RouteSocket> RouteSocket::Open() {
  RouteSocket opened;
  opened.fd_.Reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  own.nl_groups = RTMGRP_LINK;
  if (!opened.fd_ || bind(opened.fd_.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) != 0)
    return Failure::Errno("JAIL_STEP_FAILED", "network-open-netlink");
  return opened;
}

void RouteSocket::WaitForNews(int timeout_ms) noexcept {
  pollfd entry{fd_.get(), POLLIN, 0};
  char news[8192];
  if (poll(&entry, 1, timeout_ms) > 0) (void)!recv(fd_.get(), news, sizeof news, 0);
}

int RouteSocket::MakePair(const char* name, const char* peer, int peer_namespace_fd, uint32_t mtu) {
  ifinfomsg link{};
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link);
  request.Attribute(IFLA_IFNAME, name).Number(IFLA_MTU, mtu);
  const size_t info = request.Begin(IFLA_LINKINFO);
  request.Attribute(IFLA_INFO_KIND, "veth");
  const size_t data = request.Begin(IFLA_INFO_DATA);
  const size_t other = request.Begin(VETH_INFO_PEER);
  // Where both ends have the same number the kernel thinks that neither is the end of anything, and takes up to a second
  // to see that they are joined. Source: Linux's net/core/link_watch.c, linkwatch_urgent_event.
  link.ifi_index = kPeerIndex;
  request.Append(link).Attribute(IFLA_IFNAME, peer).Number(IFLA_MTU, mtu).Number(IFLA_NET_NS_FD, peer_namespace_fd);
  request.Close(other);
  request.Close(data);
  request.Close(info);
  return Ask(request.Take());
}

int RouteSocket::Raise(int interface) {
  ifinfomsg link{};
  link.ifi_index = interface;
  link.ifi_flags = link.ifi_change = IFF_UP;
  return Ask(Request(RTM_NEWLINK, 0, link).Take());
}

int RouteSocket::AddAddress(int interface, const AddressBlock& address) {
  ifaddrmsg message{};
  message.ifa_family = FamilyOf(address);
  message.ifa_prefixlen = address.prefix_length;
  message.ifa_flags = IFA_F_NODAD;  // there is nobody who could have it, and no time to ask
  message.ifa_index = static_cast<uint32_t>(interface);
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, message);
  return Ask(request.Address(IFA_LOCAL, address).Address(IFA_ADDRESS, address).Take());
}

int RouteSocket::AddNeighbour(int interface, const AddressBlock& address, const uint8_t (&hardware_address)[6]) {
  ndmsg message{};
  message.ndm_family = FamilyOf(address);
  message.ndm_ifindex = interface;
  message.ndm_state = NUD_PERMANENT;
  Request request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, message);
  request.Address(NDA_DST, address);
  return Ask(request.Attribute(NDA_LLADDR, {reinterpret_cast<const char*>(hardware_address), 6}).Take());
}

int RouteSocket::AddRoute(const AddressBlock& target, int interface, const AddressBlock* gateway) {
  rtmsg route = RouteTo(target, RTN_UNICAST);
  // Version 6 finds a gateway by itself, and takes none for on the link that a route to "unreachable" covers.
  route.rtm_flags = gateway != nullptr && !target.is_v6 ? RTNH_F_ONLINK : 0;
  route.rtm_scope = gateway != nullptr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
  if (target.prefix_length > 0) request.Address(RTA_DST, target);
  if (gateway != nullptr) request.Address(RTA_GATEWAY, *gateway);
  return Ask(request.Number(RTA_OIF, interface).Number(RTA_PRIORITY, kPriority).Take());
}

int RouteSocket::AddUnreachable(const AddressBlock& target) {
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, RouteTo(target, RTN_UNREACHABLE));
  if (target.prefix_length > 0) request.Address(RTA_DST, target);
  // Version 6 puts the loopback's index there itself.
  return Ask(request.Number(RTA_PRIORITY, kUnreachablePriority).Take());
}

int RouteSocket::Ask(std::string request) {
  const uint32_t length = static_cast<uint32_t>(request.size());
  std::memcpy(request.data(), &length, sizeof length);
  if (send(fd_.get(), request.data(), request.size(), 0) < 0) return errno;
  alignas(nlmsghdr) char answer[8192];
  for (;;) {
    const ssize_t size = recv(fd_.get(), answer, sizeof answer, 0);
    if (size < 0) {
      if (errno == EINTR || errno == ENOBUFS) continue;
      return errno;
    }
    uint32_t left = static_cast<uint32_t>(size);
    for (const nlmsghdr* head = reinterpret_cast<const nlmsghdr*>(answer); NLMSG_OK(head, left); head = NLMSG_NEXT(head, left))
      if (head->nlmsg_type == NLMSG_ERROR) return -static_cast<const nlmsgerr*>(NLMSG_DATA(head))->error;
  }
}

}  // namespace cloister
