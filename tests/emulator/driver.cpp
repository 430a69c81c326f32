// A stand-in for the CUDA driver: devices are memory of this process, kernels are functions that the stand-in for NVRTC compiled, streams are queues. Every access
// outside of an allocation, use after free, missing order between streams and illegal call during a capture is reported: a line on standard error, an
// error code, and a count (`emulatorFindings`).
//
// PTA_EMULATOR_COLLECT=1: kernels do nothing (see nvrtc.cpp).
// PTA_EMULATOR_DELAY=1: nothing runs before somebody waits for it. PTA_EMULATOR_MEMORY: bytes of a device. PTA_EMULATOR_DEVICES: how many there are.
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace {

enum Code {
  ok = 0, invalidValue = 1, outOfMemory = 2, invalidDevice = 101, invalidImage = 200, invalidHandle = 400, notFound = 500, notReady = 600,
  illegalAddress = 700, launchFailed = 719, captureUnsupported = 900, captureInvalidated = 901, captureUnjoined = 904
};

constexpr size_t page = 4096, aligned = 512;
constexpr unsigned char edge = 0xa5, fresh = 0xff;
constexpr int capability[] = {9, 0};

int findings = 0;
int found(int code, const char *format, ...) {
  char text[600];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fprintf(stderr, "emulator: %s\n", text);
  ++findings;
  return code;
}

size_t option(const char *name, size_t otherwise) {
  const char *text = getenv(name);
  return text == nullptr ? otherwise : strtoull(text, nullptr, 10);
}
bool delays() {
  static const bool on = option("PTA_EMULATOR_DELAY", 0) != 0;
  return on;
}
size_t capacity() {
  static const size_t bytes = option("PTA_EMULATOR_MEMORY", (size_t)80 << 30);
  return bytes;
}

// ---- memory

using Clock = std::map<int, uint64_t>;

struct Allocation {
  char *mapping, *at;
  size_t mapped, bytes;
  bool live, host;
  int writer = 0;           // Stream of the last access that may have written, and its place there.
  uint64_t place = 0;
  std::string lastUser = "";
};
std::map<uintptr_t, Allocation *> allocations;  // By the end of the mapping, which is unique.
std::deque<Allocation *> dead;
size_t used = 0;

Allocation *owner(uintptr_t address) {
  auto it = allocations.upper_bound(address);
  if (it == allocations.end()) return nullptr;
  return address >= (uintptr_t)it->second->mapping ? it->second : nullptr;
}

// Memory that ends, rounded up to the alignment, where a page begins that nobody may touch.
Allocation *allocate(size_t bytes, bool host) {
  const size_t rounded = (bytes + aligned - 1) / aligned * aligned, inner = (rounded + page - 1) / page * page;
  const size_t mapped = inner + 2 * page;
  char *mapping = (char *)mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  mprotect(mapping + page, inner, PROT_READ | PROT_WRITE);
  Allocation *a = new Allocation{mapping, mapping + page + inner - rounded, mapped, bytes, true, host};
  if (!host) memset(a->at, fresh, bytes);
  memset(a->at + bytes, edge, rounded - bytes);
  allocations[(uintptr_t)mapping + mapped] = a;
  return a;
}

bool edgeIntact(const Allocation *a) {
  const size_t rounded = (a->bytes + aligned - 1) / aligned * aligned;
  for (size_t i = a->bytes; i < rounded; ++i)
    if ((unsigned char)a->at[i] != edge) return false;
  return true;
}

void release(Allocation *a) {
  a->live = false;
  mprotect(a->mapping, a->mapped, PROT_NONE);
  dead.push_back(a);
  if (dead.size() <= 2000) return;
  Allocation *old = dead.front();
  dead.pop_front();
  allocations.erase((uintptr_t)old->mapping + old->mapped);
  munmap(old->mapping, old->mapped);
  delete old;
}

// Whether `bytes` from `address` lie in one live allocation.
int check(const char *what, uintptr_t address, size_t bytes) {
  if (bytes == 0) return ok;
  Allocation *a = owner(address);
  if (a == nullptr) return found(invalidValue, "%s: address %#lx belongs to no allocation", what, (long)address);
  if (!a->live) return found(invalidValue, "%s: address %#lx was freed", what, (long)address);
  if (address < (uintptr_t)a->at || address + bytes > (uintptr_t)a->at + a->bytes)
    return found(invalidValue, "%s: %zu bytes at offset %ld leave an allocation of %zu bytes", what, bytes, (long)(address - (uintptr_t)a->at), a->bytes);
  return ok;
}

// ---- streams, events, graphs

struct Graph;
struct Stream;
struct Event {
  Stream *stream = nullptr;
  uint64_t place = 0;       // Number of the record in its stream; 0 before the first.
  Clock clock;
  Graph *graph = nullptr;   // Recorded during this capture.
  double milliseconds = 0;
};
struct Access {
  uintptr_t address;
  bool writes;
};
struct Op {
  std::string name;
  std::function<int()> run;
  std::vector<Access> accesses;
  Event *record = nullptr, *wait = nullptr;
  uint64_t place = 0;       // Of a record in its stream, or of the record that is waited for.
};
struct Graph {
  std::vector<Op> ops;
  bool invalid = false;
  std::vector<Stream *> joined;
  Stream *origin = nullptr;
};
struct Stream {
  int id;
  std::deque<Op> queue;
  uint64_t queued = 0, finished = 0, steps = 0;  // Places of records; steps of the clock.
  Clock clock;
  Graph *capturing = nullptr;
};
std::vector<Stream *> streams;
int sticky = ok;
int captures = 0;

Stream *legacy() {
  static Stream *s = [] {
    Stream *made = new Stream{0};
    streams.push_back(made);
    return made;
  }();
  return s;
}
Stream *streamOf(void *handle) { return handle == nullptr ? legacy() : (Stream *)handle; }

// Whether the access comes after what another stream did last to the same allocation.
void order(Stream *s, const Op &op) {
  const uint64_t step = ++s->steps;
  s->clock[s->id] = step;
  for (const Access &x : op.accesses) {
    Allocation *a = owner(x.address);
    if (a == nullptr || a->host) continue;
    if (a->place > 0 && a->writer != s->id && s->clock[a->writer] < a->place)
      found(ok, "%s on stream %d touches memory that %s used on stream %d, and does not wait for it", op.name.c_str(), s->id, a->lastUser.c_str(), a->writer);
    if (x.writes) {
      a->writer = s->id;
      a->place = step;
      a->lastUser = op.name;
    }
  }
}

int runOp(Stream *s, Op &op);

int drain(Stream *s, uint64_t upTo) {
  while (!s->queue.empty() && s->finished < upTo) {
    Op op = std::move(s->queue.front());
    s->queue.pop_front();
    const int code = runOp(s, op);
    if (code != ok && sticky == ok) sticky = code;
  }
  return sticky;
}

int runOp(Stream *s, Op &op) {
  if (op.wait != nullptr) {
    Event *e = op.wait;
    if (e->stream != nullptr && e->stream != s) drain(e->stream, op.place);
    for (auto &[id, step] : e->clock) s->clock[id] = std::max(s->clock[id], step);
    return ok;
  }
  if (op.record != nullptr) {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    op.record->milliseconds = t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
    op.record->clock = s->clock;
    s->finished = std::max(s->finished, op.place);
    return ok;
  }
  order(s, op);
  return sticky != ok ? sticky : op.run();
}

int drainAll() {
  for (size_t i = 0; i < streams.size(); ++i) drain(streams[i], UINT64_MAX);
  return sticky;
}

int enqueue(Stream *s, Op op) {
  if (s->capturing != nullptr) {
    s->capturing->ops.push_back(std::move(op));
    return ok;
  }
  s->queue.push_back(std::move(op));
  if (!delays()) drain(s, UINT64_MAX);
  // As on a device, an error of earlier work may come to light at any later call.
  return delays() ? ok : sticky;
}

// Calls that may not be made while the stream, or any of this thread, is being captured.
int forbidden(const char *call, Stream *s) {
  if (captures == 0 || (s != nullptr && s->capturing == nullptr)) return ok;
  for (Stream *t : streams)
    if (t->capturing != nullptr) t->capturing->invalid = true;
  return found(captureUnsupported, "%s is called while a stream is being captured", call);
}

// ---- kernels

typedef int (*Run)(const uint64_t *words, const unsigned *shape, char *shared);
struct Module {
  void *library;
};
struct Kernel {
  std::string name;
  Run run;
  unsigned parameters;
  size_t dynamicLimit = 48 << 10;
};

sigjmp_buf escape;
volatile sig_atomic_t inKernel = 0;
uintptr_t fault = 0;
struct sigaction before;

void onFault(int signal, siginfo_t *info, void *context) {
  if (inKernel) {
    fault = (uintptr_t)info->si_addr;
    siglongjmp(escape, 1);
  }
  if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(signal, info, context);
  else {
    sigaction(SIGSEGV, &before, nullptr);
    raise(signal);
  }
}

int describeFault(const std::string &name) {
  Allocation *a = owner(fault);
  if (a == nullptr) return found(illegalAddress, "%s accesses %#lx, which belongs to no allocation", name.c_str(), (long)fault);
  if (!a->live) return found(illegalAddress, "%s accesses freed memory of %zu bytes", name.c_str(), a->bytes);
  return found(illegalAddress, "%s accesses offset %ld of an allocation of %zu bytes", name.c_str(), (long)(fault - (uintptr_t)a->at), a->bytes);
}

int runKernel(const Kernel &k, const std::vector<uint64_t> &words, const unsigned *shape, unsigned shared) {
  static std::vector<char> dynamic;
  if (dynamic.size() < shared + 256) dynamic.resize(shared + 256);
  char *memory = (char *)(((uintptr_t)dynamic.data() + 255) & ~(uintptr_t)255);
  int code;
  if (sigsetjmp(escape, 1) == 0) {
    inKernel = 1;
    code = k.run(words.data(), shape, memory);
    inKernel = 0;
  } else {
    inKernel = 0;
    return describeFault(k.name);
  }
  static const char *failures[] = {"", "some threads never reach a barrier that others wait at", "threads of one warp wait at different places",
                                   "an access is not aligned"};
  if (code != 0) return found(launchFailed, "%s: %s", k.name.c_str(), failures[code & 3]);
  for (uint64_t w : words) {
    Allocation *a = owner(w);
    if (a != nullptr && a->live && w == (uintptr_t)a->at && !edgeIntact(a)) {
      memset(a->at + a->bytes, edge, (a->bytes + aligned - 1) / aligned * aligned - a->bytes);
      return found(illegalAddress, "%s writes past the end of an allocation of %zu bytes", k.name.c_str(), a->bytes);
    }
  }
  return ok;
}

int copyOp(void *stream, const char *name, void *to, const void *from, size_t bytes, std::vector<Access> accesses) {
  return enqueue(streamOf(stream), Op{name, [=] {
    memmove(to, from, bytes);
    return (int)ok;
  }, std::move(accesses)});
}

} // namespace

// ---- for the other stand-ins and for tests

API int emulatorFindings() { return findings; }
API void emulatorForget() { findings = 0; sticky = ok; }
API size_t emulatorBytesInUse() { return used; }
/** Queues `fn(data)`; it runs again at every launch of a graph that captured it. */
API int emulatorEnqueue(void *stream, void (*fn)(void *), void *data) {
  return enqueue(streamOf(stream), Op{"a library", [=] {
    fn(data);
    return (int)ok;
  }, {}});
}
/** Like emulatorEnqueue, for work that touches these addresses, the last of which it writes. Returns an error for addresses that no allocation holds. */
API int emulatorEnqueueAccess(void *stream, const char *name, int (*fn)(void *), void *data, const uint64_t *addresses, const uint64_t *bytes, int count) {
  std::vector<Access> accesses;
  for (int i = 0; i < count; ++i) {
    if (int code = check(name, addresses[i], bytes[i])) return code;
    accesses.push_back({(uintptr_t)addresses[i], i == count - 1});
  }
  return enqueue(streamOf(stream), Op{name, [=] { return fn(data); }, std::move(accesses)});
}

// ---- the driver

API int cuInit(unsigned) {
  static bool done = false;
  if (done) return ok;
  done = true;
  struct sigaction action {};
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, &before);
  return ok;
}
API int cuDriverGetVersion(int *v) { *v = 13000; return ok; }
API int cuGetErrorString(int code, const char **text) {
  *text = code == 2 ? "out of memory" : code == 700 ? "an illegal memory access was encountered" : code == 719 ? "unspecified launch failure"
    : code == 900 ? "operation not permitted when stream is capturing" : code == 901 ? "operation failed due to a previous error during capture"
    : code == 801 ? "operation not supported" : "emulated error";
  return ok;
}
API int cuDeviceGetCount(int *n) { *n = (int)option("PTA_EMULATOR_DEVICES", 1); return ok; }
API int cuDeviceGet(int *device, int ordinal) {
  if (ordinal < 0 || ordinal >= (int)option("PTA_EMULATOR_DEVICES", 1)) return invalidDevice;
  *device = ordinal;
  return ok;
}
API int cuDeviceGetName(char *name, int length, int) { snprintf(name, length, "Emulated H100"); return ok; }
API int cuDeviceGetUuid_v2(char *uuid, int device) { memset(uuid, device, 16); return ok; }
API int cuDeviceTotalMem_v2(size_t *bytes, int) { *bytes = capacity(); return ok; }
API int cuDeviceGetAttribute(int *value, int attribute, int) {
  static const std::map<int, int> facts = {{1, 1024}, {8, 49152}, {10, 32}, {13, 1980000}, {16, 132}, {37, 5120}, {38, 50 << 20}, {39, 2048},
    {75, capability[0]}, {76, capability[1]}, {95, 1}, {97, 232448}, {115, 1}, {120, 1}, {132, 1}};
  auto it = facts.find(attribute);
  *value = it == facts.end() ? 0 : it->second;
  return ok;
}
API int cuDeviceGetPCIBusId(char *id, int length, int device) { snprintf(id, length, "0000:%02x:00.0", device); return ok; }
API int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)(uintptr_t)(device + 1); return ok; }
API int cuDevicePrimaryCtxRelease_v2(int) { return ok; }
API int cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return ok; }
API int cuCtxSetCurrent(void *) { return ok; }
API int cuCtxGetCurrent(void **context) { *context = (void *)1; return ok; }
API int cuCtxSynchronize() {
  if (int code = forbidden("cuCtxSynchronize", nullptr)) return code;
  return drainAll();
}
API int cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return ok; }

API int cuMemGetInfo_v2(size_t *free, size_t *total) { *total = capacity(); *free = capacity() - used; return ok; }
API int cuMemAlloc_v2(uint64_t *pointer, size_t bytes) {
  if (int code = forbidden("cuMemAlloc", nullptr)) return code;
  if (bytes == 0) return invalidValue;
  if (used + bytes > capacity()) return outOfMemory;
  Allocation *a = allocate(bytes, false);
  if (a == nullptr) return outOfMemory;
  used += bytes;
  *pointer = (uintptr_t)a->at;
  return ok;
}
API int cuMemFree_v2(uint64_t pointer) {
  if (pointer == 0) return ok;
  if (int code = forbidden("cuMemFree", nullptr)) return code;
  drainAll();
  Allocation *a = owner(pointer);
  if (a == nullptr || a->host || pointer != (uintptr_t)a->at) return found(invalidValue, "cuMemFree: %#lx is not the start of an allocation", (long)pointer);
  if (!a->live) return found(invalidValue, "cuMemFree: %#lx has been freed before", (long)pointer);
  if (!edgeIntact(a)) found(ok, "somebody wrote past the end of an allocation of %zu bytes", a->bytes);
  used -= a->bytes;
  release(a);
  return ok;
}
API int cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  Allocation *a = allocate(bytes, true);
  if (a == nullptr) return outOfMemory;
  *pointer = a->at;
  return ok;
}
API int cuMemFreeHost(void *pointer) {
  drainAll();
  Allocation *a = owner((uintptr_t)pointer);
  if (a == nullptr || !a->live || !a->host) return found(invalidValue, "cuMemFreeHost: not pinned memory");
  release(a);
  return ok;
}
API int cuMemHostGetDevicePointer_v2(uint64_t *device, void *host, unsigned) {
  Allocation *a = owner((uintptr_t)host);
  if (a == nullptr || !a->host) return invalidValue;
  *device = (uintptr_t)host;
  return ok;
}
API int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t n) {
  if (int code = forbidden("cuMemcpyHtoD", nullptr)) return code;
  if (int code = check("cuMemcpyHtoD", to, n)) return code;
  memcpy((void *)to, from, n);
  return ok;
}
API int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t n) {
  if (int code = forbidden("cuMemcpyDtoH", nullptr)) return code;
  if (int code = check("cuMemcpyDtoH", from, n)) return code;
  memcpy(to, (void *)from, n);
  return ok;
}
API int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t n, void *stream) {
  if (int code = check("cuMemcpyHtoDAsync", to, n)) return code;
  Allocation *host = owner((uintptr_t)from);
  if (host != nullptr && host->host) return copyOp(stream, "an upload", (void *)to, from, n, {{to, true}});
  // Pageable memory has been read when the call returns.
  auto kept = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + n);
  return enqueue(streamOf(stream), Op{"an upload", [=] {
    memcpy((void *)to, kept->data(), n);
    return (int)ok;
  }, {{to, true}}});
}
API int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t n, void *stream) {
  if (int code = check("cuMemcpyDtoHAsync", from, n)) return code;
  Allocation *host = owner((uintptr_t)to);
  if (host == nullptr) {
    // To pageable memory the call waits, which a capture forbids.
    if (int code = forbidden("cuMemcpyDtoHAsync to pageable memory", streamOf(stream))) return code;
    copyOp(stream, "a download", to, (void *)from, n, {{from, false}});
    return drain(streamOf(stream), UINT64_MAX);
  }
  return copyOp(stream, "a download", to, (void *)from, n, {{from, false}});
}
API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void *stream) {
  if (int code = check("cuMemcpyDtoDAsync", from, n)) return code;
  if (int code = check("cuMemcpyDtoDAsync", to, n)) return code;
  return copyOp(stream, "a copy", (void *)to, (void *)from, n, {{from, false}, {to, true}});
}
API int cuMemsetD8Async(uint64_t to, unsigned char value, size_t n, void *stream) {
  if (int code = check("cuMemsetD8Async", to, n)) return code;
  return enqueue(streamOf(stream), Op{"a memset", [=] {
    memset((void *)to, value, n);
    return (int)ok;
  }, {{to, true}}});
}
API int cuMemsetD32Async(uint64_t to, unsigned value, size_t n, void *stream) {
  if (int code = check("cuMemsetD32Async", to, 4 * n)) return code;
  return enqueue(streamOf(stream), Op{"a memset", [=] {
    std::fill_n((unsigned *)to, n, value);
    return (int)ok;
  }, {{to, true}}});
}

API int cuStreamCreate(void **stream, unsigned) {
  legacy();
  Stream *s = new Stream{(int)streams.size()};
  streams.push_back(s);
  *stream = s;
  return ok;
}
API int cuStreamCreateWithPriority(void **stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }
API int cuStreamDestroy_v2(void *stream) { return drain(streamOf(stream), UINT64_MAX); }
API int cuStreamSynchronize(void *stream) {
  if (int code = forbidden("cuStreamSynchronize", streamOf(stream))) return code;
  return drain(streamOf(stream), UINT64_MAX);
}
API int cuStreamQuery(void *stream) {
  Stream *s = streamOf(stream);
  if (int code = forbidden("cuStreamQuery", s)) return code;
  if (s->queue.empty()) return sticky;
  // Time passes with every question.
  Op op = std::move(s->queue.front());
  s->queue.pop_front();
  const int code = runOp(s, op);
  if (code != ok && sticky == ok) sticky = code;
  return sticky != ok ? sticky : (int)notReady;
}
API int cuEventCreate(void **event, unsigned) { *event = new Event; return ok; }
API int cuEventDestroy_v2(void *) { return ok; }
API int cuEventRecord(void *event, void *stream) {
  Stream *s = streamOf(stream);
  Event *e = (Event *)event;
  if (s->capturing != nullptr) {
    e->graph = s->capturing;
    // Within a graph all runs in the order of the capture, so that the record itself orders nothing more.
    return ok;
  }
  e->graph = nullptr;
  e->stream = s;
  e->place = ++s->queued;
  Op op{"an event"};
  op.record = e;
  op.place = e->place;
  return enqueue(s, std::move(op));
}
API int cuStreamWaitEvent(void *stream, void *event, unsigned) {
  Stream *s = streamOf(stream);
  Event *e = (Event *)event;
  if (e->graph != nullptr && e->graph != s->capturing) {
    if (s->capturing != nullptr) return found(captureUnsupported, "cuStreamWaitEvent joins two captures");
    for (Stream *t : streams)
      if (t->capturing == e->graph) {
        s->capturing = e->graph;
        e->graph->joined.push_back(s);
        ++captures;
        return ok;
      }
    return found(captureUnsupported, "cuStreamWaitEvent waits for an event of a capture that has ended");
  }
  if (s->capturing != nullptr) return ok;
  Op op{"a wait"};
  op.wait = e;
  op.place = e->place;
  return enqueue(s, std::move(op));
}
API int cuEventQuery(void *event) {
  Event *e = (Event *)event;
  if (int code = forbidden("cuEventQuery", e->stream)) return code;
  return e->stream == nullptr || e->stream->finished >= e->place ? (int)ok : (int)notReady;
}
API int cuEventSynchronize(void *event) {
  Event *e = (Event *)event;
  if (captures > 0 && e->graph != nullptr) return forbidden("cuEventSynchronize", nullptr);
  return e->stream == nullptr ? ok : drain(e->stream, e->place);
}
API int cuEventElapsedTime(float *ms, void *a, void *b) {
  *ms = (float)std::max(1e-3, ((Event *)b)->milliseconds - ((Event *)a)->milliseconds);
  return ok;
}

API int cuStreamBeginCapture_v2(void *stream, int) {
  if (stream == nullptr) return found(captureUnsupported, "the legacy stream cannot be captured");
  Stream *s = (Stream *)stream;
  if (s->capturing != nullptr) return found(captureUnsupported, "the stream is being captured already");
  s->capturing = new Graph;
  s->capturing->origin = s;
  ++captures;
  return ok;
}
API int cuStreamEndCapture(void *stream, void **graph) {
  Stream *s = streamOf(stream);
  Graph *g = s->capturing;
  *graph = nullptr;
  if (g == nullptr) return found(captureUnsupported, "the stream is not being captured");
  s->capturing = nullptr;
  --captures;
  for (Stream *t : g->joined) {
    t->capturing = nullptr;
    --captures;
  }
  if (g->invalid) return captureInvalidated;
  *graph = g;
  return ok;
}
API int cuStreamIsCapturing(void *stream, int *status) {
  Stream *s = streamOf(stream);
  *status = s->capturing == nullptr ? 0 : s->capturing->invalid ? 2 : 1;
  return ok;
}
API int cuThreadExchangeStreamCaptureMode(int *mode) { *mode = 0; return ok; }
API int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long) { *exec = new Graph(*(Graph *)graph); return ok; }
API int cuGraphDestroy(void *graph) { delete (Graph *)graph; return ok; }
API int cuGraphExecDestroy(void *exec) {
  drainAll();
  delete (Graph *)exec;
  return ok;
}
API int cuGraphUpload(void *, void *) { return ok; }
API int cuGraphGetNodes(void *graph, void *, size_t *count) { *count = ((Graph *)graph)->ops.size(); return ok; }
API int cuGraphLaunch(void *exec, void *stream) {
  for (const Op &op : ((Graph *)exec)->ops)
    if (int code = enqueue(streamOf(stream), op)) return code;
  return ok;
}

API int cuModuleLoadData(void **module, const char *image) {
  if (int code = forbidden("cuModuleLoadData", nullptr)) return code;
  if (strncmp(image, "EMULATED ", 9) != 0) return invalidImage;
  if (getenv("PTA_EMULATOR_COLLECT") != nullptr) {
    *module = new Module{nullptr};
    return ok;
  }
  void *library = dlopen(image + 9, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return found(invalidImage, "%s", dlerror());
  *module = new Module{library};
  return ok;
}
API int cuModuleUnload(void *) { return ok; }
API int cuModuleGetFunction(void **function, void *module, const char *name) {
  void *library = ((Module *)module)->library;
  const std::string n = name;
  if (library == nullptr) {
    *function = new Kernel{n, [](const uint64_t *, const unsigned *, char *) { return 0; }, 0};
    return ok;
  }
  void *run = dlsym(library, ("launch_" + n).c_str());
  void *parameters = dlsym(library, ("parameters_" + n).c_str());
  if (run == nullptr || parameters == nullptr) return notFound;
  *function = new Kernel{n, (Run)run, *(unsigned *)parameters};
  return ok;
}
API int cuFuncSetAttribute(void *function, int attribute, int value) {
  if (attribute != 8) return ok;
  if (value > 232448) return found(invalidValue, "%s wants %d bytes of shared memory, a block may have 232448", ((Kernel *)function)->name.c_str(), value);
  ((Kernel *)function)->dynamicLimit = value;
  return ok;
}
API int cuFuncGetAttribute(int *value, int, void *) { *value = 0; return ok; }
API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *, int threads, size_t) { *blocks = std::max(1, 2048 / threads); return ok; }

API int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream,
                       void **parameters, void **) {
  Kernel *k = (Kernel *)function;
  if (gx == 0 || gy == 0 || gz == 0 || bx == 0 || by == 0 || bz == 0 || gx > 0x7fffffffu || gy > 65535 || gz > 65535)
    return found(invalidValue, "%s is launched on a grid of %u x %u x %u", k->name.c_str(), gx, gy, gz);
  if ((uint64_t)bx * by * bz > 1024) return found(invalidValue, "%s is launched with %u threads, a block may have 1024", k->name.c_str(), bx * by * bz);
  if (shared > k->dynamicLimit)
    return found(invalidValue, "%s is launched with %u bytes of shared memory, it may have %zu", k->name.c_str(), shared, k->dynamicLimit);
  std::vector<uint64_t> words(k->parameters);
  std::vector<Access> accesses;
  for (unsigned i = 0; i < k->parameters; ++i) {
    memcpy(&words[i], parameters[i], 8);
    Allocation *a = owner(words[i]);
    if (a == nullptr) continue;
    if (!a->live) return found(illegalAddress, "%s is launched with memory that has been freed", k->name.c_str());
    accesses.push_back({(uintptr_t)words[i], true});
  }
  const std::vector<unsigned> shape{gx, gy, gz, bx, by, bz};
  return enqueue(streamOf(stream), Op{k->name, [=] { return runKernel(*k, words, shape.data(), shared); }, std::move(accesses)});
}
