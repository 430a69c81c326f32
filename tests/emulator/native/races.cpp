// Order of accesses, by vector clocks: work on different streams that touches the same memory must be ordered by events or by the host.
#include "emulator.h"

namespace emulator {

Tracks tracks;
Clock hostClock;

void join(Clock &into, const Clock &from) {
  if (into.size() < from.size()) into.resize(from.size(), 0);
  for (size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

static bool before(int stream, u32 time, const Clock &clock) {
  return stream < 0 || ((size_t)stream < clock.size() && clock[stream] >= time);
}

static bool check(const Track &t, u64 address, const Clock &clock, const std::string &name, bool writes) {
  const Track::Read *late = nullptr;
  if (writes) {
    for (const auto &r : t.reads) late = before(r.stream, r.time, clock) ? late : &r;
  }
  if (before(t.writer, t.written, clock) && late == nullptr) return true;
  const bool afterWrite = late == nullptr;
  finding("%s %s %s, which %s %s on another stream without an event between them", name.c_str(),
          writes ? "writes" : "reads", describe(address).c_str(), (afterWrite ? t.by : late->by).c_str(),
          afterWrite ? "writes" : "reads");
  return false;
}

static void update(Track &t, int stream, u32 time, const std::string &name, bool writes) {
  if (writes) {
    t.writer = stream;
    t.written = time;
    t.by = name;
    t.reads.clear();
    return;
  }
  for (auto &r : t.reads) {
    if (r.stream != stream) continue;
    r.time = time;
    return;
  }
  t.reads.push_back({stream, time, name});
}

bool note(Tracks &all, const Clock &clock, int stream, const std::string &name, const std::vector<Access> &accesses) {
  // Where buffers are allocations, an address anywhere in one means all of it. Otherwise several may share one, and the address itself stands for a buffer.
  static const bool whole = [] {
    const char *cache = getenv("PTA_CUDA_CACHE");
    return cache != nullptr && strcmp(cache, "0") == 0;
  }();
  bool good = true;
  for (const Access &a : accesses) {
    const Allocation *in = isDeviceAddress(a.address) ? allocationAt(a.address) : nullptr;
    const u64 key = whole && in != nullptr ? in->address : a.address;
    all[key];
    const u64 end = whole && in != nullptr ? key + 1 : key + std::max<u64>(a.bytes, 1);
    for (auto it = all.lower_bound(key); it != all.end() && it->first < end; ++it) {
      good = check(it->second, it->first, clock, name, a.writes) && good;
      update(it->second, stream, clock[stream], name, a.writes);
    }
  }
  return good;
}

void forget(u64 address, u64 bytes) {
  tracks.erase(tracks.lower_bound(address), tracks.lower_bound(address + bytes));
}

} // namespace emulator
