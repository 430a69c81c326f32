// Code of units: made by g++ in batches, two at a time, and kept on disk under the hash of everything that goes into it.
#include "emulator.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace emulator {

typedef std::vector<std::shared_ptr<Unit>> Batch;

// Kernels of one compilation: the start of the compiler costs as much as about twenty of them.
constexpr size_t most = 150;

static std::string asked(const char *name) {
  const char *text = getenv(name);
  if (text != nullptr && *text) return text;
  fprintf(stderr, "emulator: %s is not set\n", name);
  abort();
}
std::string folder() { return asked("PTA_EMULATOR_BEFORE"); }
static std::string kernelFolder() {
  std::string made = asked("PTA_EMULATOR_KERNELS");
  // Code of either level has the same keys.
  made += setting("PTA_EMULATOR_OPTIMIZE", 0) ? "/fast" : "/plain";
  mkdir(made.c_str(), 0777);
  return made;
}

// Which library a unit is in, by key. Several processes append to the file.
static std::unordered_map<std::string, std::string> homes;
static long homesRead = 0;

static void readHomes() {
  std::ifstream in(kernelFolder() + "/index");
  in.seekg(homesRead);
  std::string line;
  while (std::getline(in, line)) {
    // The last line may be half written.
    if (in.eof()) break;
    homesRead += line.size() + 1;
    const size_t space = line.find(' ');
    if (space != std::string::npos) homes[line.substr(0, space)] = line.substr(space + 1);
  }
}

static bool load(Unit &unit) {
  auto home = homes.find(unit.key);
  if (home == homes.end()) return false;
  static std::unordered_map<std::string, void *> libraries;
  void *&library = libraries[home->second];
  if (library == nullptr) library = dlopen((kernelFolder() + "/" + home->second).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  unit.entry = (Entry *)dlsym(library, ("k_" + unit.key).c_str());
  return unit.entry != nullptr;
}

static void append(const std::string &path, const std::string &text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file < 0 || write(file, text.data(), text.size()) < 0) perror("emulator");
  if (file >= 0) close(file);
}

static std::string sourceOf(const Batch &batch) {
  std::string text;
  for (const auto &u : batch) {
    const std::string space = "u_" + u->key, section = "ps_" + u->key;
    text += "namespace { namespace " + space + " {\n#undef PTA_SHARED\n#define PTA_SHARED \"" + section + "\"\n" +
            u->text + "} }\n";
    text += "EMULATE_ENTRY(k_" + u->key + ", " + section + ", (" + space + "::" + u->name + "), " +
            (u->synchronizes ? "true" : "false") + ")\n";
    for (const auto &m : u->macros) text += "#undef " + m.substr(0, m.find('(')) + "\n";
  }
  return text;
}

// Compiles a batch; the compiler's words when it fails.
static std::string compile(const Batch &batch) {
  const std::string dir = kernelFolder(), name = batch[0]->key + "." + std::to_string(getpid());
  const std::string base = dir + "/" + name;
  std::ofstream(base + ".cpp") << sourceOf(batch);
  const std::string level = setting("PTA_EMULATOR_OPTIMIZE", 0) ? "1" : "0";
  const std::string command = "g++ -std=c++17 -O" + level + " -fPIC -shared -w -fwrapv -ffp-contract=off" +
                              " -fno-strict-aliasing -DPTA_SECTIONS -include '" + folder() + "/all" + level +
                              ".h' -o '" + base + ".so' '" + base + ".cpp' >'" + base + ".log' 2>&1";
  const int status = system(command.c_str());
  std::string message;
  if (status != 0) {
    std::ifstream in(base + ".log");
    std::string line;
    for (int i = 0; i < 12 && std::getline(in, line); ++i) message += line + "\n";
    if (message.empty()) message = "g++ ends with " + std::to_string(status) + "\n";
  } else {
    std::string lines;
    for (const auto &u : batch) lines += u->key + " " + name + ".so\n";
    append(dir + "/index", lines);
  }
  if (setting("PTA_EMULATOR_KEEP", 0) == 0) unlink((base + ".cpp").c_str());
  unlink((base + ".log").c_str());
  return message;
}

static int compileAll(const Batch &units, unsigned jobs) {
  const size_t size = std::min(most, (units.size() + jobs - 1) / jobs);
  std::vector<Batch> batches;
  for (size_t i = 0; i < units.size(); i += size) {
    batches.emplace_back(units.begin() + i, units.begin() + std::min(units.size(), i + size));
  }
  std::mutex turn;
  size_t next = 0;
  int failures = 0;
  auto work = [&] {
    for (;;) {
      size_t mine;
      {
        std::lock_guard<std::mutex> held(turn);
        if ((mine = next++) >= batches.size()) return;
      }
      const std::string message = compile(batches[mine]);
      if (message.empty()) continue;
      // One of them is to blame: each by itself then.
      for (const auto &u : batches[mine]) {
        const std::string own = batches[mine].size() == 1 ? message : compile({u});
        if (own.empty()) continue;
        std::lock_guard<std::mutex> held(turn);
        u->failed = true;
        ++failures;
        finding("kernel %s does not compile:\n%s", u->name.c_str(), own.c_str());
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < jobs; ++i) threads.emplace_back(work);
  work();
  for (auto &t : threads) t.join();
  readHomes();
  return failures;
}

static std::unordered_map<std::string, std::shared_ptr<Unit>> wanted;

static void collect(const Unit &u) {
  std::string macros;
  for (const auto &m : u.macros) macros += " " + m;
  char head[400];
  snprintf(head, sizeof head, "%s %d %zu %zu ", u.key.c_str(), (int)u.synchronizes, u.name.size(), u.text.size());
  append(collects, std::string(head) + std::to_string(macros.size()) + "\n" + u.name + u.text + macros + "\n");
}

void want(const std::shared_ptr<Unit> &unit) {
  static bool first = true;
  if (first) readHomes();
  first = false;
  if (homes.count(unit->key)) return;
  if (!wanted.emplace(unit->key, unit).second) return;
  if (collects != nullptr) collect(*unit);
}

bool prepare(Unit &unit) {
  if (unit.entry != nullptr || load(unit)) return true;
  if (unit.failed) return false;
  // Somebody else may have made it meanwhile.
  readHomes();
  if (load(unit)) return true;
  Batch batch;
  for (auto &[key, u] : wanted) {
    if (!homes.count(key)) batch.push_back(u);
  }
  wanted.clear();
  // Few are not worth a second compiler.
  if (!batch.empty()) compileAll(batch, batch.size() > 16 ? 2 : 1);
  return load(unit);
}

} // namespace emulator

using namespace emulator;

// Compiles what was collected in a file and is not there yet. Returns the number of kernels that do not compile, or -1.
API emulatorCompileCollected(const char *path, unsigned jobs) {
  Lock lock;
  std::ifstream in(path, std::ios::binary);
  if (!in) return -1;
  readHomes();
  std::unordered_map<std::string, std::shared_ptr<Unit>> found;
  std::string key;
  int synchronizes;
  size_t name, text, macros;
  while (in >> key >> synchronizes >> name >> text >> macros) {
    in.get();
    auto u = std::make_shared<Unit>();
    u->key = key;
    u->synchronizes = synchronizes != 0;
    u->name.resize(name);
    u->text.resize(text);
    std::string list(macros, 0);
    in.read(&u->name[0], name);
    in.read(&u->text[0], text);
    in.read(&list[0], macros);
    std::stringstream words(list);
    for (std::string m; words >> m;) u->macros.push_back(m);
    if (!homes.count(key)) found[key] = u;
  }
  Batch batch;
  for (auto &[k, u] : found) batch.push_back(u);
  fprintf(stderr, "emulator: %zu kernels to compile\n", batch.size());
  return batch.empty() ? 0 : compileAll(batch, jobs);
}
