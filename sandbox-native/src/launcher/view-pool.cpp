#include "launcher/view-pool.h"

#include <optional>
#include <utility>

#include "linux/kernel.h"

namespace cloister {
namespace {

/// Of all views that wait. The kernel allows 100,000 mounts in a namespace (fs.mount-max).
constexpr size_t kMostMounts = 30'000;

}  // namespace

void ViewPool::Start(const Root& root, NameSource& names, Reaper& reaper, Strength strength, unsigned int most) {
  root_ = &root;
  names_ = &names;
  reaper_ = &reaper;
  reuse_ = strength != Strength::kSingle;
  most_ = most;
}

Result<View> ViewPool::Take(JailIdentity builder, bool fresh) {
  std::optional<View> view;
  if (!fresh) {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      view.emplace(std::move(free_.back()));
      free_.pop_back();
    }
  }
  if (!view) {
    Result<View> made = View::Make(*root_, *reaper_, names_->Next("view"));
    if (!made.ok()) return made.failure();
    view.emplace(*std::move(made));
  }
  Result<void> given = view->GiveTo(builder);
  if (!given.ok()) {
    view->Remove();
    return given.failure();
  }
  return *std::move(view);
}

void ViewPool::Keep(View view) {
  const std::lock_guard lock(mutex_);
  std::string name = view.name();
  kept_.emplace(std::move(name), std::move(view));
}

void ViewPool::Release(const std::string& name) {
  std::unique_lock lock(mutex_);
  const auto found = kept_.find(name);
  if (found == kept_.end()) return;
  View view = std::move(found->second);
  kept_.erase(found);
  lock.unlock();
  // Here and now, so that a build that comes next finds it: one without mounts would have to make them all.
  Recycle(std::move(view));
}

void ViewPool::Forget(const std::vector<std::string>& objects) {
  std::vector<View> broken;
  {
    const std::lock_guard lock(mutex_);
    std::vector<View> whole;
    for (View& view : free_) (view.Forget(objects) ? whole : broken).push_back(std::move(view));
    free_ = std::move(whole);
  }
  for (View& view : broken) view.Remove();  // which may take its time, so nobody waits for the pool meanwhile
}

void ViewPool::Stop() { UnmountTree(kViewMounts); }

void ViewPool::Recycle(View view) {
  if (reuse_ && view.Clean(*names_)) {
    const std::lock_guard lock(mutex_);
    size_t mounts = view.mount_count();
    for (const View& waiting : free_) mounts += waiting.mount_count();
    if (free_.size() < most_ && mounts <= kMostMounts) return free_.push_back(std::move(view));
  }
  view.Remove();
}

}  // namespace cloister
