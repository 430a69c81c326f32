// Recording of streams, and what may not happen meanwhile.
#include "emulator.h"
#include <pthread.h>

namespace emulator {

static std::set<std::shared_ptr<Capture>> &captures = *new std::set<std::shared_ptr<Capture>>;
// How the calls of this thread are watched while anybody captures: 0 global, 1 this thread, 2 not at all.
static thread_local int threadMode = 0;
static u64 self() { return (u64)pthread_self(); }

int captureWork(const StreamRef &stream, Work work) {
  Capture &c = *stream->capture;
  if (c.invalid) return CAPTURE_INVALIDATED;
  if (stream->captureClock.size() <= (size_t)stream->id) stream->captureClock.resize(stream->id + 1, 0);
  ++stream->captureClock[stream->id];
  const bool ordered = note(c.tracks, stream->captureClock, stream->id, work.name, work.accesses);
  auto node = std::make_shared<Node>();
  node->work = std::move(work);
  node->after = stream->last;
  node->graph = c.graph.get();
  stream->last = {(int)c.graph->nodes.size()};
  c.graph->nodes.push_back(node);
  return ordered ? OK : LAUNCH_FAILED;
}

void captureRecord(const StreamRef &stream, Event &event) {
  if (stream->captureClock.size() <= (size_t)stream->id) stream->captureClock.resize(stream->id + 1, 0);
  event.recorded = true;
  event.capture = stream->capture;
  event.last = stream->last;
  event.clock = stream->captureClock;
}

static int spoil(Capture &c, int error, const char *call, const char *why) {
  finding("%s during a capture: %s", call, why);
  c.invalid = true;
  return error;
}

int captureWait(const StreamRef &stream, Event &event) {
  if (event.capture == nullptr || !event.capture->active) {
    return spoil(*stream->capture, CAPTURE_ISOLATION, "cuStreamWaitEvent",
                 "the event was recorded outside of it");
  }
  if (event.capture->invalid) return CAPTURE_INVALIDATED;
  if (stream->capture == nullptr) {
    if (stream->legacy) return spoil(*event.capture, CAPTURE_IMPLICIT, "cuStreamWaitEvent", "the legacy stream cannot join");
    stream->capture = event.capture;
    stream->last.clear();
    stream->captureClock.clear();
    event.capture->streams.insert(stream.get());
  } else if (stream->capture != event.capture) {
    return spoil(*stream->capture, CAPTURE_MERGE, "cuStreamWaitEvent", "the event belongs to another capture");
  }
  join(stream->captureClock, event.clock);
  for (int node : event.last) {
    bool known = false;
    for (int other : stream->last) known = known || other == node;
    if (!known) stream->last.push_back(node);
  }
  return OK;
}

int forbidWhileCapturing(const char *call) {
  for (auto &c : captures) {
    const bool own = c->thread == self();
    const bool watched = own ? c->mode != 2 : c->mode == 0 && threadMode == 0;
    if (watched && threadMode != 2) {
      return spoil(*c, CAPTURE_UNSUPPORTED, call, "it may wait, or do what the graph would not repeat");
    }
  }
  return OK;
}

int forbidAnyCapture(const char *call) {
  for (auto &c : captures) {
    bool blocks = strcmp(call, "cuCtxSynchronize") == 0;
    for (Stream *s : c->streams) blocks = blocks || s->blocking;
    if (blocks) return spoil(*c, CAPTURE_IMPLICIT, call, "it waits for the stream that is recorded");
  }
  return OK;
}

int forbidOnCapturing(const StreamRef &stream, const char *call) {
  if (stream->capture == nullptr) return OK;
  return spoil(*stream->capture, CAPTURE_UNSUPPORTED, call, "nothing runs on a stream that is recorded");
}

static void leave(Capture &c) {
  c.active = false;
  const std::set<Stream *> members = c.streams;
  for (Stream *s : members) {
    s->capture = nullptr;
    s->last.clear();
    s->captureClock.clear();
  }
}

} // namespace emulator

using namespace emulator;

API cuStreamBeginCapture_v2(u64 handle, int mode) {
  Lock lock;
  if (int error = entry()) return error;
  const StreamRef s = streamOf(handle);
  if (s == nullptr) return INVALID_HANDLE;
  if (mode < 0 || mode > 2) return INVALID_VALUE;
  if (s->legacy) {
    finding("cuStreamBeginCapture: the legacy stream cannot be recorded");
    return CAPTURE_UNSUPPORTED;
  }
  if (s->capture != nullptr) return spoil(*s->capture, CAPTURE_UNSUPPORTED, "cuStreamBeginCapture", "the stream is recorded already");
  auto c = std::make_shared<Capture>();
  c->origin = s.get();
  c->mode = mode;
  c->thread = self();
  c->streams.insert(s.get());
  s->capture = c;
  s->last.clear();
  s->captureClock.clear();
  captures.insert(c);
  return OK;
}

API cuStreamEndCapture(u64 handle, u64 *graph) {
  Lock lock;
  if (int error = entry()) return error;
  const StreamRef s = streamOf(handle);
  if (s == nullptr) return INVALID_HANDLE;
  if (graph == nullptr) return INVALID_VALUE;
  *graph = 0;
  const std::shared_ptr<Capture> c = s->capture;
  if (c == nullptr) return INVALID_VALUE;
  if (c->origin != s.get()) return spoil(*c, CAPTURE_UNMATCHED, "cuStreamEndCapture", "it began on another stream");
  if (c->mode != 2 && c->thread != self()) return spoil(*c, CAPTURE_WRONG_THREAD, "cuStreamEndCapture", "it began on another thread");
  int error = c->invalid ? CAPTURE_INVALIDATED : OK;
  for (Stream *other : c->streams) {
    const size_t i = other->id;
    const u32 own = i < other->captureClock.size() ? other->captureClock[i] : 0;
    const u32 seen = i < s->captureClock.size() ? s->captureClock[i] : 0;
    if (error == OK && seen < own) error = spoil(*c, CAPTURE_UNJOINED, "cuStreamEndCapture", "work of another stream is not waited for");
  }
  leave(*c);
  captures.erase(c);
  if (error == OK) *graph = addGraph(c->graph);
  return error;
}

API cuStreamIsCapturing(u64 handle, int *status) {
  Lock lock;
  if (int error = entry()) return error;
  const StreamRef s = streamOf(handle);
  if (s == nullptr) return INVALID_HANDLE;
  if (status == nullptr) return INVALID_VALUE;
  *status = s->capture == nullptr ? 0 : s->capture->invalid ? 2 : 1;
  return OK;
}

API cuThreadExchangeStreamCaptureMode(int *mode) {
  Lock lock;
  if (mode == nullptr || *mode < 0 || *mode > 2) return INVALID_VALUE;
  const int old = threadMode;
  threadMode = *mode;
  *mode = old;
  return OK;
}
