// The order of a build as bytes, and the parts of it that other orders have too.
#include "launcher/build.h"

namespace cloister {

std::optional<std::vector<HashPart>> ReadHashParts(MessageReader& reader) {
  std::vector<HashPart> parts;
  const std::string_view all = reader.Bytes();
  constexpr size_t kSize = std::tuple_size_v<HashPart>;
  if (all.size() % kSize != 0) return std::nullopt;
  parts.reserve(all.size() / kSize);
  for (size_t start = 0; start < all.size(); start += kSize) parts.push_back(*MakeHashPart(all.substr(start, kSize)));
  return parts;
}

std::optional<ExtraHash> ReadExtraHash(MessageReader& reader) {
  const uint8_t method = reader.U8();
  const uint8_t algorithm = reader.U8();
  if (method == 0) return std::nullopt;
  return ExtraHash{method == 1, static_cast<HashAlgorithm>(algorithm & 3)};
}

std::optional<BuildOrder> ReadBuildOrder(std::string_view body) {
  MessageReader reader(body);
  BuildOrder order;
  std::optional<JailSpec> spec = ReadJailSpec(reader);
  if (!spec) return std::nullopt;
  order.spec = *std::move(spec);
  std::optional<std::vector<HashPart>> candidates = ReadHashParts(reader);
  if (!candidates) return std::nullopt;
  order.candidates = *std::move(candidates);
  for (uint32_t left = reader.Count(7); left > 0; --left) {
    OutputOrder& output = order.outputs.emplace_back();
    output.name = reader.Text();
    output.hash = ReadExtraHash(reader);
    output.modulo_self = reader.U8() != 0;
    if (!IsBaseName(output.name)) return std::nullopt;
  }
  order.move_outputs = reader.U8() != 0;
  order.keep_directory = reader.U8() != 0;
  if (!reader.Finished()) return std::nullopt;
  return order;
}

}  // namespace cloister
