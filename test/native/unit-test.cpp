// Tests of what is easier to reach from C++ than from a test in TypeScript. Prints what failed; the status says whether.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "core/result.h"
#include "core/unique-fd.h"
#include "launcher/task-queue.h"
#include "tree/dump.h"
#include "tree/entry.h"
#include "tree/hash-part-replacer.h"
#include "tree/nar-words.h"
#include "tree/reference-scanner.h"
#include "tree/remove.h"
#include "tree/restore.h"
#include "tree/seal.h"

using namespace cloister;

namespace {

std::mt19937 g_random(20261124);

size_t RandomBelow(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(g_random); }

constexpr std::string_view kDigits = "0123456789abcdfghijklmnpqrsvwxyz";

HashPart RandomHashPart() {
  HashPart part;
  for (char& digit : part) digit = kDigits[RandomBelow(kDigits.size())];
  return part;
}

/// Text in which hash parts are close to each other and to other digits, some of them cut short.
std::string RandomText(const std::vector<HashPart>& parts, size_t pieces) {
  std::string text;
  for (size_t i = 0; i < pieces; ++i) {
    switch (RandomBelow(6)) {
      case 0: text += ViewOf(parts[RandomBelow(parts.size())]); break;
      case 1: text += ViewOf(parts[RandomBelow(parts.size())]).substr(RandomBelow(32)); break;
      case 2: text += ViewOf(parts[RandomBelow(parts.size())]).substr(0, RandomBelow(32)); break;
      case 3: text += kDigits.substr(RandomBelow(32)); break;
      case 4: text += std::string(RandomBelow(80), '/'); break;
      default: text.push_back(static_cast<char>(RandomBelow(256))); break;
    }
  }
  return text;
}

const uint8_t* Bytes(const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); }

void TestScanner() {
  for (int run = 0; run < 2000; ++run) {
    std::vector<HashPart> candidates(1 + RandomBelow(8));
    for (HashPart& part : candidates) part = RandomHashPart();
    // Candidates that differ late, so that a comparison cut short would confuse them.
    candidates.push_back(candidates[0]);
    candidates.back()[31] = candidates.back()[31] == 'a' ? 'b' : 'a';
    const std::string text = RandomText(candidates, RandomBelow(30));

    ReferenceScanner scanner(candidates);
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min(text.size() - at, 1 + RandomBelow(run % 2 == 0 ? 8 : 100));
      const std::vector<uint8_t> piece(Bytes(text) + at, Bytes(text) + at + size);
      scanner.Feed(piece.data(), piece.size());
      at += size;
    }
    std::vector<HashPart> expected;
    for (const HashPart& part : candidates) {
      if (text.find(ViewOf(part)) != std::string::npos) expected.push_back(part);
    }
    Check(scanner.Found() == expected, "the scanner finds what a plain search finds, wherever pieces end");
  }
}

std::string ReplaceNaively(std::string text, const std::vector<HashPartPair>& pairs, std::vector<uint64_t>& positions) {
  for (size_t at = 0; at + 32 <= text.size();) {
    size_t step = 1;
    for (const auto& [from, to] : pairs) {
      if (text.compare(at, 32, ViewOf(from)) != 0) continue;
      text.replace(at, 32, ViewOf(to));
      positions.push_back(at);
      step = 32;
      break;
    }
    at += step;
  }
  return text;
}

void TestReplacer() {
  for (int run = 0; run < 2000; ++run) {
    std::vector<HashPart> parts(3);
    for (HashPart& part : parts) part = RandomHashPart();
    const std::vector<HashPartPair> pairs{{parts[0], parts[1]}, {parts[1], RandomHashPart()}};
    const std::string text = RandomText(parts, RandomBelow(30));
    HashPartReplacer replacer(pairs);
    replacer.KeepPositions();
    std::string result;
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min(text.size() - at, 1 + RandomBelow(run % 2 == 0 ? 8 : 100));
      const auto settled = replacer.Feed(Bytes(text) + at, size);
      result.append(settled.begin(), settled.end());
      at += size;
    }
    const auto rest = replacer.Finish();
    result.append(rest.begin(), rest.end());
    std::vector<uint64_t> positions;
    Check(result == ReplaceNaively(text, pairs, positions), "the replacer replaces what a plain search finds");
    Check(replacer.positions() == positions, "the replacer tells each position in the whole stream");
  }
}

/// Two archives, one with its own hash part where the other has the bytes that stand for it, are different objects.
void TestModulo() {
  const HashPart self = RandomHashPart();
  const std::string with = "x" + std::string(ViewOf(self)) + "y" + std::string(ViewOf(self));
  std::string blanked = with;
  std::fill_n(blanked.begin() + 1, 32, '\0');
  auto hash = [&](const std::string& text) {
    ModuloHasher hasher(HashAlgorithm::kSha256, self);
    hasher.Feed(Bytes(text), text.size());
    return hasher.Finish().bytes;
  };
  Check(hash(with) != hash(blanked), "a self-reference and its blank have different hashes");

  std::string both = with;
  std::fill_n(both.begin() + 1, 32, '\0');
  std::fill_n(both.begin() + 34, 32, '\0');
  Sha256 plain;
  plain.Update(both.data(), both.size());
  plain.Update("|1|34", 5);
  const Sha256Digest expected = plain.Finish();
  Check(std::equal(expected.begin(), expected.end(), hash(with).begin()), "blanks are hashed, then `|POSITION` for each");
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* parent = std::getenv("TMPDIR");
    path_ = std::string(parent != nullptr ? parent : "/tmp") + "/cloister-native-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) std::abort();
    fd_ = UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~TemporaryDirectory() {
    std::vector<DirectoryEntry> entries;
    lseek(fd_.get(), 0, SEEK_SET);
    ReadEntries(fd_.get(), entries);
    for (const DirectoryEntry& entry : entries) (void)RemoveTree(fd_.get(), entry.name.c_str());
    rmdir(path_.c_str());
  }
  int fd() const { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
};

bool Exists(int parent_fd, const char* name) { return faccessat(parent_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

void Put(int parent_fd, const char* name) {
  const UniqueFd fd(openat(parent_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  Check(fd.valid() && WriteAll(fd.get(), "x", 1), "a file can be made");
}

UniqueFd MakeDirectory(int parent_fd, const char* name) {
  Check(mkdirat(parent_fd, name, 0700) == 0, "a directory can be made");
  return UniqueFd(openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void TestRemoveDeep() {
  const TemporaryDirectory temporary;
  UniqueFd at = MakeDirectory(temporary.fd(), "deep");
  for (int level = 0; level < 10'000; ++level) {
    if (level % 100 == 1) Put(at.get(), "file");
    UniqueFd below = MakeDirectory(at.get(), level % 3 == 0 ? "a" : ".removing-0");  // as RemoveTree itself would call it
    if (level % 100 == 0) fchmod(at.get(), 0);
    at = std::move(below);
  }
  at.Reset();
  auto removed = RemoveTree(temporary.fd(), "deep");
  Check(removed.ok() && removed->existed && removed->freed_bytes >= 10'000, "10,000 levels are removed and counted");
  Check(!Exists(temporary.fd(), "deep"), "nothing is left of 10,000 levels");
}

/// What somebody else does just before one of our system calls, counted from 0.
struct Interference {
  void (*act)() = nullptr;
  int at = -1;       // before this call
  int again_at = -1;  // and before this one
  int calls = 0;
};
Interference g_interference;

void Interfere() {
  if (g_interference.act == nullptr) return;
  const int call = g_interference.calls++;
  if (call == g_interference.at || call == g_interference.again_at) g_interference.act();
}

}  // namespace

// Ours come before the C library's. They do the same, but first let somebody else do what a test has in mind: so a race is
// lost at each possible moment, and not once in a thousand runs.
extern "C" {

int openat(int parent, const char* name, int flags, ...) {
  Interfere();
  va_list rest;
  va_start(rest, flags);
  const int mode = (flags & O_CREAT) != 0 ? va_arg(rest, int) : 0;
  va_end(rest);
  return static_cast<int>(syscall(SYS_openat, parent, name, flags, mode));
}

int fstatat(int parent, const char* name, struct stat* status, int flags) noexcept {
  Interfere();
  return static_cast<int>(syscall(SYS_newfstatat, parent, name, status, flags));
}

int unlinkat(int parent, const char* name, int flags) noexcept {
  Interfere();
  return static_cast<int>(syscall(SYS_unlinkat, parent, name, flags));
}

int fchmod(int fd, mode_t mode) noexcept {
  Interfere();
  return static_cast<int>(syscall(SYS_fchmod, fd, mode));
}

off_t lseek(int fd, off_t offset, int from) noexcept {
  Interfere();
  return syscall(SYS_lseek, fd, offset, from);
}

// While this is set, reads and writes give less than was asked for, and a signal comes in between.
static bool g_is_fitful = false;
static unsigned g_fits = 0;

ssize_t read(int fd, void* data, size_t size) {
  if (g_is_fitful && ++g_fits % 3 == 0) return errno = EINTR, -1;
  return syscall(SYS_read, fd, data, g_is_fitful ? std::min<size_t>(size, 1 + g_fits % 50) : size);
}

ssize_t write(int fd, const void* data, size_t size) {
  if (g_is_fitful && ++g_fits % 3 == 0) return errno = EINTR, -1;
  return syscall(SYS_write, fd, data, g_is_fitful ? std::min<size_t>(size, 1 + g_fits % 50) : size);
}

}  // extern "C"

namespace {

int g_tree = -1;
int g_attic = -1;

/// While a tree is removed, somebody swaps a directory in it for a symlink to one outside, at each moment that there is.
void TestRemoveRace() {
  const TemporaryDirectory temporary;
  const UniqueFd victim = MakeDirectory(temporary.fd(), "victim");
  for (const char* name : {"a", "b", "c"}) Put(victim.get(), name);
  constexpr mode_t kVictimMode = 0570;
  Check(fchmod(victim.get(), kVictimMode) == 0, "the victim gets its mode");

  int calls = 1;
  for (int at = 0; at < calls; ++at) {
    for (const int lasts : {1000, 1, 2, 3}) {  // calls until it is swapped back
      for (const mode_t mode : {0700, 0}) {
        const UniqueFd tree = MakeDirectory(temporary.fd(), "tree");
        const UniqueFd attic = MakeDirectory(temporary.fd(), "attic");
        {
          const UniqueFd child = MakeDirectory(tree.get(), "d");
          for (const char* name : {"a", "b", "c"}) Put(child.get(), name);
          const UniqueFd grandchild = MakeDirectory(child.get(), "e");
          Put(grandchild.get(), "a");
          Check(fchmod(child.get(), mode) == 0, "the directory gets its mode");
        }
        Check(symlinkat("../victim", attic.get(), "link") == 0, "a symlink can be made");
        g_tree = tree.get();
        g_attic = attic.get();
        g_interference = {[] { renameat2(g_tree, "d", g_attic, "link", RENAME_EXCHANGE); }, at, at + lasts, 0};
        (void)RemoveTree(temporary.fd(), "tree");  // may fail: what matters is what else it touches
        calls = std::max(calls, std::exchange(g_interference, {}).calls);
        for (const char* name : {"tree", "attic"}) Check(RemoveTree(temporary.fd(), name).ok(), "it is removed in the end");
      }
    }
  }
  Check(calls > 15, "there were moments to interfere at");
  for (const char* name : {"a", "b", "c"}) Check(Exists(victim.get(), name), "the victim of swapped symlinks is intact");
  struct stat status;
  Check(fstat(victim.get(), &status) == 0 && (status.st_mode & 07777) == kVictimMode, "the victim keeps its mode");
}

/// A tree with a file of `size` bytes in it, as an archive.
std::string MakeArchive(size_t size) {
  std::string archive;
  AppendStrings(archive, {kNarMagic, "(", "type", "directory"});
  AppendStrings(archive, {"entry", "(", "name", "a", "node", "(", "type", "symlink", "target", "b", ")", ")"});
  AppendStrings(archive, {"entry", "(", "name", "b", "node", "(", "type", "regular", "contents"});
  AppendString(archive, std::string(size, 'x'));
  AppendStrings(archive, {")", ")", ")"});
  return archive;
}

class Collector : public Sink {
 public:
  explicit Collector(size_t limit) : limit_(limit) {}
  bool Write(const uint8_t* data, size_t size) override {
    collected.append(reinterpret_cast<const char*>(data), size);
    return collected.size() <= limit_;
  }
  std::string collected;

 private:
  size_t limit_;
};

UniqueFd FileWith(const std::string& contents) {
  UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
  Check(WriteAll(fd.get(), contents.data(), contents.size()) && lseek(fd.get(), 0, SEEK_SET) == 0, "a file can be made");
  return fd;
}

void TestFitfulCalls() {
  const TemporaryDirectory temporary;
  const std::string archive = MakeArchive(20'000);
  const UniqueFd source = FileWith(archive);
  Collector collector(SIZE_MAX);
  g_is_fitful = true;
  const bool restored = RestoreTree(source.get(), temporary.fd(), "tree").ok();
  const bool dumped = DumpTree(temporary.fd(), "tree", collector).ok();
  g_is_fitful = false;
  Check(restored && dumped && collector.collected == archive, "short reads and writes and signals change nothing");
}

void TestCancelling() {
  const TemporaryDirectory temporary;
  const std::string archive = MakeArchive(2'000'000);
  const UniqueFd source = FileWith(archive);
  const std::atomic<bool> cancelled{true};
  RestoreOptions options;
  options.cancelled = &cancelled;
  auto restored = RestoreTree(source.get(), temporary.fd(), "tree", options);
  Check(!restored && restored.failure().code == std::string_view("TREE_CANCELLED"), "a restore can be cancelled");
  Check(!Exists(temporary.fd(), "tree"), "a cancelled restore leaves nothing");

  const UniqueFd again = FileWith(archive);
  Check(RestoreTree(again.get(), temporary.fd(), "tree").ok(), "it can be restored afterwards");
  Collector collector(0);
  auto dumped = DumpTree(temporary.fd(), "tree", collector);
  Check(!dumped && dumped.failure().code == std::string_view("TREE_CANCELLED"), "a dump ends when its sink says so");
  SealOptions seal;
  seal.expected_uid = geteuid();
  seal.cancelled = &cancelled;
  auto sealed = SealTree(temporary.fd(), "tree", seal);
  Check(!sealed && sealed.failure().code == std::string_view("TREE_CANCELLED"), "a sealing can be cancelled");
}

/// A disk that takes no more in the middle of a file; the limit on a file's size stands in for it.
void TestNoRoom() {
  const TemporaryDirectory temporary;
  const UniqueFd source = FileWith(MakeArchive(2'000'000));
  struct rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit small{1'000'000, before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  auto restored = RestoreTree(source.get(), temporary.fd(), "tree");
  const std::vector<uint8_t> text(1'500'000);
  auto written = WriteFileEntry(temporary.fd(), "text", text);
  setrlimit(RLIMIT_FSIZE, &before);
  for (const auto* result : {&restored, &written}) {
    Check(!result->ok() && result->failure().error == EFBIG, "a full disk is a failure with its errno");
  }
  Check(restored.failure().path == "b", "a failed write names the place in the tree");
  for (const char* name : {"tree", "text"}) Check(!Exists(temporary.fd(), name), "a full disk leaves nothing behind");
}

/// A user who may have no more processes gets no threads, and is told so.
void TestNoThread() {
  const pid_t child = fork();
  if (child == 0) {
    const struct rlimit none{1, 1};
    if (setrlimit(RLIMIT_NPROC, &none) != 0 || (getuid() == 0 && setresuid(65534, 65534, 65534) != 0)) _exit(2);
    static TaskQueue queue;
    const Result<void> started = queue.Start("test", 1);
    _exit(started.ok() ? 1 : started.failure().error == EAGAIN ? 0 : 3);
  }
  int status = -1;
  Check(waitpid(child, &status, 0) == child && status == 0, "a thread that cannot be started is a failure with its errno");
}

}  // namespace

int main() {
  TestNoThread();
  TestFitfulCalls();
  TestCancelling();
  TestNoRoom();
  TestScanner();
  TestReplacer();
  TestModulo();
  TestRemoveDeep();
  TestRemoveRace();
  return Conclude();
}
