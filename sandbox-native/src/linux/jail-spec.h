// All that a jail is given, as the order of a build brings it. TypeScript validates and explains; here it is decoded
// and what path safety rests on is looked at once more.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/message.h"
#include "linux/syscall-filter.h"

namespace cloister {

/// The identity that every builder has inside of its jail, as in Nix.
inline constexpr uid_t kInsideUid = 1000;
inline constexpr gid_t kInsideGid = 100;
/// And the other one, of a build whose output must not depend on it.
inline constexpr uid_t kOtherInsideUid = 1234;
inline constexpr gid_t kOtherInsideGid = 567;
inline constexpr char kHostName[] = "localhost";

struct JailFile {
  std::string name;  // in the build directory
  std::string contents;
  bool executable = false;
};

struct JailLimit {
  uint32_t resource = 0;  // RLIMIT_*
  uint64_t soft = 0;
  uint64_t hard = 0;
};

/// What a build may take of the machine; 0 is no limit, of weights no say.
struct ResourceLimits {
  uint64_t memory_bytes = 0;
  uint64_t swap_bytes = 0;  // counts with a limit of memory only; 0 is none
  uint32_t cpu_thousandths = 0;
  uint32_t cpu_weight = 0;  // 1 to 10,000, where 100 is everybody's
  uint32_t processes = 0;   // threads count
  uint32_t io_weight = 0;
  uint64_t read_bytes_per_second = 0;
  uint64_t written_bytes_per_second = 0;
  uint64_t least_free_bytes = 0;  // of the file system that holds the build directory
  uint64_t least_free_inodes = 0;
  bool required = false;  // fail rather than run where one of these cannot be enforced
};

struct JailSpec {
  std::string store_directory;      // where the view appears
  std::vector<std::string> inputs;  // base names below the store directory
  std::string world;                // base name, or ""
  std::vector<std::string> outputs;
  std::string builder;
  std::vector<std::string> arguments;    // with argv[0]
  std::vector<std::string> environment;  // NAME=VALUE
  std::string build_directory;           // inside
  bool build_in_memory = false;
  uint64_t build_size_bytes = 0;  // 0: no limit, as for build_inodes; on disk with what is made in the view
  uint64_t build_inodes = 0;
  std::vector<JailFile> files;
  uint64_t personality = 0;
  uint32_t umask = 022;
  uint64_t wall_time_ms = 0;  // 0: no limit, as for the next two
  uint64_t silence_ms = 0;
  uint64_t log_bytes = 0;
  std::vector<JailLimit> limits;
  SeccompSpec seccomp;
  bool has_network = false;                   // a way out, to all addresses but those of the blocks
  std::vector<std::string> blocked_networks;  // see ParseAddressBlock
  std::string resolver_configuration;         // the contents of /etc/resolv.conf
  ResourceLimits resources;
  /// What a build that is compared with another one has otherwise.
  bool other_ids = false;              // kOtherInsideUid and kOtherInsideGid
  std::string host_name = kHostName;
  uint32_t most_processors = 0;        // 0: all that the launcher may use, else the last ones of them
  std::vector<uint64_t> processors;    // those, as a mask: filled in by the launcher
  bool fresh_view = false;             // its inputs are mounted for it alone, in their order
};

/// Reads the part of a build's order that is its JailSpec; nothing if it breaks a rule that paths rest on.
std::optional<JailSpec> ReadJailSpec(MessageReader& reader);

/// True for one component of a path: not empty, not "." or "..", no slash, no NUL, at most 255 bytes.
bool IsBaseName(std::string_view name) noexcept;

/// The components of an absolute path without "." and ".."; nothing if it is not one.
std::optional<std::vector<std::string>> SplitAbsolutePath(std::string_view path);

}  // namespace cloister
