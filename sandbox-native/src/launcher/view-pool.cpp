#include "launcher/view-pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "core/defences.h"
#include "launcher/directory-names.h"
#include "tree/remove.h"

namespace cloister {
namespace {

constexpr char kCode[] = "JAIL_STEP_FAILED";

}  // namespace

Result<void> View::Fill(const std::vector<JailEntry>& entries) {
  ++fillings_;
  whole_ = false;
  for (const JailEntry& entry : entries) {
    const auto found = points_.find(entry.name);
    if (found != points_.end() && found->second.kind == entry.kind && found->second.target == entry.target) {
      found->second.filling = fillings_;
      continue;
    }
    if (found != points_.end()) {
      Result<void> removed = RemovePoint(entry.name, found->second.kind);
      if (!removed.ok()) return removed;
      points_.erase(found);
    }
    Result<void> made = Make(entry);
    if (!made.ok()) return made;
  }
  for (auto point = points_.begin(); point != points_.end();) {
    if (point->second.filling == fillings_) {
      ++point;
      continue;
    }
    Result<void> removed = RemovePoint(point->first, point->second.kind);
    if (!removed.ok()) return removed;
    point = points_.erase(point);
  }
  whole_ = true;
  return {};
}

Result<void> View::RemovePoint(const std::string& name, JailEntry::Kind kind) {
  const int flags = kind == JailEntry::Kind::kDirectory ? AT_REMOVEDIR : 0;
  if (unlinkat(fd(), name.c_str(), flags) != 0) return Failure::Errno(kCode, "remove-mount-point", name);
  return {};
}

Result<void> View::Make(const JailEntry& entry) {
  int made = 0;
  switch (entry.kind) {
    case JailEntry::Kind::kSymlink:
      made = symlinkat(entry.target.c_str(), fd(), entry.name.c_str());
      break;
    case JailEntry::Kind::kDirectory:
      made = mkdirat(fd(), entry.name.c_str(), 0555);
      break;
    case JailEntry::Kind::kFile:
      made = mknodat(fd(), entry.name.c_str(), S_IFREG | 0444, 0);
      break;
  }
  if (made != 0) return Failure::Errno(kCode, "make-mount-point", entry.name);
  points_.emplace(entry.name, Point{entry.kind, entry.target, fillings_});
  return {};
}

Result<void> View::Clean() {
  if (!whole_) return Failure{kCode, "clean-view", EINVAL, name_, 0};
  if (!HasDefence(Defence::kCleanedViews)) return {};
  for (const std::string& name : NamesIn(fd())) {
    if (points_.contains(name)) continue;
    Result<RemovedTree> removed = RemoveTree(fd(), name.c_str());
    if (!removed.ok()) return removed.failure();
  }
  return {};
}

void ViewPool::Start(const Root& root, NameSource& names, Reaper& reaper, Strength strength, unsigned int most) {
  root_ = &root;
  names_ = &names;
  reaper_ = &reaper;
  reuse_ = strength != Strength::kSingle;
  most_ = most;
}

Result<View> ViewPool::Take(JailIdentity builder) {
  std::optional<View> view;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      view.emplace(std::move(free_.back()));
      free_.pop_back();
    }
  }
  if (!view) {
    const std::string name = names_->Next("view");
    Result<UniqueFd> directory = Make(name);
    if (!directory.ok()) return directory.failure();
    view.emplace(name, *std::move(directory));
  }
  // The sticky bit keeps what lies in the view, our mount points, from a builder that does not own it. In single
  // strength it does; there only the kernel's refusal to remove a mount point of one's own namespace is left.
  if (fchown(view->fd(), 0, builder.gid) != 0) return Failure::Errno(kCode, "give-view", view->name());
  return *std::move(view);
}

Result<UniqueFd> ViewPool::Make(const std::string& name) const {
  const int staging_fd = root_->staging.get();
  if (mkdirat(staging_fd, name.c_str(), 0700) != 0) return Failure::Errno(kCode, "make-view", name);
  UniqueFd directory(openat(staging_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return Failure::Errno(kCode, "open-view", name);
  if (fchmod(directory.get(), 01775) != 0) return Failure::Errno(kCode, "set-mode", name);
  return directory;
}

void ViewPool::Keep(View view) {
  const std::lock_guard lock(mutex_);
  std::string name = view.name();
  kept_.emplace(std::move(name), std::move(view));
}

void ViewPool::Release(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(name);
  if (found == kept_.end()) return;
  auto view = std::make_shared<View>(std::move(found->second));
  kept_.erase(found);
  reaper_->Do([this, view] { Recycle(std::move(*view)); });
}

void ViewPool::Recycle(View view) {
  if (reuse_ && view.Clean().ok()) {
    const std::lock_guard lock(mutex_);
    if (free_.size() < most_) return free_.push_back(std::move(view));
  }
  (void)RemoveTree(root_->staging.get(), view.name().c_str()).ok();
}

}  // namespace cloister
