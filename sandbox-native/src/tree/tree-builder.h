// Makes a tree in canonical form, entry by entry, below a held directory: what restoring and rewriting have in common.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/unique-fd.h"

namespace cloister {

/// The first entry is the top and has the name given here; the others lie in the directory begun last and not yet ended.
/// Everything fails with TREE_SYSTEM_CALL and the path below the top. Without Keep() the destructor removes all of it.
class TreeBuilder {
 public:
  TreeBuilder(int parent_fd, const char* top_name) : parent_fd_(parent_fd), top_name_(top_name) {}
  ~TreeBuilder();
  TreeBuilder(const TreeBuilder&) = delete;
  TreeBuilder& operator=(const TreeBuilder&) = delete;

  Result<void> BeginDirectory(const std::string& name);
  Result<void> EndDirectory();
  Result<void> AddSymlink(const std::string& name, const std::string& target);
  Result<void> BeginFile(const std::string& name, bool executable);
  Result<void> Write(std::span<const uint8_t> data);
  Result<void> EndFile();

  /// The tree is complete and stays.
  void Keep() { kept_ = true; }

 private:
  struct Level {
    UniqueFd fd;
    size_t path_size;  // of the path of the directory that holds it
  };

  int directory() const { return levels_.empty() ? parent_fd_ : levels_.back().fd.get(); }
  const char* NameOf(const std::string& name) const { return levels_.empty() ? top_name_ : name.c_str(); }
  Failure Failed(const char* step, const std::string& name) const;

  int parent_fd_;
  const char* top_name_;
  bool made_ = false;
  bool kept_ = false;
  bool mode_checked_[2] = {};  // of plain and of executable files
  bool mode_masked_[2] = {};   // the process's umask takes too much away: set modes explicitly
  UniqueFd file_;
  std::string file_name_;
  std::string path_;  // of the directory that is open
  std::vector<Level> levels_;
};

}  // namespace cloister
