// The launcher's end of the packet socket. Any thread may send; one receives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/message.h"
#include "core/result.h"
#include "core/unique-fd.h"

namespace cloister {

struct Order {
  MessageKind kind{};
  uint64_t id = 0;
  std::string body;
  std::vector<UniqueFd> descriptors;  // without the one that held the body
};

class Channel {
 public:
  explicit Channel(int fd) noexcept : fd_(fd) {}

  /// Waits for the next order; false when the other end is gone or sends what is no packet of ours.
  bool Receive(Order& order);

  /// Waits while the other end has not read what was sent before. What cannot be sent has nobody to read it.
  void Send(MessageKind kind, uint64_t order, std::string_view body) noexcept;
  void SendFailure(uint64_t order, const Failure& failure) noexcept;

 private:
  int fd_;
};

}  // namespace cloister
