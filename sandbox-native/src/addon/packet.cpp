#include "addon/packet.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "core/message.h"

namespace cloister {

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
