// Blocks of internet addresses, as "169.254.0.0/16" or "fe80::/10".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cloister {

struct AddressBlock {
  bool is_v6 = false;
  uint8_t prefix_length = 0;
  std::array<uint8_t, 16> address{};  // the first 4 of version 4

  size_t size() const noexcept { return is_v6 ? 16 : 4; }
};

/// Nothing if it is none. As an interface's, the address may have bits behind the prefix.
std::optional<AddressBlock> ParseAddressBlock(const std::string& text);

/// Without these bits.
AddressBlock NetworkOf(AddressBlock block);

/// How a block of version 4 is written inside of one of version 6: `prefix` has 96 bits.
AddressBlock EmbedInV6(const AddressBlock& block, const std::array<uint8_t, 12>& prefix);

}  // namespace cloister
