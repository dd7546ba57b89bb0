// Failure as a value: exceptions are off in all our C++.
#pragma once

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace cloister {

/// What went wrong, as data; TypeScript makes the sentence. `code` and `step` are string literals: they live for ever.
///
/// A failed system call has the code of its part (TREE_SYSTEM_CALL, say), `step` names the call or what it was for,
/// `error` is its errno, and `path` the entry that it was about, relative to the tree's top ("" is the top itself).
/// For the codes NAR_*, `offset` is the byte of the archive, `step` what was expected there or the reason why what was
/// there cannot be ("dot", "duplicate"), and `path` what was found.
struct Failure {
  const char* code = "";
  const char* step = "";
  int error = 0;
  std::string path;
  uint64_t offset = 0;

  /// A failed system call; reads errno.
  static Failure Errno(const char* code, const char* step, std::string_view path = {}) {
    return Failure{code, step, errno, std::string(path), 0};
  }
};

/// A value or a Failure. `*result` asserts that there is a value.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}            // NOLINT: implicit on purpose
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}  // NOLINT

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  T& operator*() & noexcept {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& operator*() const& noexcept {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T&& operator*() && noexcept {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T* operator->() noexcept { return &**this; }
  const T* operator->() const noexcept { return &**this; }

  Failure& failure() & noexcept {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  const Failure& failure() const& noexcept {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  Failure&& failure() && noexcept {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Failure> state_;
};

/// Done, or a Failure. `return {};` says done.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept = default;
  Result(Failure failure) : failed_(true), failure_(std::move(failure)) {}  // NOLINT: implicit on purpose

  bool ok() const noexcept { return !failed_; }
  explicit operator bool() const noexcept { return ok(); }

  Failure& failure() & noexcept {
    assert(failed_);
    return failure_;
  }
  const Failure& failure() const& noexcept {
    assert(failed_);
    return failure_;
  }
  Failure&& failure() && noexcept {
    assert(failed_);
    return std::move(failure_);
  }

 private:
  bool failed_ = false;
  Failure failure_;
};

}  // namespace cloister
