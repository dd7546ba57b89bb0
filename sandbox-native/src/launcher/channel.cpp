#include "launcher/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "core/sealed-memory.h"

namespace cloister {
namespace {

bool ReadMemory(int fd, uint32_t length, std::string& body) {
  struct stat status{};
  constexpr int kSealed = F_SEAL_SHRINK | F_SEAL_WRITE;
  if (fcntl(fd, F_GET_SEALS) < 0 || (fcntl(fd, F_GET_SEALS) & kSealed) != kSealed) return false;
  if (length > kLongestBody || fstat(fd, &status) != 0 || status.st_size != static_cast<off_t>(length)) return false;
  body.resize(length);
  for (size_t done = 0; done < length;) {
    const ssize_t size = pread(fd, body.data() + done, length - done, static_cast<off_t>(done));
    if (size <= 0) return false;
    done += static_cast<size_t>(size);
  }
  return true;
}

}  // namespace

bool Channel::Receive(Order& order) {
  char packet[sizeof(MessageHead) + kInlineBody];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
  iovec part{packet, sizeof packet};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size;
  do {
    size = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);

  order.descriptors.clear();
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); size > 0 && part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; ++index) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + index * sizeof(int), sizeof fd);
      order.descriptors.emplace_back(fd);
    }
  }
  MessageHead head;
  if (size < static_cast<ssize_t>(sizeof head) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return false;
  std::memcpy(&head, packet, sizeof head);
  if (head.magic != kMagic) return false;
  order.kind = static_cast<MessageKind>(head.kind);
  order.id = head.order;
  if ((head.flags & kBodyInMemory) == 0) {
    order.body.assign(packet + sizeof head, static_cast<size_t>(size) - sizeof head);
    return order.body.size() == head.body_length;
  }
  if (order.descriptors.empty() || !ReadMemory(order.descriptors.front().get(), head.body_length, order.body)) return false;
  order.descriptors.erase(order.descriptors.begin());
  return true;
}

void Channel::Send(MessageKind kind, uint64_t order, std::string_view body) noexcept {
  MessageHead head;
  head.kind = static_cast<uint16_t>(kind);
  head.order = order;
  head.body_length = static_cast<uint32_t>(body.size());
  iovec parts[2] = {{&head, sizeof head}, {const_cast<char*>(body.data()), body.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;

  UniqueFd memory;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (body.size() > kInlineBody) {
    memory = SealedMemory(body);
    if (!memory) return;
    head.flags = kBodyInMemory;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = memory.get();
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  }
  while (sendmsg(fd_, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void Channel::SendFailure(uint64_t order, const Failure& failure) noexcept {
  MessageWriter body;
  body.Bytes(failure.code).Bytes(failure.step).U32(static_cast<uint32_t>(failure.error)).Bytes(failure.path).U64(failure.offset);
  Send(MessageKind::kFailure, order, body.body());
}

}  // namespace cloister
