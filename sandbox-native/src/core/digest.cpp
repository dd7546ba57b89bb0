#include "core/digest.h"

#include <algorithm>

namespace cloister {

std::optional<HashAlgorithm> ParseHashAlgorithm(std::string_view name) noexcept {
  if (name == "md5") return HashAlgorithm::kMd5;
  if (name == "sha1") return HashAlgorithm::kSha1;
  if (name == "sha256") return HashAlgorithm::kSha256;
  if (name == "sha512") return HashAlgorithm::kSha512;
  return std::nullopt;
}

Digest::Digest(HashAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case HashAlgorithm::kMd5: state_.emplace<Md5>(); break;
    case HashAlgorithm::kSha1: state_.emplace<Sha1>(); break;
    case HashAlgorithm::kSha256: state_.emplace<Sha256>(); break;
    case HashAlgorithm::kSha512: state_.emplace<Sha512>(); break;
  }
}

void Digest::Update(const void* data, size_t size) noexcept {
  std::visit([&](auto& state) { state.Update(data, size); }, state_);
}

DigestBytes Digest::Finish() noexcept {
  return std::visit(
      [](auto& state) {
        const auto digest = state.Finish();
        DigestBytes bytes;
        std::copy(digest.begin(), digest.end(), bytes.bytes.begin());
        bytes.size = static_cast<uint8_t>(digest.size());
        return bytes;
      },
      state_);
}

}  // namespace cloister
