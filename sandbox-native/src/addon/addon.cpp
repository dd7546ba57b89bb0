// The addon: what Node cannot do, in a process of its user. Each part adds its functions to the exports.
#include <napi.h>

#include "addon/channel.h"
#include "addon/posix.h"
#include "addon/read-tree.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  cloister::InitReadTree(env, exports);
  cloister::InitPosix(env, exports);
  cloister::InitChannel(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(cloister, Init)
