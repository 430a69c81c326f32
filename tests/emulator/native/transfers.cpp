// The calls that allocate, copy and fill.
#include "emulator.h"
#include <algorithm>

namespace emulator {

// Pinned host memory: what was allocated as such lies where device memory does, and what was registered is listed.
static std::map<u64, u64> registered;
static bool isPinned(u64 address) {
  if (isDeviceAddress(address)) return true;
  auto it = registered.upper_bound(address);
  return it != registered.begin() && address < std::prev(it)->first + std::prev(it)->second;
}

static int copyWork(Work &work, const char *name, u64 to, u64 from, u64 bytes, bool toDevice, bool fromDevice) {
  work.name = name;
  work.kind = Kind::memcpy;
  if (toDevice) {
    if (!rangeIsLive(name, to, bytes)) return INVALID_VALUE;
    work.accesses.push_back({to, bytes, true});
  }
  if (fromDevice) {
    if (!rangeIsLive(name, from, bytes)) return INVALID_VALUE;
    work.accesses.push_back({from, bytes, false});
  }
  work.run = [=] {
    return guarded(name, [=] {
      memmove((void *)to, (void *)from, bytes);
      return (int)OK;
    });
  };
  return OK;
}

static int copyAsync(const char *name, u64 to, u64 from, u64 bytes, bool toDevice, bool fromDevice, u64 stream) {
  const StreamRef s = streamOf(stream);
  if (s == nullptr) return INVALID_HANDLE;
  if (bytes == 0) return OK;
  Work work;
  if (int error = copyWork(work, name, to, from, bytes, toDevice, fromDevice)) return error;
  if (!fromDevice && !isPinned(from) && s->capture == nullptr) {
    // Memory that is not pinned goes through a buffer of the driver's: it may change as soon as the call returns.
    auto held = std::make_shared<std::vector<char>>((char *)from, (char *)from + bytes);
    work.run = [=] {
      return guarded(name, [=] {
        memcpy((void *)to, held->data(), bytes);
        return (int)OK;
      });
    };
  }
  return enqueue(s, std::move(work));
}

// The host waits: on the legacy stream, so not for streams that do not block.
static int copy(const char *name, u64 to, u64 from, u64 bytes, bool toDevice, bool fromDevice) {
  if (int error = forbidWhileCapturing(name)) return error;
  const int error = copyAsync(name, to, from, bytes, toDevice, fromDevice, 0);
  const StreamRef legacy = legacyStream();
  drain(legacy, legacy->issued);
  join(hostClock, legacy->clock);
  return error ? error : sticky;
}

template <class T> static int fill(const char *name, u64 to, T value, u64 count, u64 stream) {
  const StreamRef s = streamOf(stream);
  if (s == nullptr) return INVALID_HANDLE;
  if (count == 0) return OK;
  if (to % sizeof(T) != 0 || !rangeIsLive(name, to, count * sizeof(T))) return INVALID_VALUE;
  Work work;
  work.name = name;
  work.kind = Kind::memset;
  work.accesses.push_back({to, count * sizeof(T), true});
  work.run = [=] {
    return guarded(name, [=] {
      std::fill_n((T *)to, count, value);
      return (int)OK;
    });
  };
  return enqueue(s, std::move(work));
}

struct Pool {
  int device;
  std::map<int, u64> values;
};
static std::map<u64, std::shared_ptr<Pool>> pools;
static u64 defaultPool(int device) {
  static std::map<int, u64> made;
  if (made.count(device)) return made[device];
  auto pool = std::make_shared<Pool>(Pool{device, {}});
  pools[(u64)pool.get()] = pool;
  return made[device] = (u64)pool.get();
}

} // namespace emulator

using namespace emulator;

#define ENTER                                                                                          \
  Lock lock;                                                                                           \
  if (int error = entry()) return error;

API cuMemGetInfo_v2(u64 *free, u64 *total) {
  ENTER;
  *total = memoryTotal();
  *free = *total - std::min(*total, memoryUsed(currentDevice()));
  return OK;
}
API cuMemAlloc_v2(u64 *address, u64 bytes) {
  ENTER;
  if (int error = forbidWhileCapturing("cuMemAlloc")) return error;
  return allocate(address, bytes, false, currentDevice());
}
API cuMemFree_v2(u64 address) {
  ENTER;
  if (address == 0) return OK;
  if (int error = forbidWhileCapturing("cuMemFree")) return error;
  // It waits for whatever is under way.
  drainAll();
  const int error = release(address, false, "cuMemFree");
  return error ? error : sticky;
}
API cuMemAllocAsync(u64 *address, u64 bytes, u64 stream) {
  ENTER;
  const StreamRef s = streamOf(stream);
  if (s == nullptr) return INVALID_HANDLE;
  if (s->capture != nullptr) {
    finding("cuMemAllocAsync: memory of a graph's own is not emulated");
    return NOT_SUPPORTED;
  }
  if (int error = allocate(address, bytes, false, currentDevice())) return error;
  Work work;
  work.name = "cuMemAllocAsync";
  work.accesses.push_back({*address, bytes, true});
  work.run = [] { return (int)OK; };
  return enqueue(s, std::move(work));
}
API cuMemAllocFromPoolAsync(u64 *address, u64 bytes, u64 pool, u64 stream) {
  {
    ENTER;
    if (!pools.count(pool)) return INVALID_VALUE;
  }
  return cuMemAllocAsync(address, bytes, stream);
}
API cuMemFreeAsync(u64 address, u64 stream) {
  ENTER;
  const StreamRef s = streamOf(stream);
  if (s == nullptr) return INVALID_HANDLE;
  const Allocation *a = allocationAt(address);
  if (a == nullptr || a->address != address || !a->live) return release(address, false, "cuMemFreeAsync");
  if (s->capture != nullptr) return NOT_SUPPORTED;
  Work work;
  work.name = "cuMemFreeAsync";
  work.accesses.push_back({address, a->bytes, true});
  work.run = [address] { return release(address, false, "cuMemFreeAsync"); };
  return enqueue(s, std::move(work));
}
API cuDeviceGetDefaultMemPool(u64 *pool, int device) {
  ENTER;
  *pool = defaultPool(device);
  return OK;
}
API cuMemPoolCreate(u64 *made, const int *properties) {
  ENTER;
  if (made == nullptr || properties == nullptr || properties[0] != 1) return INVALID_VALUE;
  auto pool = std::make_shared<Pool>(Pool{properties[3], {}});
  *made = (u64)pool.get();
  pools[*made] = pool;
  return OK;
}
API cuMemPoolDestroy(u64 pool) {
  ENTER;
  return pools.erase(pool) ? OK : INVALID_VALUE;
}
API cuMemPoolTrimTo(u64 pool, u64) {
  ENTER;
  return pools.count(pool) ? OK : INVALID_VALUE;
}
API cuMemPoolSetAttribute(u64 pool, int attribute, const u64 *value) {
  ENTER;
  if (!pools.count(pool) || attribute < 1 || attribute > 8 || value == nullptr) return INVALID_VALUE;
  pools[pool]->values[attribute] = attribute <= 3 ? *(const u32 *)value : *value;
  return OK;
}
API cuMemPoolGetAttribute(u64 pool, int attribute, u64 *value) {
  ENTER;
  if (!pools.count(pool) || attribute < 1 || attribute > 8 || value == nullptr) return INVALID_VALUE;
  if (attribute <= 3) *(u32 *)value = pools[pool]->values.count(attribute) ? pools[pool]->values[attribute] : 1;
  else *value = attribute == 4 ? pools[pool]->values[4] : memoryUsed(pools[pool]->device);
  return OK;
}

API cuMemHostAlloc(u64 *address, u64 bytes, unsigned) {
  ENTER;
  if (int error = forbidWhileCapturing("cuMemHostAlloc")) return error;
  return allocate(address, bytes, true, currentDevice());
}
API cuMemFreeHost(u64 address) {
  ENTER;
  if (int error = forbidWhileCapturing("cuMemFreeHost")) return error;
  drainAll();
  return release(address, true, "cuMemFreeHost");
}
API cuMemHostRegister_v2(u64 address, u64 bytes, unsigned) {
  ENTER;
  if (address == 0 || bytes == 0) return INVALID_VALUE;
  return registered.emplace(address, bytes).second ? OK : 712; // Already registered
}
API cuMemHostUnregister(u64 address) {
  ENTER;
  drainAll();
  return registered.erase(address) ? OK : 713; // Not registered
}
API cuMemHostGetDevicePointer_v2(u64 *device, u64 address, unsigned) {
  ENTER;
  if (device == nullptr || !isPinned(address)) return INVALID_VALUE;
  *device = address;
  return OK;
}
API cuPointerGetAttribute(void *out, int attribute, u64 address) {
  ENTER;
  const Allocation *a = isDeviceAddress(address) ? allocationAt(address) : nullptr;
  if (a == nullptr || !a->live || out == nullptr) return INVALID_VALUE;
  switch (attribute) {
  case 2: *(int *)out = a->host ? 1 : 2; return OK;
  case 3: *(u64 *)out = address; return OK;
  case 9: *(int *)out = a->device; return OK;
  case 11: *(u64 *)out = a->address; return OK;
  case 12: *(u64 *)out = a->bytes; return OK;
  default: return NOT_SUPPORTED;
  }
}

API cuMemcpyHtoD_v2(u64 to, u64 from, u64 bytes) {
  ENTER;
  return copy("cuMemcpyHtoD", to, from, bytes, true, false);
}
API cuMemcpyDtoH_v2(u64 to, u64 from, u64 bytes) {
  ENTER;
  return copy("cuMemcpyDtoH", to, from, bytes, false, true);
}
API cuMemcpyDtoD_v2(u64 to, u64 from, u64 bytes) {
  ENTER;
  return copy("cuMemcpyDtoD", to, from, bytes, true, true);
}
API cuMemcpyHtoDAsync_v2(u64 to, u64 from, u64 bytes, u64 stream) {
  ENTER;
  return copyAsync("cuMemcpyHtoDAsync", to, from, bytes, true, false, stream);
}
API cuMemcpyDtoHAsync_v2(u64 to, u64 from, u64 bytes, u64 stream) {
  ENTER;
  return copyAsync("cuMemcpyDtoHAsync", to, from, bytes, false, true, stream);
}
API cuMemcpyDtoDAsync_v2(u64 to, u64 from, u64 bytes, u64 stream) {
  ENTER;
  return copyAsync("cuMemcpyDtoDAsync", to, from, bytes, true, true, stream);
}
API cuMemcpyPeerAsync(u64 to, u64, u64 from, u64, u64 bytes, u64 stream) {
  ENTER;
  return copyAsync("cuMemcpyPeerAsync", to, from, bytes, true, true, stream);
}
API cuMemsetD8Async(u64 to, unsigned char value, u64 count, u64 stream) {
  ENTER;
  return fill<unsigned char>("cuMemsetD8Async", to, value, count, stream);
}
API cuMemsetD16Async(u64 to, unsigned short value, u64 count, u64 stream) {
  ENTER;
  return fill<unsigned short>("cuMemsetD16Async", to, value, count, stream);
}
API cuMemsetD32Async(u64 to, unsigned value, u64 count, u64 stream) {
  ENTER;
  return fill<unsigned>("cuMemsetD32Async", to, value, count, stream);
}
