// What a directory holds.
#pragma once

#include <string>
#include <vector>

namespace cloister {

/// The names in a held directory but "." and "..", sorted, so that nothing depends on the file system's order. Empty for
/// one that cannot be read.
std::vector<std::string> NamesIn(int directory_fd);

}  // namespace cloister
