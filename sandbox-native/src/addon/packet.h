// What goes to the launcher in one packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/unique-fd.h"

namespace cloister {

inline constexpr int kMostDescriptors = 8;

struct Packet {
  std::string bytes;  // head, and the body if it is sent inline
  std::vector<UniqueFd> descriptors;
};

/// A memfd with these bytes that nobody can change any more; none, and errno, if it cannot be made.
UniqueFd SealedMemory(const uint8_t* data, size_t size);

/// 0, or errno; EAGAIN when the launcher has not read enough yet.
int SendPacket(int fd, const Packet& packet);

}  // namespace cloister
