#include "tree/hash-part-replacer.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace cloister {

std::span<const uint8_t> HashPartReplacer::Feed(const uint8_t* data, size_t size) {
  if (buffer_.empty()) positions_.clear();
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(given_));
  start_ += given_;
  searched_ -= std::min(searched_, given_);
  buffer_.insert(buffer_.end(), data, data + size);

  ForEachDigitRun(buffer_.data(), buffer_.size(), searched_, [&](size_t position) -> size_t {
    searched_ = position + 1;
    for (const auto& [from, to] : pairs_) {
      if (std::memcmp(buffer_.data() + position, from.data(), from.size()) != 0) continue;
      std::memcpy(buffer_.data() + position, to.data(), to.size());
      if (keep_positions_) positions_.push_back(start_ + position);
      searched_ = position + to.size();
      return to.size();
    }
    return 1;
  });

  constexpr size_t kOverlap = sizeof(HashPart) - 1;
  const size_t open = buffer_.size() > kOverlap ? buffer_.size() - kOverlap : 0;
  searched_ = std::max(searched_, open);  // nothing begins before `open` any more
  given_ = open;
  return {buffer_.data(), given_};
}

std::span<const uint8_t> HashPartReplacer::Finish() {
  const std::span<const uint8_t> rest(buffer_.data() + given_, buffer_.size() - given_);
  given_ = searched_ = 0;
  start_ = 0;
  finished_.assign(rest.begin(), rest.end());
  buffer_.clear();
  return finished_;
}

std::string ReplaceHashParts(std::string_view text, std::span<const HashPartPair> pairs) {
  HashPartReplacer replacer({pairs.begin(), pairs.end()});
  std::string result;
  const auto settled = replacer.Feed(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  result.append(settled.begin(), settled.end());
  const auto rest = replacer.Finish();
  result.append(rest.begin(), rest.end());
  return result;
}

ModuloHasher::ModuloHasher(HashAlgorithm algorithm, const HashPart& self)
    : digest_(algorithm), replacer_({{self, HashPart{}}}) {
  replacer_.KeepPositions();
}

void ModuloHasher::Feed(const uint8_t* data, size_t size) {
  const auto settled = replacer_.Feed(data, size);
  digest_.Update(settled.data(), settled.size());
}

DigestBytes ModuloHasher::Finish() {
  const auto rest = replacer_.Finish();
  digest_.Update(rest.data(), rest.size());
  for (const uint64_t position : replacer_.positions()) {
    const std::string text = "|" + std::to_string(position);
    digest_.Update(text.data(), text.size());
  }
  return digest_.Finish();
}

}  // namespace cloister
