// Interfaces, addresses, neighbours and routes of one network namespace, by rtnetlink(7).
#pragma once

#include <cstdint>
#include <string>

#include "core/result.h"
#include "core/unique-fd.h"
#include "linux/address-block.h"

namespace cloister {

/// A socket of the namespace in which the calling thread was when it was opened. Results are errnos, 0 for done.
class RouteSocket {
 public:
  static Result<RouteSocket> Open();

  /// Readable when an interface has changed, too.
  int fd() const noexcept { return fd_.get(); }
  /// Until an interface has changed, and not longer than so.
  void WaitForNews(int timeout_ms) noexcept;

  /// A pair of interfaces that are joined, `peer` in another namespace.
  int MakePair(const char* name, const char* peer, int peer_namespace_fd, uint32_t mtu);
  int Raise(int interface);
  /// `address` with the prefix of the network that it is on.
  int AddAddress(int interface, const AddressBlock& address);
  int AddNeighbour(int interface, const AddressBlock& address, const uint8_t (&hardware_address)[6]);
  /// A route to `target` by `interface`, through `gateway` if that is given; it need not be on a network of ours.
  int AddRoute(const AddressBlock& target, int interface, const AddressBlock* gateway);
  /// Packets for `target` are answered by "unreachable".
  int AddUnreachable(const AddressBlock& target);

 private:
  /// Sends what `request` holds and gives the kernel's answer.
  int Ask(std::string request);

  UniqueFd fd_;
};

}  // namespace cloister
