// Which processors a build runs on, if not on all.
#pragma once

#include <cstdint>
#include <vector>

namespace cloister {

/// The last so many of those that this process may use, as a mask; empty if that is not to be found out.
std::vector<uint64_t> FindProcessors(uint32_t most);

}  // namespace cloister
