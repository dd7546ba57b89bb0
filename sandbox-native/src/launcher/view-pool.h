// Views: the directories in staging that builders see as their store directory. Making and removing a mount point for
// each input costs more than mounting it, so a view is kept with its mount points, and the next build changes what differs.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "core/unique-fd.h"
#include "launcher/identity.h"
#include "launcher/name-source.h"
#include "launcher/reaper.h"
#include "launcher/root.h"
#include "linux/jail-plan.h"

namespace cloister {

class View {
 public:
  View(std::string name, UniqueFd fd) : name_(std::move(name)), fd_(std::move(fd)) {}

  const std::string& name() const noexcept { return name_; }
  int fd() const noexcept { return fd_.get(); }

  /// Makes the entries' mount points and symlinks, and removes those of other builds: afterwards nothing else is in it.
  /// Fails with JAIL_STEP_FAILED; the view is not whole then and Clean fails.
  Result<void> Fill(const std::vector<JailEntry>& entries);
  /// Removes all but what Fill made. Fails with TREE_SYSTEM_CALL.
  Result<void> Clean();

 private:
  struct Point {
    JailEntry::Kind kind;
    std::string target;
    uint64_t filling;  // the last one that it was a part of
  };

  Result<void> Make(const JailEntry& entry);
  Result<void> RemovePoint(const std::string& name, JailEntry::Kind kind);

  std::string name_;
  UniqueFd fd_;
  std::unordered_map<std::string, Point> points_;
  uint64_t fillings_ = 0;
  bool whole_ = true;
};

class ViewPool {
 public:
  /// `root`, `names` and `reaper` must outlive it. At most `most` views wait for another use; in single strength, where a
  /// builder owns its view, none is used twice.
  void Start(const Root& root, NameSource& names, Reaper& reaper, Strength strength, unsigned int most);

  /// A view for the builder with these ids, which nobody else uses. Fails with JAIL_STEP_FAILED.
  Result<View> Take(JailIdentity builder);
  /// Keeps the view of a build that is over, with its outputs, until it is released.
  void Keep(View view);
  /// Has what is left in a kept view removed; it may be taken again then.
  void Release(const std::string& name);

 private:
  Result<UniqueFd> Make(const std::string& name) const;
  void Recycle(View view);

  const Root* root_ = nullptr;
  NameSource* names_ = nullptr;
  Reaper* reaper_ = nullptr;
  bool reuse_ = false;
  unsigned int most_ = 0;

  std::mutex mutex_;
  std::map<std::string, View> kept_;
  std::vector<View> free_;
};

}  // namespace cloister
