// What goes to the launcher in one packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/unique-fd.h"

namespace cloister {

struct Packet {
  std::string bytes;  // head, and the body if it is sent inline
  std::vector<UniqueFd> descriptors;
};

/// 0, or errno; EAGAIN when the launcher has not read enough yet.
int SendPacket(int fd, const Packet& packet);

}  // namespace cloister
