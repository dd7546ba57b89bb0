#include "tree/tree-builder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree/entry.h"
#include "tree/remove.h"

namespace cloister {

TreeBuilder::~TreeBuilder() {
  if (!made_ || kept_) return;
  file_.Reset();
  levels_.clear();
  // What cannot be removed lies in staging, which is swept; the failure that led here is the one to report.
  (void)RemoveTree(parent_fd_, top_name_);
}

Failure TreeBuilder::Failed(const char* step, const std::string& name) const {
  return CallFailed(step, levels_.empty() ? std::string() : JoinPath(path_, name));
}

Result<void> TreeBuilder::BeginDirectory(const std::string& name) {
  if (mkdirat(directory(), NameOf(name), 0700) != 0) return Failed("mkdir", name);
  made_ = true;
  UniqueFd fd = OpenEntry(directory(), NameOf(name), O_RDONLY | O_DIRECTORY);
  if (!fd) return Failed("open directory", name);
  const size_t path_size = path_.size();
  if (!levels_.empty()) path_ = JoinPath(path_, name);
  levels_.push_back({std::move(fd), path_size});
  return {};
}

Result<void> TreeBuilder::EndDirectory() {
  const int fd = directory();
  if (fchmod(fd, kDirectoryMode) != 0) return CallFailed("chmod", path_);
  if (!SetCanonicalTime(fd)) return CallFailed("set time", path_);
  path_.resize(levels_.back().path_size);
  levels_.pop_back();
  return {};
}

Result<void> TreeBuilder::AddSymlink(const std::string& name, const std::string& target) {
  if (symlinkat(target.c_str(), directory(), NameOf(name)) != 0) return Failed("symlink", name);
  made_ = true;
  if (!SetCanonicalTimeOfLink(directory(), NameOf(name))) return Failed("set time", name);
  return {};
}

Result<void> TreeBuilder::BeginFile(const std::string& name, bool executable) {
  const mode_t mode = executable ? kExecutableMode : kFileMode;
  UniqueFd fd(openat(directory(), NameOf(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return Failed("create file", name);
  made_ = true;
  if (!mode_checked_[executable]) {  // One look instead of a chmod for each file: the umask is the process's.
    struct stat status;
    if (fstat(fd.get(), &status) != 0) return Failed("stat", name);
    mode_masked_[executable] = (status.st_mode & 07777) != mode;
    mode_checked_[executable] = true;
  }
  if (mode_masked_[executable] && fchmod(fd.get(), mode) != 0) return Failed("chmod", name);
  file_ = std::move(fd);
  file_name_ = name;
  return {};
}

Result<void> TreeBuilder::Write(std::span<const uint8_t> data) {
  if (!WriteAll(file_.get(), data.data(), data.size())) return Failed("write", file_name_);
  return {};
}

Result<void> TreeBuilder::EndFile() {
  if (!SetCanonicalTime(file_.get())) return Failed("set time", file_name_);
  file_.Reset();
  return {};
}

}  // namespace cloister
