#include "linux/address-block.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace cloister {

std::optional<AddressBlock> ParseAddressBlock(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  AddressBlock block;
  block.is_v6 = text.find(':') != std::string::npos;
  const std::string address = text.substr(0, slash);
  if (inet_pton(block.is_v6 ? AF_INET6 : AF_INET, address.c_str(), block.address.data()) != 1) return std::nullopt;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, block.prefix_length);
  if (error != std::errc() || stop != end || block.prefix_length > 8 * block.size()) return std::nullopt;
  return block;
}

AddressBlock NetworkOf(AddressBlock block) {
  for (size_t bit = block.prefix_length; bit < 8 * block.size(); ++bit)
    block.address[bit / 8] &= static_cast<uint8_t>(~(0x80 >> bit % 8));
  return block;
}

AddressBlock EmbedInV6(const AddressBlock& block, const std::array<uint8_t, 12>& prefix) {
  AddressBlock embedded;
  embedded.is_v6 = true;
  embedded.prefix_length = static_cast<uint8_t>(96 + block.prefix_length);
  std::copy(prefix.begin(), prefix.end(), embedded.address.begin());
  std::copy_n(block.address.begin(), 4, embedded.address.begin() + 12);
  return embedded;
}

}  // namespace cloister
