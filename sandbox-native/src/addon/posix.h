#pragma once

#include <napi.h>

namespace cloister {

void InitPosix(Napi::Env env, Napi::Object exports);

}  // namespace cloister
