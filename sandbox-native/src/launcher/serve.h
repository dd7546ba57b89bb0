// The launcher at work: process 1 of its pid namespace, until the addon's end of the socket closes.
#pragma once

#include "launcher/identity.h"
#include "launcher/root.h"

namespace cloister {

/// Descriptor 3 is the launcher's end of the packet socket.
inline constexpr int kChannelFd = 3;

[[noreturn]] void Serve(const Identities& identities, const LauncherDirectories& directories, unsigned int most_jobs);

}  // namespace cloister
