// The disk below a directory, by the number that limits of its speed are set for.
#pragma once

#include <string>

namespace cloister {

/// "MAJOR:MINOR" of the whole disk, or "" where the file system is on none, or on more than one. Reads /sys.
std::string FindDiskNumber(const std::string& directory);

}  // namespace cloister
