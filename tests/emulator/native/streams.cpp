// Streams and events. Work runs at once, or, with PTA_EMULATOR_DELAY=1, when something waits for it.
#include "emulator.h"
#include <chrono>

namespace emulator {

std::map<u64, StreamRef> &streams = *new std::map<u64, StreamRef>;
static int lastStream = 0;
static std::map<u64, std::shared_ptr<Event>> &events = *new std::map<u64, std::shared_ptr<Event>>;
static u64 lastEvent = 0;

static StreamRef newStream(bool blocking) {
  auto s = std::make_shared<Stream>();
  s->id = lastStream++;
  s->blocking = blocking;
  s->device = currentDevice();
  return s;
}

StreamRef legacyStream() {
  static std::map<int, StreamRef> made;
  StreamRef &s = made[currentDevice()];
  if (s == nullptr) {
    s = newStream(true);
    s->legacy = true;
  }
  return s;
}

StreamRef streamOf(u64 handle) {
  // 0 and 1 are the legacy stream, 2 the one of a thread, which we do not tell apart.
  if (handle <= 2) return legacyStream();
  auto it = streams.find(handle);
  return it == streams.end() ? nullptr : it->second;
}

static void waitFor(const StreamRef &stream, const StreamRef &other, u64 until, const Clock &clock) {
  join(stream->clock, clock);
  if (other == stream || other->done >= until) return;
  stream->queue.push_back({nullptr, other, until});
  ++stream->issued;
}

// The legacy stream waits for all that block, and they for it.
static void orderWithLegacy(const StreamRef &stream) {
  if (!stream->blocking) return;
  const StreamRef legacy = legacyStream();
  if (!stream->legacy) return waitFor(stream, legacy, legacy->issued, legacy->clock);
  for (auto &[handle, s] : streams) {
    if (s->blocking && s->device == stream->device) waitFor(stream, s, s->issued, s->clock);
  }
}

static void tick(const StreamRef &stream) {
  join(stream->clock, hostClock);
  if (stream->clock.size() <= (size_t)stream->id) stream->clock.resize(stream->id + 1, 0);
  ++stream->clock[stream->id];
}

int enqueue(const StreamRef &stream, Work work) {
  if (stream->capture != nullptr) return captureWork(stream, std::move(work));
  if (stream->blocking) {
    if (int error = forbidAnyCapture(work.name.c_str())) return error;
  }
  orderWithLegacy(stream);
  tick(stream);
  const bool ordered = note(tracks, stream->clock, stream->id, work.name, work.accesses);
  stream->queue.push_back({std::move(work.run), nullptr, 0});
  ++stream->issued;
  const int error = delays ? OK : drain(stream, stream->issued);
  return error ? error : ordered ? OK : LAUNCH_FAILED;
}

int drain(const StreamRef &stream, u64 until) {
  while (stream->done < until && !stream->queue.empty()) {
    Stream::Item item = std::move(stream->queue.front());
    stream->queue.pop_front();
    ++stream->done;
    if (item.after != nullptr) drain(item.after, item.until);
    // After a fault nothing runs any more.
    else if (sticky == OK) sticky = item.run();
  }
  return sticky;
}

int drainAll() {
  const StreamRef legacy = legacyStream();
  drain(legacy, legacy->issued);
  join(hostClock, legacy->clock);
  for (auto &[handle, s] : streams) {
    drain(s, s->issued);
    join(hostClock, s->clock);
  }
  return sticky;
}

static double now() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static std::shared_ptr<Event> eventOf(u64 handle) {
  auto it = events.find(handle);
  return it == events.end() ? nullptr : it->second;
}

// Polls before delayed work that nobody else waits for is run, so that a loop of polls ends.
constexpr int patience = 3;

} // namespace emulator

using namespace emulator;

#define STREAM(name, handle)                                                                           \
  Lock lock;                                                                                           \
  if (int error = entry()) return error;                                                               \
  const StreamRef name = streamOf(handle);                                                             \
  if (name == nullptr) return INVALID_HANDLE;
#define EVENT(name, handle)                                                                            \
  Lock lock;                                                                                           \
  if (int error = entry()) return error;                                                               \
  const std::shared_ptr<Event> name = eventOf(handle);                                                 \
  if (name == nullptr) return INVALID_HANDLE;

API cuStreamCreate(u64 *made, unsigned flags) {
  Lock lock;
  if (int error = entry()) return error;
  if (made == nullptr || flags > 1) return INVALID_VALUE;
  const StreamRef s = newStream(flags == 0);
  *made = (u64)s.get();
  streams[*made] = s;
  return OK;
}
API cuStreamCreateWithPriority(u64 *made, unsigned flags, int) { return cuStreamCreate(made, flags); }
API cuStreamDestroy_v2(u64 handle) {
  STREAM(s, handle);
  if (s->legacy) return INVALID_HANDLE;
  if (s->capture != nullptr) return forbidOnCapturing(s, "cuStreamDestroy");
  const int error = drain(s, s->issued);
  streams.erase(handle);
  return error;
}
API cuStreamSynchronize(u64 handle) {
  STREAM(s, handle);
  if (int error = forbidOnCapturing(s, "cuStreamSynchronize")) return error;
  if (s->legacy) {
    if (int error = forbidAnyCapture("cuStreamSynchronize")) return error;
    orderWithLegacy(s);
  }
  drain(s, s->issued);
  join(hostClock, s->clock);
  return sticky;
}
API cuStreamQuery(u64 handle) {
  STREAM(s, handle);
  if (int error = forbidOnCapturing(s, "cuStreamQuery")) return error;
  if (s->done < s->issued && ++s->polls % patience != 0) return NOT_READY;
  drain(s, s->issued);
  join(hostClock, s->clock);
  return sticky;
}
API cuStreamWaitEvent(u64 handle, u64 event, unsigned) {
  STREAM(s, handle);
  const std::shared_ptr<Event> e = eventOf(event);
  if (e == nullptr) return INVALID_HANDLE;
  if (s->capture != nullptr || (e->capture != nullptr && e->capture->active)) return captureWait(s, *e);
  if (e->capture != nullptr) return CAPTURED_EVENT;
  // Waiting for an event that was never recorded is no wait at all.
  if (e->recorded) waitFor(s, e->stream, e->seq, e->clock);
  return OK;
}

API cuEventCreate(u64 *made, unsigned flags) {
  Lock lock;
  if (int error = entry()) return error;
  if (made == nullptr) return INVALID_VALUE;
  auto e = std::make_shared<Event>();
  e->flags = flags;
  *made = 0x7000000000ull + 16 * ++lastEvent;
  events[*made] = e;
  return OK;
}
API cuEventDestroy_v2(u64 handle) {
  EVENT(e, handle);
  events.erase(handle);
  return OK;
}
API cuEventRecord(u64 event, u64 stream) {
  EVENT(e, event);
  const StreamRef s = streamOf(stream);
  if (s == nullptr) return INVALID_HANDLE;
  if (s->capture != nullptr) {
    captureRecord(s, *e);
    return OK;
  }
  if (s->blocking) {
    if (int error = forbidAnyCapture("cuEventRecord")) return error;
  }
  orderWithLegacy(s);
  tick(s);
  auto time = std::make_shared<double>(0);
  s->queue.push_back({[time] {
                        *time = now();
                        return (int)OK;
                      },
                      nullptr, 0});
  ++s->issued;
  e->capture = nullptr;
  e->recorded = true;
  e->stream = s;
  e->seq = s->issued;
  e->clock = s->clock;
  e->time = time;
  return delays ? OK : drain(s, s->issued);
}
API cuEventQuery(u64 handle) {
  EVENT(e, handle);
  if (e->capture != nullptr) return CAPTURED_EVENT;
  if (int error = forbidWhileCapturing("cuEventQuery")) return error;
  if (!e->recorded) return OK;
  if (e->stream->done < e->seq && ++e->polls % patience != 0) return NOT_READY;
  drain(e->stream, e->seq);
  join(hostClock, e->clock);
  return sticky;
}
API cuEventSynchronize(u64 handle) {
  EVENT(e, handle);
  if (e->capture != nullptr) return CAPTURED_EVENT;
  if (int error = forbidWhileCapturing("cuEventSynchronize")) return error;
  if (!e->recorded) return OK;
  drain(e->stream, e->seq);
  join(hostClock, e->clock);
  return sticky;
}
API cuEventElapsedTime(float *milliseconds, u64 start, u64 end) {
  EVENT(a, start);
  const std::shared_ptr<Event> b = eventOf(end);
  if (b == nullptr || !a->recorded || !b->recorded || ((a->flags | b->flags) & 2)) return INVALID_HANDLE;
  if (a->stream->done < a->seq || b->stream->done < b->seq) return NOT_READY;
  *milliseconds = (float)(*b->time - *a->time);
  return OK;
}
API cuCtxSynchronize() {
  Lock lock;
  if (int error = entry()) return error;
  if (int error = forbidAnyCapture("cuCtxSynchronize")) return error;
  return drainAll();
}

// Work of another emulated library; it runs again at every launch of a graph that recorded it.
API emulatorEnqueueAccess(u64 handle, const char *name, void (*run)(void *), void *data, u64 from, u64 read, u64 to,
                          u64 written) {
  STREAM(s, handle);
  Work work;
  work.name = name;
  work.kind = Kind::host;
  if (read > 0) {
    if (!rangeIsLive(name, from, read)) return INVALID_VALUE;
    // In place it is one access.
    if (from != to) work.accesses.push_back({from, read, false});
  }
  if (written > 0) {
    if (!rangeIsLive(name, to, written)) return INVALID_VALUE;
    work.accesses.push_back({to, written, true});
  }
  work.run = [=] {
    run(data);
    return (int)OK;
  };
  return enqueue(s, std::move(work));
}
