#include "addon/packet.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cloister {

UniqueFd SealedMemory(const uint8_t* data, size_t size) {
  UniqueFd memory(memfd_create("cloister-message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  for (size_t done = 0; memory && done < size;) {
    const ssize_t written = write(memory.get(), data + done, size - done);
    if (written <= 0) return {};
    done += static_cast<size_t>(written);
  }
  if (!memory || fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) return {};
  return memory;
}

int SendPacket(int fd, const Packet& packet) {
  iovec part{const_cast<char*>(packet.bytes.data()), packet.bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)] = {};
  if (!packet.descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * packet.descriptors.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * packet.descriptors.size());
    for (size_t index = 0; index < packet.descriptors.size(); ++index) {
      const int descriptor = packet.descriptors[index].get();
      std::memcpy(CMSG_DATA(rights) + index * sizeof(int), &descriptor, sizeof descriptor);
    }
  }
  ssize_t size;
  do {
    size = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  return size < 0 ? errno : 0;
}

}  // namespace cloister
