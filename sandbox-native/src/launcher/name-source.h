// Names for new entries of staging, trash and builds.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace cloister {

/// Gives each name once.
class NameSource {
 public:
  /// `unique` is a prefix that no earlier launcher used; `some_left`: entries of one are still in staging or builds.
  void Start(std::string unique, bool some_left) {
    unique_ = std::move(unique);
    some_left_ = some_left;
  }

  /// For staging and builds: the same names in each run if need be, because a builder can see its own in its mountinfo.
  std::string Next(const char* kind) {
    return (some_left_ ? unique_ : std::string()) + kind + "-" + std::to_string(next_.fetch_add(1));
  }

  /// For the trash, which may still hold what earlier launchers left.
  std::string NextForTrash() { return unique_ + std::to_string(next_.fetch_add(1)); }

 private:
  std::string unique_;
  bool some_left_ = false;
  std::atomic<uint64_t> next_{0};
};

}  // namespace cloister
