// The addon: what Node cannot do, in a process of its user. Each part adds its functions to the exports.
#include <napi.h>

#if __has_include("addon/channel.h")
#include "addon/channel.h"
#endif
#include "addon/posix.h"
#include "addon/read-tree.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  cloister::InitReadTree(env, exports);
  cloister::InitPosix(env, exports);
#if __has_include("addon/channel.h")
  cloister::InitChannel(env, exports);
#endif
  return exports;
}

}  // namespace

NODE_API_MODULE(cloister, Init)
