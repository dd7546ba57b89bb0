// The views that wait for a build, and those that hold the outputs of one.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/result.h"
#include "launcher/identity.h"
#include "launcher/name-source.h"
#include "launcher/reaper.h"
#include "launcher/root.h"
#include "launcher/view.h"

namespace cloister {

class ViewPool {
 public:
  /// `root`, `names` and `reaper` must outlive it. At most `most` views wait for another use; in single strength, where a
  /// builder owns its view, none is used twice.
  void Start(const Root& root, NameSource& names, Reaper& reaper, Strength strength, unsigned int most);

  /// A view for the builder with these ids, which nobody else uses; a `fresh` one has no mounts yet. Fails with JAIL_STEP_FAILED.
  Result<View> Take(JailIdentity builder, bool fresh);
  /// Keeps the view of a build that is over, with its outputs, until it is released.
  void Keep(View view);
  /// Has what is left in a kept view removed; it may be taken again afterwards.
  void Release(const std::string& name);
  /// Has no view that waits hold any of these objects, which are about to be removed.
  void Forget(const std::vector<std::string>& objects);
  /// Unmounts all, so that staging can be emptied. Nothing runs any more.
  void Stop();

 private:
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
