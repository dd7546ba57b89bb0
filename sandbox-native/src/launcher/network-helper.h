// The way out for builds whose spec asks for one. The launcher has left the host's network, so a small process of its own
// stays there and does nothing but start pasta, a user-mode network stack, for one jail after the other.
//
//     jail's namespace           between                    host's namespace
//     eth0 ── a pair ──── in0    routes    tap0 ── pasta ── ordinary sockets of an ordinary user
//
// The namespace between is what holds the builder: it has no process, no socket, and the routes that end at "unreachable".
// In the builder's own namespace they would hold nobody: a socket that names its interface (SO_BINDTODEVICE, IP_PKTINFO)
// goes round an unreachable route, but not round that of the next router.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/unique-fd.h"
#include "linux/jail.h"

namespace cloister {

/// Starts the helper, for a process that is still in the host's network and mount namespaces and has one thread. It ends
/// with the pid namespace that it is in. `identity` is whom pasta runs as; without, it runs as the launcher.
Result<UniqueFd> StartNetworkHelper(const std::string& pasta, std::optional<JailIdentity> identity);

/// A jail's way out: there until the object goes, which waits for the end of all that belonged to it.
class WayOut {
 public:
  WayOut() = default;
  WayOut(WayOut&&) = default;
  WayOut& operator=(WayOut&&) = default;
  ~WayOut();

  /// Begins to make one to all addresses but those of the `blocked` blocks; `Wait` says when it is there. They fail with
  /// JAIL_STEP_FAILED, step "open-network"; the path says in words what did not work.
  static Result<WayOut> Open(int helper_fd, int net_namespace_fd, const std::vector<std::string>& blocked);
  Result<void> Wait();

 private:
  UniqueFd session_;
};

}  // namespace cloister
