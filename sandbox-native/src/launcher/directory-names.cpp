#include "launcher/directory-names.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/unique-fd.h"

namespace cloister {

std::vector<std::string> NamesIn(int directory_fd) {
  std::vector<std::string> names;
  UniqueFd again(openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* directory = again ? fdopendir(again.get()) : nullptr;
  if (directory == nullptr) return names;
  (void)again.Release();  // closedir closes it
  while (const dirent* entry = readdir(directory))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace cloister
