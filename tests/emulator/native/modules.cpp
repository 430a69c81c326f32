// Modules, functions and launches.
#include "emulator.h"

namespace emulator {

struct Module {
  std::map<std::string, std::unique_ptr<Function>> functions;
};
static std::map<u64, std::unique_ptr<Module>> modules;
static std::set<Function *> functions;

constexpr unsigned mostShared = 227 << 10, usualShared = 48 << 10;

// The image is the text, as the emulated NVRTC hands it out: a line with the number of bytes after it, the expressions and macros wanted, an empty line, the text.
static int loadModule(u64 *made, const char *image) {
  static const char magic[] = "PTAEMULATOR ";
  if (made == nullptr || image == nullptr) return INVALID_VALUE;
  if (strncmp(image, magic, sizeof magic - 1) != 0) {
    finding("cuModuleLoadData: the image does not come from the emulated NVRTC");
    return INVALID_IMAGE;
  }
  const char *line = strchr(image, '\n') + 1;
  const size_t bytes = strtoull(image + sizeof magic - 1, nullptr, 10);
  std::string rest(line, bytes);
  std::vector<std::string> expressions;
  std::string defines;
  size_t at = 0;
  for (size_t end; (end = rest.find('\n', at)) != at; at = end + 1) {
    if (end == std::string::npos) return INVALID_IMAGE;
    const std::string part = rest.substr(at, end - at);
    if (part[0] == '#') defines += part + "\n";
    else expressions.push_back(part);
  }
  auto module = std::make_unique<Module>();
  *made = (u64)module.get();
  const auto units = unitsOf(rest.substr(at + 1), defines, expressions);
  for (size_t i = 0; i < units.size(); ++i) {
    want(units[i]);
    auto f = std::make_unique<Function>();
    f->unit = units[i];
    f->module = *made;
    functions.insert(f.get());
    const size_t first = units.size() - expressions.size();
    const std::string name = i < first ? units[i]->name : "expression_" + std::to_string(i - first);
    module->functions[name] = std::move(f);
  }
  modules[*made] = std::move(module);
  return OK;
}

static void readArguments(KernelCall &call, void **parameters, std::vector<Access> &accesses) {
  const Unit &unit = *call.function->unit;
  const Entry &entry = *unit.entry;
  unsigned bytes = 0;
  for (unsigned i = 0; i < entry.count; ++i) {
    call.offsets.push_back(bytes);
    bytes += (entry.sizes[i] + 15) & ~15u;
  }
  call.arguments.resize(bytes + 16);
  for (unsigned i = 0; i < entry.count; ++i) {
    unsigned char *at = call.arguments.data() + call.offsets[i];
    memcpy(at, parameters[i], entry.sizes[i]);
    call.pointers.push_back(at);
    if (i >= unit.parameters.size() || !unit.parameters[i].pointer) continue;
    const u64 address = *(u64 *)at;
    if (isDeviceAddress(address)) accesses.push_back({address, 0, !unit.parameters[i].readOnly});
  }
}

static const char *const failures[] = {
    "", "some threads never reach a barrier that others wait at", "threads of one warp wait at different places",
    "an access is not aligned"};

static int runKernel(const KernelCall &call, const std::vector<Access> &accesses) {
  static std::vector<char> dynamic(mostShared + 256);
  char *shared = (char *)(((uintptr_t)dynamic.data() + 255) & ~(uintptr_t)255);
  memset(shared, 0xff, call.shared);
  // What lies behind what was asked for belongs to nobody.
  memset(shared + call.shared, 0xa5, std::min<size_t>(64, mostShared - call.shared));
  const Unit &unit = *call.function->unit;
  const std::string what = "kernel " + unit.name;
  Launch launch = {call.grid, call.block, shared, &threadStack};
  int failure = 0;
  int error = guarded(what.c_str(), [&] {
    failure = unit.entry->run(call.pointers.data(), &launch);
    return (int)OK;
  });
  if (error == OK && failure != 0) {
    finding("%s: %s", what.c_str(), failures[failure]);
    error = failure == 3 ? MISALIGNED_ADDRESS : LAUNCH_FAILED;
  }
  for (size_t i = call.shared; i < std::min<size_t>(call.shared + 64, mostShared); ++i) {
    if (shared[i] == (char)0xa5) continue;
    finding("%s writes past the end of its %u bytes of dynamic shared memory", what.c_str(), call.shared);
    error = error ? error : ILLEGAL_ADDRESS;
    break;
  }
  for (const Access &a : accesses) {
    if (a.writes) checkBeside(what.c_str(), a.address);
  }
  return error ? error : sticky;
}

static int refuse(const Unit &unit, int error, const char *format, unsigned long long got, unsigned long long most) {
  char text[200];
  snprintf(text, sizeof text, format, got, most);
  finding("launch of kernel %s: %s", unit.name.c_str(), text);
  return error;
}

int kernelWork(Function *function, dim3 g, dim3 b, unsigned shared, void **parameters, Work &work) {
  if (!functions.count(function)) return INVALID_HANDLE;
  Unit &unit = *function->unit;
  const u64 threads = (u64)b.x * b.y * b.z;
  if (!g.x || !g.y || !g.z || !threads) return refuse(unit, INVALID_VALUE, "no blocks, or no threads", 0, 0);
  if (g.x > 0x7fffffffu) return refuse(unit, INVALID_VALUE, "a grid of %llu blocks, %llu at most", g.x, 0x7fffffffu);
  if (g.y > 65535 || g.z > 65535) {
    return refuse(unit, INVALID_VALUE, "%llu blocks in y or z, %llu at most", std::max(g.y, g.z), 65535);
  }
  if (threads > 1024 || b.x > 1024 || b.y > 1024 || b.z > 64) {
    return refuse(unit, INVALID_VALUE, "%llu threads in a block, %llu at most (64 in z)", threads, 1024);
  }
  if (unit.launchBounds != 0 && threads > unit.launchBounds) {
    return refuse(unit, LAUNCH_OUT_OF_RESOURCES, "%llu threads in a block, its launch bounds say %llu", threads,
                  unit.launchBounds);
  }
  if (shared > (unsigned)function->maxDynamicShared) {
    return refuse(unit, INVALID_VALUE, "%llu bytes of dynamic shared memory, %llu allowed (cuFuncSetAttribute)", shared,
                  function->maxDynamicShared);
  }
  auto call = std::make_shared<KernelCall>();
  call->function = function;
  call->grid = g;
  call->block = b;
  call->shared = shared;
  work.name = "kernel " + unit.name;
  work.kind = Kind::kernel;
  work.call = call;
  work.accesses.clear();
  if (collects != nullptr) {
    work.run = [] { return (int)OK; };
    return OK;
  }
  if (!prepare(unit)) return INVALID_SOURCE;
  const u64 fixed = unit.entry->sharedEnd - unit.entry->sharedBegin;
  if (fixed > usualShared) {
    return refuse(unit, INVALID_SOURCE, "%llu bytes of static shared memory, %llu at most", fixed, usualShared);
  }
  if (fixed + shared > mostShared) {
    return refuse(unit, INVALID_VALUE, "%llu bytes of shared memory together, %llu at most", fixed + shared, mostShared);
  }
  if (unit.entry->count > 0 && parameters == nullptr) return INVALID_VALUE;
  readArguments(*call, parameters, work.accesses);
  u64 bytes = 0;
  for (unsigned i = 0; i < unit.entry->count; ++i) bytes += unit.entry->sizes[i];
  if (bytes > 4096) return refuse(unit, INVALID_VALUE, "%llu bytes of arguments, %llu at most", bytes, 4096);
  work.run = [call, accesses = work.accesses] { return runKernel(*call, accesses); };
  return OK;
}

} // namespace emulator

using namespace emulator;

#define ENTER                                                                                          \
  Lock lock;                                                                                           \
  if (int error = entry()) return error;

API cuModuleLoadData(u64 *module, const char *image) {
  ENTER;
  if (int error = forbidWhileCapturing("cuModuleLoadData")) return error;
  return loadModule(module, image);
}
API cuModuleLoadDataEx(u64 *module, const char *image, unsigned, void *, void *) {
  return cuModuleLoadData(module, image);
}
API cuModuleUnload(u64 module) {
  ENTER;
  auto it = modules.find(module);
  if (it == modules.end()) return INVALID_HANDLE;
  if (int error = drainAll()) return error;
  for (auto &[name, f] : it->second->functions) functions.erase(f.get());
  modules.erase(it);
  return OK;
}
API cuModuleGetFunction(u64 *made, u64 module, const char *name) {
  ENTER;
  auto it = modules.find(module);
  if (it == modules.end()) return INVALID_HANDLE;
  if (made == nullptr || name == nullptr) return INVALID_VALUE;
  auto f = it->second->functions.find(name);
  if (f == it->second->functions.end()) return NOT_FOUND;
  *made = (u64)f->second.get();
  return OK;
}
API cuModuleGetGlobal_v2(u64 *, u64 *, u64, const char *) {
  ENTER;
  return NOT_FOUND;
}
API cuFuncGetAttribute(int *value, int attribute, Function *f) {
  ENTER;
  if (!functions.count(f)) return INVALID_HANDLE;
  if (value == nullptr) return INVALID_VALUE;
  switch (attribute) {
  case 0: *value = f->unit->launchBounds ? f->unit->launchBounds : 1024; return OK;
  case 1:
    *value = prepare(*f->unit) ? (int)(f->unit->entry->sharedEnd - f->unit->entry->sharedBegin) : 0;
    return OK;
  case 2:
  case 3: *value = 0; return OK;
  case 4: *value = 32; return OK;
  case 5:
  case 6: *value = 90; return OK;
  case 8: *value = f->maxDynamicShared; return OK;
  case 9: *value = -1; return OK;
  default: return INVALID_VALUE;
  }
}
API cuFuncSetAttribute(Function *f, int attribute, int value) {
  ENTER;
  if (!functions.count(f)) return INVALID_HANDLE;
  if (attribute == 9) return OK;
  if (attribute != 8) return INVALID_VALUE;
  if (value < 0 || value > (int)mostShared) {
    finding("cuFuncSetAttribute: %d bytes of dynamic shared memory for kernel %s, %u at most", value,
            f->unit->name.c_str(), mostShared);
    return INVALID_VALUE;
  }
  f->maxDynamicShared = value;
  return OK;
}
API cuFuncLoad(Function *f) {
  ENTER;
  return functions.count(f) ? OK : INVALID_HANDLE;
}
API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Function *f, int threads, u64 shared) {
  ENTER;
  if (!functions.count(f)) return INVALID_HANDLE;
  if (blocks == nullptr || threads <= 0) return INVALID_VALUE;
  *blocks = std::min<u64>(std::min(32, 2048 / threads), (228 << 10) / (shared + 1024));
  return OK;
}
API cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, u64 stream, void **parameters, void **extra) {
  ENTER;
  const StreamRef s = streamOf(stream);
  if (s == nullptr) return INVALID_HANDLE;
  if (extra != nullptr) return NOT_SUPPORTED;
  Work work;
  if (int error = kernelWork(f, {gx, gy, gz}, {bx, by, bz}, shared, parameters, work)) return error;
  return enqueue(s, std::move(work));
}
API cuLaunchCooperativeKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                              unsigned, u64, void **) {
  ENTER;
  finding("cuLaunchCooperativeKernel: blocks run one after another here, so they cannot wait for each other");
  return NOT_SUPPORTED;
}
struct LaunchConfig {
  unsigned grid[3], block[3], shared;
  u64 stream;
  void *attributes;
  unsigned count;
};
API cuLaunchKernelEx(const LaunchConfig *c, Function *f, void **parameters, void **extra) {
  if (c == nullptr) return INVALID_VALUE;
  // Clusters and the like change when blocks run, not what they compute.
  return cuLaunchKernel(f, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1], c->block[2], c->shared, c->stream,
                        parameters, extra);
}
