#include "linux/jail-spec.h"

#include <sys/personality.h>

#include <algorithm>

#include "linux/address-block.h"

namespace cloister {
namespace {

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

bool IsSafe(const JailSpec& spec) {
  const auto base_names = [](const std::vector<std::string>& names) {
    return std::all_of(names.begin(), names.end(), [](const std::string& name) { return IsBaseName(name); });
  };
  const auto texts = [](const std::vector<std::string>& items) { return std::none_of(items.begin(), items.end(), HasNul); };
  return SplitAbsolutePath(spec.store_directory) && SplitAbsolutePath(spec.build_directory) && base_names(spec.inputs) &&
         base_names(spec.outputs) && (spec.world.empty() || IsBaseName(spec.world)) && !HasNul(spec.builder) &&
         !HasNul(spec.host_name) && texts(spec.arguments) && texts(spec.environment) && !spec.arguments.empty() &&
         std::all_of(spec.blocked_networks.begin(), spec.blocked_networks.end(),
                     [](const std::string& text) { return ParseAddressBlock(text).has_value(); }) &&
         std::all_of(spec.files.begin(), spec.files.end(), [](const JailFile& file) { return IsBaseName(file.name); });
}

ResourceLimits ReadResourceLimits(MessageReader& reader) {
  ResourceLimits limits;
  limits.memory_bytes = reader.U64();
  limits.swap_bytes = reader.U64();
  limits.cpu_thousandths = reader.U32();
  limits.cpu_weight = reader.U32();
  limits.processes = reader.U32();
  limits.io_weight = reader.U32();
  limits.read_bytes_per_second = reader.U64();
  limits.written_bytes_per_second = reader.U64();
  limits.least_free_bytes = reader.U64();
  limits.least_free_inodes = reader.U64();
  limits.required = reader.U8() != 0;
  return limits;
}

}  // namespace

std::optional<JailSpec> ReadJailSpec(MessageReader& reader) {
  JailSpec spec;
  spec.store_directory = reader.Text();
  spec.inputs = reader.Texts();
  spec.world = reader.Text();
  spec.outputs = reader.Texts();
  spec.builder = reader.Text();
  spec.arguments = reader.Texts();
  spec.environment = reader.Texts();
  spec.build_directory = reader.Text();
  spec.build_in_memory = reader.U8() != 0;
  spec.build_size_bytes = reader.U64();
  spec.build_inodes = reader.U64();
  for (uint32_t left = reader.Count(9); left > 0; --left) {
    JailFile& file = spec.files.emplace_back();
    file.name = reader.Text();
    file.contents = reader.Text();
    file.executable = reader.U8() != 0;
  }
  // Without address randomisation, as Nix and Guix run their builders: two runs should not differ by it.
  spec.personality = uint64_t{ADDR_NO_RANDOMIZE} | (reader.U8() != 0 ? uint64_t{PER_LINUX32} : uint64_t{PER_LINUX});
  spec.umask = reader.U32();
  spec.wall_time_ms = reader.U64();
  spec.silence_ms = reader.U64();
  spec.log_bytes = reader.U64();
  for (uint32_t left = reader.Count(20); left > 0; --left) {
    JailLimit& limit = spec.limits.emplace_back();
    limit.resource = reader.U32();
    limit.soft = reader.U64();
    limit.hard = reader.U64();
  }
  const uint8_t profile = reader.U8();
  if (profile > static_cast<uint8_t>(SeccompProfile::kShell)) return std::nullopt;
  spec.seccomp.profile = static_cast<SeccompProfile>(profile);
  spec.seccomp.nested_user_namespaces = reader.U8() != 0;
  spec.seccomp.log = reader.U8() != 0;
  spec.has_network = reader.U8() != 0;
  spec.blocked_networks = reader.Texts();
  spec.resolver_configuration = reader.Text();
  spec.resources = ReadResourceLimits(reader);
  spec.other_ids = reader.U8() != 0;
  spec.host_name = reader.Text();
  spec.most_processors = reader.U32();
  spec.fresh_view = reader.U8() != 0;
  spec.seccomp.whole = spec.other_ids || spec.host_name != kHostName;
  if (!IsSafe(spec)) return std::nullopt;
  return spec;
}

bool IsBaseName(std::string_view name) noexcept {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::optional<std::vector<std::string>> SplitAbsolutePath(std::string_view path) {
  if (path.size() < 2 || path.front() != '/') return std::nullopt;
  std::vector<std::string> components;
  for (size_t start = 1; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view component = path.substr(start, end - start);
    if (!IsBaseName(component)) return std::nullopt;
    components.emplace_back(component);
    start = end + 1;
  }
  return components;
}

}  // namespace cloister
