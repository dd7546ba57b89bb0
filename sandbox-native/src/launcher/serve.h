// The launcher at work: process 1 of its pid namespace, until the addon's end of the socket closes.
#pragma once

#include <string>

#include "launcher/group-places.h"
#include "launcher/identity.h"
#include "launcher/root.h"

namespace cloister {

/// Descriptor 3 is the launcher's end of the packet socket.
inline constexpr int kChannelFd = 3;

/// What a launcher is started with, besides the identities that it has taken.
struct ServeOptions {
  LauncherDirectories directories;
  unsigned int most_jobs = 1;
  GroupPlaces groups;
  std::string disk;  // below the build directories: for ControlGroups
};

[[noreturn]] void Serve(const Identities& identities, ServeOptions options);

}  // namespace cloister
