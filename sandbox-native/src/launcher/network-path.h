// The interfaces and routes between a jail and pasta (network-helper.h has the picture).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/unique-fd.h"
#include "linux/address-block.h"

namespace cloister {

/// Which versions of the internet protocol the host has a way out for.
struct Families {
  bool v4 = false;
  bool v6 = false;
};

/// Of the calling process's network namespace.
Families FindFamilies();

/// What did not work, in words, and why.
struct PathFailure {
  std::string what;
  int error = 0;
};

struct PathOrder {
  Families families;
  int between_fd = -1;  // network namespaces
  int jail_fd = -1;
  std::vector<AddressBlock> blocked;
};

/// pasta's words, by which a failure is told; `has_ended` when there will be no more.
class Complaints {
 public:
  explicit Complaints(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const noexcept { return fd_.get(); }
  void Read();
  bool has_ended() const noexcept { return ended_; }
  /// The last line that is to the point.
  std::string Last() const;

 private:
  UniqueFd fd_;
  std::string text_;
  bool ended_ = false;
};

/// Joins the jail to the namespace between, waits for pasta's interface there and makes the routes. The calling process is
/// in the namespace between afterwards. False if it failed.
bool MakePath(const PathOrder& order, Complaints& complaints, PathFailure& failure);

/// The arguments that make pasta fit what MakePath does.
std::vector<std::string> PastaArguments(const std::string& program, Families families, const std::string& anchor_process);

}  // namespace cloister
