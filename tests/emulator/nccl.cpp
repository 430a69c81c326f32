// A stand-in for NCCL: the ranks are processes of one machine that meet in shared memory. Collectives are queued on the emulated driver's streams. Results are
// reduced in order of rank, so all ranks get the same bits. A rank that dies makes the others' communicators fail, as NCCL's asynchronous error does.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <atomic>
#include <functional>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace {

enum Result { success = 0, systemError = 2, invalidArgument = 4, invalidUsage = 5, remoteError = 6, inProgress = 7 };
constexpr int maxRanks = 64;
constexpr size_t chunk = 1 << 18;

// In shared memory, zero at first.
struct Shared {
  std::atomic<int> arrived, left, broken;
  std::atomic<int> pids[maxRanks];
  std::atomic<unsigned> count, generation;
  // What each rank calls now: a mismatch is an error rather than a mess.
  uint64_t call[maxRanks][4];
};

struct Comm {
  Shared *shared;
  char *slots;
  int rank, ranks, error;
  double premul[16];
  int premuls;
  char path[160];
};

char lastError[512] = "";
int fail(int code, const char *text) {
  snprintf(lastError, sizeof lastError, "%s", text);
  return code;
}

void rest() {
  timespec t{0, 50000};
  nanosleep(&t, nullptr);
}

// Whether all ranks that have arrived are alive.
bool alive(Comm *c) {
  if (c->shared->broken) return false;
  for (int r = 0; r < c->ranks; ++r) {
    const int pid = c->shared->pids[r];
    if (pid != 0 && kill(pid, 0) != 0 && errno == ESRCH) {
      c->shared->broken = 1;
      return false;
    }
  }
  return true;
}

bool barrier(Comm *c) {
  Shared *s = c->shared;
  const unsigned turn = s->generation;
  if (++s->count == (unsigned)c->ranks) {
    s->count = 0;
    ++s->generation;
    return true;
  }
  for (int i = 0; s->generation == turn; ++i) {
    if (i > 200) rest();
    if (i % 64 == 63 && !alive(c)) {
      c->error = remoteError;
      fail(remoteError, "a remote rank is gone");
      return false;
    }
  }
  return true;
}

size_t bytesOf(int type) {
  static const size_t sizes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return type >= 0 && type < 12 ? sizes[type] : 0;
}

float halfToFloat(uint16_t h) {
  _Float16 x;
  memcpy(&x, &h, 2);
  return (float)x;
}
uint16_t floatToHalf(float f) {
  _Float16 x = (_Float16)f;
  uint16_t h;
  memcpy(&h, &x, 2);
  return h;
}
float bfloatToFloat(uint16_t h) {
  uint32_t b = (uint32_t)h << 16;
  float f;
  memcpy(&f, &b, 4);
  return f;
}
uint16_t floatToBfloat(float f) {
  uint32_t b;
  memcpy(&b, &f, 4);
  if ((b & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  return (uint16_t)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}

template <class T> double load(const void *p, size_t i) { return (double)((const T *)p)[i]; }
double get(int type, const void *p, size_t i) {
  switch (type) {
    case 2: return load<int32_t>(p, i);
    case 4: return load<int64_t>(p, i);
    case 6: return halfToFloat(((const uint16_t *)p)[i]);
    case 7: return load<float>(p, i);
    case 8: return load<double>(p, i);
    case 9: return bfloatToFloat(((const uint16_t *)p)[i]);
    default: return load<uint8_t>(p, i);
  }
}
void put(int type, void *p, size_t i, double x) {
  switch (type) {
    case 2: ((int32_t *)p)[i] = (int32_t)x; break;
    case 4: ((int64_t *)p)[i] = (int64_t)x; break;
    case 6: ((uint16_t *)p)[i] = floatToHalf((float)x); break;
    case 7: ((float *)p)[i] = (float)x; break;
    case 8: ((double *)p)[i] = x; break;
    case 9: ((uint16_t *)p)[i] = floatToBfloat((float)x); break;
    default: ((uint8_t *)p)[i] = (uint8_t)x;
  }
}

void reduce(Comm *c, int type, int op, size_t n, void *out) {
  const double factor = op == 4 ? 1.0 / c->ranks : op >= 5 ? c->premul[op - 5] : 1;
  for (size_t i = 0; i < n; ++i) {
    double x = 0;
    for (int r = 0; r < c->ranks; ++r) {
      const double y = get(type, c->slots + r * chunk, i);
      x = r == 0 ? y : op == 1 ? x * y : op == 2 ? fmax(x, y) : op == 3 ? fmin(x, y) : x + y;
    }
    put(type, out, i, x * factor);
  }
}

// Whether all ranks make the same call.
bool agree(Comm *c, uint64_t what, uint64_t count, uint64_t type, uint64_t more) {
  uint64_t mine[4] = {what, count, type, more};
  memcpy(c->shared->call[c->rank], mine, sizeof mine);
  if (!barrier(c)) return false;
  bool same = true;
  for (int r = 0; r < c->ranks; ++r) same = same && memcmp(c->shared->call[r], mine, sizeof mine) == 0;
  if (!barrier(c)) return false;
  if (!same) {
    c->error = invalidUsage;
    c->shared->broken = 1;
    fail(invalidUsage, "the ranks make different calls");
  }
  return same;
}

typedef int (*Enqueue)(uint64_t stream, const char *name, void (*fn)(void *), void *data, const void *from, uint64_t read, void *to,
                       uint64_t written);
struct Job {
  std::function<void()> run;
};
void runJob(void *data) {
  ((Job *)data)->run();
}
// Jobs live on: a captured one runs again at every launch of its graph.
int queue(void *stream, const char *name, const void *from, size_t read, void *to, size_t written, std::function<void()> run) {
  static Enqueue enqueue = nullptr;
  if (enqueue == nullptr) {
    void *driver = dlopen(getenv("PTA_CUDA_LIB"), RTLD_NOW | RTLD_NOLOAD);
    if (driver != nullptr) enqueue = (Enqueue)dlsym(driver, "emulatorEnqueueAccess");
  }
  if (enqueue == nullptr) return fail(invalidUsage, "the emulated driver is not open");
  const int error = enqueue((uint64_t)stream, name, runJob, new Job{run}, from, read, to, written);
  return error == 0 ? success : error == 1 ? fail(invalidArgument, "no device memory") : fail(1, "the driver refuses");
}

int checkComm(Comm *c) {
  if (c == nullptr) return fail(invalidArgument, "no communicator");
  return c->error != 0 ? c->error : success;
}

} // namespace

API int ncclGetVersion(int *version) {
  *version = 23007;
  return success;
}
API const char *ncclGetErrorString(int code) {
  switch (code) {
    case 0: return "no error";
    case 2: return "unhandled system error";
    case 4: return "invalid argument";
    case 5: return "invalid usage";
    case 6: return "remote process exited or there was a network error";
    case 7: return "operation in progress";
    default: return "internal error";
  }
}
API const char *ncclGetLastError(Comm *) { return lastError; }
API int ncclGetUniqueId(char *id) {
  memset(id, 0, 128);
  return getrandom(id, 16, 0) == 16 ? success : systemError;
}

API int ncclCommInitRankScalable(Comm **out, int ranks, int rank, int ids, const char *id, const void *config) {
  if (ids != 1 || ranks < 1 || ranks > maxRanks || rank < 0 || rank >= ranks) return fail(invalidArgument, "wrong rank or number of ranks");
  uint32_t magic = 0;
  int blocking = 1;
  if (config != nullptr) {
    memcpy(&magic, (const char *)config + 8, 4);
    if (magic != 0xcafebeef) return fail(invalidArgument, "ncclConfig_t argument is not initialized");
    memcpy(&blocking, (const char *)config + 16, 4);
  }
  Comm *c = new Comm{};
  c->rank = rank;
  c->ranks = ranks;
  char *at = c->path + sprintf(c->path, "/dev/shm/pta_nccl_");
  for (int i = 0; i < 16; ++i) at += sprintf(at, "%02x", (unsigned char)id[i]);
  const int file = open(c->path, O_RDWR | O_CREAT, 0600);
  const size_t head = (sizeof(Shared) + 4095) & ~(size_t)4095, size = head + ranks * chunk;
  if (file < 0 || ftruncate(file, size) != 0) return fail(systemError, "shared memory cannot be made");
  char *memory = (char *)mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return fail(systemError, "shared memory cannot be mapped");
  c->shared = (Shared *)memory;
  c->slots = memory + head;
  c->shared->pids[rank] = getpid();
  if (++c->shared->arrived == ranks) unlink(c->path);
  *out = c;
  if (blocking == 0) return inProgress;
  while (c->shared->arrived < ranks) rest();
  return success;
}
API int ncclCommInitRankConfig(Comm **, int, const char *, int, const void *) { return fail(invalidUsage, "use ncclCommInitRankScalable"); }
API int ncclCommInitRank(Comm **, int, const char *, int) { return fail(invalidUsage, "use ncclCommInitRankScalable"); }
API int ncclCommSplit(Comm *, int, int, Comm **, void *) { return fail(invalidUsage, "not emulated"); }

API int ncclCommGetAsyncError(Comm *c, int *state) {
  if (c->error == 0 && !alive(c)) c->error = remoteError;
  *state = c->error != 0 ? c->error : c->shared->arrived < c->ranks ? inProgress : success;
  return success;
}
API int ncclCommCount(Comm *c, int *n) { *n = c->ranks; return success; }
API int ncclCommUserRank(Comm *c, int *n) { *n = c->rank; return success; }
API int ncclCommCuDevice(Comm *, int *n) { *n = 0; return success; }
API int ncclCommFinalize(Comm *) { return success; }
API int ncclCommDestroy(Comm *c) {
  c->shared->pids[c->rank] = 0;
  return success;
}
API int ncclCommAbort(Comm *c) {
  c->shared->broken = 1;
  return success;
}

API int ncclRedOpCreatePreMulSum(int *op, const void *scalar, int type, int residence, Comm *c) {
  if (residence != 1 || c->premuls == 16) return fail(invalidArgument, "scalar must be in host memory, of 16 at most");
  c->premul[c->premuls] = get(type, scalar, 0);
  *op = 5 + c->premuls++;
  return success;
}
API int ncclRedOpDestroy(int, Comm *) { return success; }
API int ncclGroupStart() { return success; }
API int ncclGroupEnd() { return success; }

API int ncclAllReduce(const char *from, char *to, size_t count, int type, int op, Comm *c, void *stream) {
  if (int code = checkComm(c)) return code;
  const size_t bytes = bytesOf(type);
  if (bytes == 0 || op < 0 || op >= 5 + c->premuls) return fail(invalidArgument, "unknown type or operation");
  return queue(stream, "ncclAllReduce", from, count * bytes, to, count * bytes, [=] {
    if (!agree(c, 1, count, type, op)) return;
    const size_t step = chunk / bytes;
    for (size_t i = 0; i < count; i += step) {
      const size_t n = count - i < step ? count - i : step;
      memcpy(c->slots + c->rank * chunk, from + i * bytes, n * bytes);
      if (!barrier(c)) return;
      reduce(c, type, op, n, to + i * bytes);
      if (!barrier(c)) return;
    }
  });
}
API int ncclBroadcast(const char *from, char *to, size_t count, int type, int root, Comm *c, void *stream) {
  if (int code = checkComm(c)) return code;
  const size_t bytes = bytesOf(type);
  if (bytes == 0 || root < 0 || root >= c->ranks) return fail(invalidArgument, "unknown type or root");
  return queue(stream, "ncclBroadcast", from, c->rank == root ? count * bytes : 0, to, count * bytes, [=] {
    if (!agree(c, 2, count, type, root)) return;
    const size_t step = chunk / bytes;
    for (size_t i = 0; i < count; i += step) {
      const size_t n = count - i < step ? count - i : step;
      if (c->rank == root) memcpy(c->slots, from + i * bytes, n * bytes);
      if (!barrier(c)) return;
      memcpy(to + i * bytes, c->slots, n * bytes);
      if (!barrier(c)) return;
    }
  });
}
API int ncclAllGather(const char *from, char *to, size_t count, int type, Comm *c, void *stream) {
  if (int code = checkComm(c)) return code;
  const size_t bytes = bytesOf(type);
  if (bytes == 0) return fail(invalidArgument, "unknown type");
  return queue(stream, "ncclAllGather", from, count * bytes, to, count * bytes * c->ranks, [=] {
    if (!agree(c, 3, count, type, 0)) return;
    const size_t step = chunk / bytes;
    for (size_t i = 0; i < count; i += step) {
      const size_t n = count - i < step ? count - i : step;
      memcpy(c->slots + c->rank * chunk, from + i * bytes, n * bytes);
      if (!barrier(c)) return;
      for (int r = 0; r < c->ranks; ++r) memcpy(to + (r * count + i) * bytes, c->slots + r * chunk, n * bytes);
      if (!barrier(c)) return;
    }
  });
}
API int ncclReduceScatter(const char *from, char *to, size_t count, int type, int op, Comm *c, void *stream) {
  if (int code = checkComm(c)) return code;
  const size_t bytes = bytesOf(type);
  if (bytes == 0 || op < 0 || op >= 5 + c->premuls) return fail(invalidArgument, "unknown type or operation");
  return queue(stream, "ncclReduceScatter", from, count * bytes * c->ranks, to, count * bytes, [=] {
    if (!agree(c, 4, count, type, op)) return;
    const size_t step = chunk / bytes;
    for (int part = 0; part < c->ranks; ++part) {
      for (size_t i = 0; i < count; i += step) {
        const size_t n = count - i < step ? count - i : step;
        memcpy(c->slots + c->rank * chunk, from + (part * count + i) * bytes, n * bytes);
        if (!barrier(c)) return;
        if (part == c->rank) reduce(c, type, op, n, to + i * bytes);
        if (!barrier(c)) return;
      }
    }
  });
}
API int ncclReduce(const char *, char *, size_t, int, int, int, Comm *, void *) { return fail(invalidUsage, "not emulated"); }
API int ncclSend(const char *, size_t, int, int, Comm *, void *) { return fail(invalidUsage, "not emulated"); }
API int ncclRecv(char *, size_t, int, int, Comm *, void *) { return fail(invalidUsage, "not emulated"); }
