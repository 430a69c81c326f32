// Device and pinned memory: pages of their own for each allocation, with nothing mapped after them, and never used again once freed.
#include "emulator.h"
#include <sys/mman.h>

namespace emulator {

constexpr u64 page = 4096, alignment = 256;
constexpr unsigned char besideByte = 0xa5;

static std::map<u64, Allocation> allocations; // By first page
static std::map<int, u64> used;
static u64 next = 0;
u64 memoryBegin = ~0ull >> 1;

static u64 roundUp(u64 n, u64 to) { return (n + to - 1) / to * to; }

u64 memoryTotal() { return setting("PTA_EMULATOR_MEMORY", 8ull << 30); }
u64 memoryUsed(int device) { return used[device]; }

int allocate(u64 *address, u64 bytes, bool host, int device) {
  if (address == nullptr || bytes == 0) return INVALID_VALUE;
  if (!host && used[device] + bytes > memoryTotal()) return OUT_OF_MEMORY;
  if (next == 0) {
    void *at = mmap(nullptr, memorySize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
      fprintf(stderr, "emulator: cannot reserve addresses for device memory\n");
      abort();
    }
    memoryBegin = (u64)at;
    next = memoryBegin + page;
  }
  const u64 length = roundUp(roundUp(bytes, alignment), page);
  if (next + length + page > memoryBegin + memorySize) return OUT_OF_MEMORY;
  if (mprotect((void *)next, length, PROT_READ | PROT_WRITE) != 0) {
    fprintf(stderr, "emulator: the system allows no more mappings (vm.max_map_count)\n");
    return OUT_OF_MEMORY;
  }
  Allocation a;
  a.first = next;
  a.last = next + length;
  // Its end lies at the end of the pages, as near as the alignment that the driver promises allows.
  a.address = a.last - roundUp(bytes, alignment);
  a.bytes = bytes;
  a.host = host;
  a.device = device;
  memset((void *)a.first, besideByte, a.address - a.first);
  // NaN in all float types, -1 in all integers.
  memset((void *)a.address, 0xff, bytes);
  memset((void *)(a.address + bytes), besideByte, a.last - a.address - bytes);
  next = a.last + page;
  if (!host) used[device] += bytes;
  allocations[a.first] = a;
  *address = a.address;
  return OK;
}

Allocation *allocationAt(u64 address) {
  auto it = allocations.upper_bound(address);
  if (it == allocations.begin()) return nullptr;
  Allocation &a = std::prev(it)->second;
  // The page after it belongs to it: that is where an access beyond the end lands.
  return address < a.last + page ? &a : nullptr;
}

std::string describe(u64 address) {
  char text[200];
  Allocation *a = allocationAt(address);
  if (a == nullptr) snprintf(text, sizeof text, "0x%llx, which was never allocated", (unsigned long long)address);
  else if (!a->live) {
    snprintf(text, sizeof text, "byte %lld of %llu bytes that have been freed", (long long)(address - a->address),
             (unsigned long long)a->bytes);
  } else {
    snprintf(text, sizeof text, "byte %lld of an allocation of %llu bytes", (long long)(address - a->address),
             (unsigned long long)a->bytes);
  }
  return text;
}

bool rangeIsLive(const char *what, u64 address, u64 bytes) {
  const Allocation *a = allocationAt(address);
  if (a != nullptr && a->live && address >= a->address && address + bytes <= a->address + a->bytes) return true;
  finding("%s: %llu bytes at %s", what, (unsigned long long)bytes, describe(address).c_str());
  return false;
}

static bool all(u64 from, u64 to) {
  for (u64 i = from; i < to; ++i) {
    if (*(unsigned char *)i != besideByte) return false;
  }
  return true;
}

void checkBeside(const char *what, u64 address) {
  const Allocation *a = allocationAt(address);
  if (a == nullptr || !a->live) return;
  const u64 end = a->address + a->bytes;
  const bool before = all(a->first, a->address), after = all(end, a->last);
  if (before && after) return;
  finding("%s writes %s an allocation of %llu bytes", what, before ? "past the end of" : "before",
          (unsigned long long)a->bytes);
  sticky = sticky ? sticky : ILLEGAL_ADDRESS;
  memset((void *)a->first, besideByte, a->address - a->first);
  memset((void *)end, besideByte, a->last - end);
}

int release(u64 address, bool host, const char *call) {
  Allocation *a = allocationAt(address);
  if (a == nullptr || a->address != address || a->host != host) {
    finding("%s: 0x%llx is not the start of an allocation", call, (unsigned long long)address);
    return INVALID_VALUE;
  }
  if (!a->live) {
    finding("%s: %llu bytes are freed twice", call, (unsigned long long)a->bytes);
    return INVALID_VALUE;
  }
  checkBeside(call, address);
  a->live = false;
  if (!host) used[a->device] -= a->bytes;
  madvise((void *)a->first, a->last - a->first, MADV_DONTNEED);
  mprotect((void *)a->first, a->last - a->first, PROT_NONE);
  forget(a->first, a->last - a->first);
  return OK;
}

struct AtExit {
  ~AtExit() {
    u64 count = 0, bytes = 0;
    for (auto &[first, a] : allocations) {
      if (!a.live || a.host) continue;
      ++count;
      bytes += a.bytes;
      checkBeside("some kernel", a.address);
    }
    if (setting("PTA_EMULATOR_LEAKS", 0) != 0 && count > 0) {
      finding("%llu allocations of %llu bytes together are left at the end", (unsigned long long)count,
              (unsigned long long)bytes);
    }
  }
};
static AtExit atExit;

} // namespace emulator
