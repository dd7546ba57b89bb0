// The body of a message that does not fit into a packet.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "core/unique-fd.h"

namespace cloister {

/// A memfd with these bytes that nobody can change any more; none, and errno, if it cannot be made.
inline UniqueFd SealedMemory(std::string_view bytes) {
  UniqueFd memory(memfd_create("cloister-message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  for (size_t done = 0; memory && done < bytes.size();) {
    const ssize_t size = write(memory.get(), bytes.data() + done, bytes.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return {};
    done += static_cast<size_t>(size);
  }
  if (!memory || fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) return {};
  return memory;
}

}  // namespace cloister
