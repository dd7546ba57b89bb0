// Drives the functions on trees from a test: one command, one line of JSON (or an archive) on standard output.
//
//   restore-batch PARENT, digest-batch PIECE_SIZE     many inputs on standard input, each after its size (u64), a line for each
//   restore|restore-flat ALGORITHM PARENT NAME < archive     dump|hash|remove|count-fds PARENT NAME
//   seal PARENT NAME EXPECTED_UID UID GID OUTPUTS SELF|- EXTRA|- CANDIDATE…     (OUTPUTS: NAME,NAME; EXTRA: flat:sha1)
//   rewrite PARENT NAME TO_NAME SELF|- FROM=TO,… CANDIDATE…   move PARENT FROM TO_PARENT TO TRASH|-   write PARENT NAME < contents
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/digest.h"
#include "core/unique-fd.h"
#include "tree/dump.h"
#include "tree/entry.h"
#include "tree/move.h"
#include "tree/remove.h"
#include "tree/restore.h"
#include "tree/rewrite.h"
#include "tree/seal.h"

using namespace cloister;

namespace {

std::string Hex(const uint8_t* bytes, size_t size) {
  std::string text;
  char digits[3];
  for (size_t i = 0; i < size; ++i) {
    std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
    text += digits;
  }
  return text;
}

int Fail(const Failure& failure) {
  std::printf("{\"code\":\"%s\",\"stepHex\":\"%s\",\"errno\":%d,\"pathHex\":\"%s\",\"offset\":\"%llu\"}\n", failure.code,
              Hex(reinterpret_cast<const uint8_t*>(failure.step), std::strlen(failure.step)).c_str(), failure.error,
              Hex(reinterpret_cast<const uint8_t*>(failure.path.data()), failure.path.size()).c_str(),
              static_cast<unsigned long long>(failure.offset));
  return 1;
}

void PrintHash(const char* name, const uint8_t* bytes, size_t size) {
  std::printf(",\"%s\":\"%s\"", name, Hex(bytes, size).c_str());
}

void PrintNar(const Sha256Digest& hash, uint64_t size) {
  std::printf("{\"narHash\":\"%s\",\"narSize\":\"%llu\"", Hex(hash.data(), hash.size()).c_str(),
              static_cast<unsigned long long>(size));
}

int PrintSealed(const Result<SealedTree>& sealed) {
  if (!sealed) return Fail(sealed.failure());
  PrintNar(sealed->nar_hash, sealed->nar_size);
  std::printf(",\"references\":[");
  for (size_t i = 0; i < sealed->references.size(); ++i) {
    std::printf("%s\"%.32s\"", i == 0 ? "" : ",", sealed->references[i].data());
  }
  std::printf("]");
  if (sealed->extra_hash) PrintHash("hash", sealed->extra_hash->data(), sealed->extra_hash->size);
  if (sealed->modulo_self_hash) PrintHash("modulo", sealed->modulo_self_hash->data(), sealed->modulo_self_hash->size);
  std::printf("}\n");
  return 0;
}

int PrintRestored(const Result<RestoredTree>& restored) {
  if (!restored) return Fail(restored.failure());
  PrintNar(restored->nar_hash, restored->nar_size);
  if (restored->extra_hash) PrintHash("hash", restored->extra_hash->data(), restored->extra_hash->size);
  std::printf("}\n");
  return 0;
}

UniqueFd Open(const char* path) { return UniqueFd(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

std::vector<HashPart> HashParts(int from, int argc, char** argv) {
  std::vector<HashPart> parts;
  for (int i = from; i < argc; ++i) parts.push_back(*MakeHashPart(argv[i]));
  return parts;
}

std::optional<ExtraHash> ParseExtra(const std::string& text) {
  if (text == "-") return std::nullopt;
  const size_t colon = text.find(':');
  return ExtraHash{text.substr(0, colon) == "flat", *ParseHashAlgorithm(text.substr(colon + 1))};
}

bool ReadExactly(int fd, void* data, size_t size) {
  for (size_t got = 0; got < size;) {
    const ssize_t part = ReadSome(fd, static_cast<uint8_t*>(data) + got, size - got);
    if (part <= 0) return false;
    got += static_cast<size_t>(part);
  }
  return true;
}

/// The next input of a batch. Held in exactly its size, so that a sanitizer sees a read past its end.
bool ReadInput(std::vector<uint8_t>& input) {
  uint64_t size;
  if (!ReadExactly(STDIN_FILENO, &size, sizeof size)) return false;
  input = std::vector<uint8_t>(size);
  return ReadExactly(STDIN_FILENO, input.data(), size);
}

class Compare : public Sink {
 public:
  explicit Compare(const std::vector<uint8_t>& expected) : expected_(expected) {}
  bool Write(const uint8_t* data, size_t size) override {
    same_ = same_ && size <= expected_.size() - position_ && std::memcmp(data, expected_.data() + position_, size) == 0;
    position_ += size;
    return same_;
  }
  bool same() const { return same_ && position_ == expected_.size(); }

 private:
  const std::vector<uint8_t>& expected_;
  size_t position_ = 0;
  bool same_ = true;
};

/// Restores each archive twice, from a file and in pieces from a pipe; prints the failure or whether its dump is the same
/// as the archive, and says so when anything is left behind or the two ways differ.
int RestoreBatch(const UniqueFd& parent) {
  std::vector<uint8_t> input;
  for (size_t index = 0; ReadInput(input); ++index) {
    const UniqueFd file(memfd_create("archive", MFD_CLOEXEC));
    if (!WriteAll(file.get(), input.data(), input.size()) || lseek(file.get(), 0, SEEK_SET) != 0) return 3;
    auto restored = RestoreTree(file.get(), parent.get(), "from-file");

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return 3;
    const UniqueFd read_end(ends[0]);
    std::thread writer([&input, index, write_end = UniqueFd(ends[1])] {
      const size_t piece = 1 + index % 61;
      for (size_t at = 0; at < input.size(); at += piece) {
        if (!WriteAll(write_end.get(), input.data() + at, std::min(piece, input.size() - at))) return;
      }
    });
    auto piecewise = RestoreTree(read_end.get(), parent.get(), "from-pipe");
    uint8_t rest[4096];
    while (ReadSome(read_end.get(), rest, sizeof rest) > 0) continue;
    writer.join();

    struct stat status;
    const bool left = fstatat(parent.get(), "from-file", &status, AT_SYMLINK_NOFOLLOW) == 0;
    const bool left_by_pipe = fstatat(parent.get(), "from-pipe", &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (left != restored.ok() || left_by_pipe != piecewise.ok()) {
      std::printf("{\"code\":\"LEFT_BEHIND\"}\n");
    } else if (restored.ok() != piecewise.ok() ||
               (restored.ok() ? restored->nar_hash != piecewise->nar_hash
                              : restored.failure().code != piecewise.failure().code ||
                                    restored.failure().offset != piecewise.failure().offset)) {
      std::printf("{\"code\":\"FILE_AND_PIPE_DIFFER\"}\n");
    } else if (!restored.ok()) {
      Fail(restored.failure());
    } else {
      Compare compare(input);
      const bool dumped = DumpTree(parent.get(), "from-pipe", compare).ok();
      PrintNar(restored->nar_hash, restored->nar_size);
      std::printf(",\"same\":%s}\n", dumped && compare.same() ? "true" : "false");
    }
    if (!RemoveTree(parent.get(), "from-file") || !RemoveTree(parent.get(), "from-pipe")) return 3;
  }
  return 0;
}

/// The digests of each input, fed in pieces: MD5, SHA-1, SHA-256, SHA-512, and SHA-256 in portable code.
int DigestBatch(size_t piece) {
  std::vector<uint8_t> input;
  while (ReadInput(input)) {
    std::string line;
    for (const char* name : {"md5", "sha1", "sha256", "sha512", "sha256"}) {
      Sha256::ForcePortable(line.size() > 200);
      Digest digest(*ParseHashAlgorithm(name));
      for (size_t at = 0; at < input.size(); at += piece) {
        digest.Update(input.data() + at, std::min(piece, input.size() - at));
      }
      const DigestBytes bytes = digest.Finish();
      line += Hex(bytes.data(), bytes.size) + " ";
    }
    Sha256::ForcePortable(false);
    std::printf("%s\n", line.c_str());
  }
  return 0;
}

class StandardOutput : public Sink {
 public:
  bool Write(const uint8_t* data, size_t size) override { return WriteAll(STDOUT_FILENO, data, size); }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string_view command = argv[1];
  if (command == "restore-batch") return RestoreBatch(Open(argv[2]));
  if (command == "digest-batch") return DigestBatch(static_cast<size_t>(std::atoi(argv[2])));
  if (argc < 4) return 2;
  if (command == "restore-flat") {
    const UniqueFd parent = Open(argv[3]);
    RestoreOptions options;
    options.extra_hash = ExtraHash{true, *ParseHashAlgorithm(argv[2])};
    return PrintRestored(RestoreTree(STDIN_FILENO, parent.get(), argv[4], options));
  }
  const UniqueFd parent = Open(argv[2]);
  const char* name = argv[3];
  if (command == "restore") return PrintRestored(RestoreTree(STDIN_FILENO, parent.get(), name));
  if (command == "dump") {
    StandardOutput output;
    auto dumped = DumpTree(parent.get(), name, output);
    return dumped ? 0 : Fail(dumped.failure());
  }
  if (command == "hash") {
    auto hashed = HashTree(parent.get(), name);
    if (!hashed) return Fail(hashed.failure());
    PrintNar(hashed->nar_hash, hashed->nar_size);
    std::printf("}\n");
    return 0;
  }
  if (command == "remove") {
    auto removed = RemoveTree(parent.get(), name);
    if (!removed) return Fail(removed.failure());
    std::printf("{\"existed\":%s,\"freedBytes\":\"%llu\"}\n", removed->existed ? "true" : "false",
                static_cast<unsigned long long>(removed->freed_bytes));
    return 0;
  }
  if (command == "write") {
    std::vector<uint8_t> contents;
    uint8_t buffer[4096];
    for (ssize_t size; (size = ReadSome(STDIN_FILENO, buffer, sizeof buffer)) > 0;) {
      contents.insert(contents.end(), buffer, buffer + size);
    }
    return PrintRestored(WriteFileEntry(parent.get(), name, contents));
  }
  if (command == "move") {
    const UniqueFd to = Open(argv[4]);
    const UniqueFd trash = std::string_view(argv[6]) == "-" ? UniqueFd() : Open(argv[6]);
    auto moved = MoveEntry(parent.get(), name, to.get(), argv[5], trash.get());
    if (!moved) return Fail(moved.failure());
    std::printf("{\"trashed\":\"%s\"}\n", moved->trashed.c_str());
    return 0;
  }
  if (command == "seal") {
    const std::vector<HashPart> candidates = HashParts(10, argc, argv);
    // All outputs, so that hard links between them are seen; each is sealed, and one line printed for it.
    const std::vector<std::string> outputs = Split(argv[7]);
    SealedInodes inodes(parent.get(), outputs);
    SealOptions options;
    options.candidates = candidates;
    options.expected_uid = static_cast<uid_t>(std::atoi(argv[4]));
    options.owner_uid = static_cast<uid_t>(std::atoi(argv[5]));
    options.owner_gid = static_cast<gid_t>(std::atoi(argv[6]));
    options.self_hash_part = MakeHashPart(argv[8]);
    options.extra_hash = ParseExtra(argv[9]);
    options.inodes = &inodes;
    int status = 0;
    for (const std::string& output : outputs) status |= PrintSealed(SealTree(parent.get(), output.c_str(), options));
    return status;
  }
  if (command == "rewrite") {
    const std::vector<HashPart> candidates = HashParts(7, argc, argv);
    std::vector<HashPartPair> pairs;
    for (const std::string& pair : Split(argv[6])) {
      pairs.push_back({*MakeHashPart(pair.substr(0, 32)), *MakeHashPart(pair.substr(33))});
    }
    SealOptions options;
    options.candidates = candidates;
    options.self_hash_part = MakeHashPart(argv[5]);
    return PrintSealed(RewriteTree(parent.get(), name, parent.get(), argv[4], pairs, options));
  }
  return 2;
}
