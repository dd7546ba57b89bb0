// What the files of the addon share: failures and work off the main thread, as JavaScript sees them.
#pragma once

#include <napi.h>

#include <string>
#include <utility>

#include "core/result.h"

namespace cloister {

/// `{ code, step, errno, path, offset }`, which sandbox-native/errors.ts makes an error of; `path` as bytes.
inline Napi::Object ToObject(Napi::Env env, const Failure& failure) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", failure.code);
  object.Set("step", failure.step);
  object.Set("errno", failure.error);
  object.Set("path", Napi::Buffer<char>::Copy(env, failure.path.data(), failure.path.size()));
  object.Set("offset", Napi::BigInt::New(env, failure.offset));
  return object;
}

inline void Throw(Napi::Env env, const Failure& failure) { napi_throw(env, ToObject(env, failure)); }

/// A promise for what `work()`, on a thread of libuv's pool, returns as a Result, made a value by `make(env, result)` on
/// the main thread. `kept` is a value that must not be collected meanwhile.
template <class Work, class Make>
Napi::Promise RunAsync(Napi::Env env, Napi::Object kept, Work work, Make make) {
  using Outcome = decltype(work());
  class Worker : public Napi::AsyncWorker {
   public:
    Worker(Napi::Env env, Napi::Object kept, Work work, Make make)
        : Napi::AsyncWorker(env),
          deferred_(Napi::Promise::Deferred::New(env)),
          kept_(Napi::Persistent(kept)),
          work_(std::move(work)),
          make_(std::move(make)) {}
    Napi::Promise promise() const { return deferred_.Promise(); }

   protected:
    void Execute() override { outcome_ = work_(); }
    void OnOK() override {
      if (outcome_.ok()) {
        deferred_.Resolve(make_(Env(), outcome_));
      } else {
        deferred_.Reject(ToObject(Env(), outcome_.failure()));
      }
    }

   private:
    Napi::Promise::Deferred deferred_;
    Napi::ObjectReference kept_;
    Work work_;
    Make make_;
    Outcome outcome_ = Failure{};
  };
  auto* worker = new Worker(env, kept, std::move(work), std::move(make));  // deletes itself when it is done
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

/// The bytes of a Uint8Array.
inline std::string BytesOf(const Napi::Value& value) {
  const auto array = value.As<Napi::Uint8Array>();
  return std::string(reinterpret_cast<const char*>(array.Data()), array.ByteLength());
}

}  // namespace cloister
