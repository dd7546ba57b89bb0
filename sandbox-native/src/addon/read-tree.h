#pragma once

#include <napi.h>

namespace cloister {

void InitReadTree(Napi::Env env, Napi::Object exports);

}  // namespace cloister
