// Drives the functions on trees from a test: one command, one line of JSON (or an archive) on standard output.
//
//   restore|restore-flat ALGORITHM PARENT NAME < archive     dump|hash|remove|count-fds PARENT NAME
//   seal PARENT NAME EXPECTED_UID UID GID OUTPUTS SELF|- EXTRA|- CANDIDATE…     (OUTPUTS: NAME,NAME; EXTRA: flat:sha1)
//   rewrite PARENT NAME TO_NAME SELF|- FROM=TO,… CANDIDATE…   move PARENT FROM TO_PARENT TO TRASH|-   write PARENT NAME < contents
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

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

class StandardOutput : public Sink {
 public:
  bool Write(const uint8_t* data, size_t size) override { return WriteAll(STDOUT_FILENO, data, size); }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string_view command = argv[1];
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
