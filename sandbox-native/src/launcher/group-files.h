// The files of control groups, which are read and written whole.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/unique-fd.h"

namespace cloister {

/// "" for a file that is not there. `group_fd` may be AT_FDCWD for other files of the kernel's.
inline std::string ReadGroupFile(int group_fd, const char* name) {
  const UniqueFd file(openat(group_fd, name, O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  std::string text;
  for (ssize_t size; file && (size = read(file.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(size));
  return text;
}

/// The parts of a text between any of these characters, without the empty ones.
inline std::vector<std::string> SplitText(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find_first_of(separators, start), text.size());
    if (end > start) parts.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

/// False with errno.
inline bool WriteGroupFile(int group_fd, const char* name, std::string_view text) {
  const UniqueFd file(openat(group_fd, name, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// The number that a file begins with.
inline std::optional<uint64_t> ReadGroupNumber(int group_fd, const char* name) {
  const std::string text = ReadGroupFile(group_fd, name);
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  return strtoull(text.c_str(), nullptr, 10);
}

/// The number after `key` in lines of a key and a number.
inline std::optional<uint64_t> FindGroupNumber(const std::string& text, std::string_view key) {
  for (const std::string& line : SplitText(text, "\n"))
    if (line.size() > key.size() + 1 && line.starts_with(key) && line[key.size()] == ' ')
      return strtoull(line.c_str() + key.size() + 1, nullptr, 10);
  return std::nullopt;
}

}  // namespace cloister
