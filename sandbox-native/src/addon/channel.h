// The addon's end of the launcher: starts it, sends orders, hands over what comes back.
#pragma once

#include <napi.h>

namespace cloister {

/// Adds the class `LauncherChannel` to the exports.
void InitChannel(Napi::Env env, Napi::Object exports);

}  // namespace cloister
