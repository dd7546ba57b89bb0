#include "launcher/disk-number.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "launcher/group-files.h"

namespace cloister {

std::string FindDiskNumber(const std::string& directory) {
  struct stat status{};
  if (stat(directory.c_str(), &status) != 0 || major(status.st_dev) == 0) return {};
  std::string number = std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  const std::string device = "/sys/dev/block/" + number;
  if (access((device + "/partition").c_str(), F_OK) != 0) return access(device.c_str(), F_OK) == 0 ? number : std::string();
  number = ReadGroupFile(AT_FDCWD, (device + "/../dev").c_str());
  return number.substr(0, number.find('\n'));
}

}  // namespace cloister
