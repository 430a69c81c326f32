// The emulated driver's own declarations. Names and numbers of results are those of cuda.h.
#pragma once
#include "entry.h"
#include <condition_variable>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int
#define EXPORT __attribute__((visibility("default")))

namespace emulator {

typedef uint64_t u64;
typedef uint32_t u32;

enum Result {
  OK = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  INVALID_SOURCE = 300,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  PEER_ACCESS_ALREADY_ENABLED = 704,
  MISALIGNED_ADDRESS = 716,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901,
  CAPTURE_MERGE = 902,
  CAPTURE_UNMATCHED = 903,
  CAPTURE_UNJOINED = 904,
  CAPTURE_ISOLATION = 905,
  CAPTURE_IMPLICIT = 906,
  CAPTURED_EVENT = 907,
  CAPTURE_WRONG_THREAD = 908,
  GRAPH_EXEC_UPDATE_FAILURE = 910,
};

// ---- settings and findings (findings.cpp)

EXPORT u64 setting(const char *name, u64 otherwise);
// Whether effects are delayed until something waits for them.
extern bool delays;
// Whether the texts of kernels are only collected.
extern const char *collects;
// Writes a line about something wrong in the program under test.
EXPORT void finding(const char *format, ...) __attribute__((format(printf, 1, 2)));
EXPORT std::recursive_mutex &mutex();
struct Lock {
  std::lock_guard<std::recursive_mutex> held{mutex()};
};

// ---- memory (memory.cpp)

struct Allocation {
  u64 address = 0, bytes = 0;
  // Pages that are mapped for it.
  u64 first = 0, last = 0;
  bool host = false, live = true;
  int device = 0;
};
constexpr u64 memorySize = 1ull << 42;
extern u64 memoryBegin;
inline bool isDeviceAddress(u64 a) { return a - memoryBegin < memorySize; }

int allocate(u64 *address, u64 bytes, bool host, int device);
int release(u64 address, bool host, const char *call);
// The allocation that an address is in, or, where that has been freed, was in.
EXPORT Allocation *allocationAt(u64 address);
// Whether all of a range is in live memory; a finding when not.
EXPORT bool rangeIsLive(const char *what, u64 address, u64 bytes);
// Whether the bytes beside an allocation are as they were; a finding when not.
void checkBeside(const char *what, u64 address);
EXPORT u64 memoryUsed(int device);
EXPORT u64 memoryTotal();
std::string describe(u64 address);

// ---- running foreign code (fault.cpp)

// Runs `body`; an access to memory that is not there ends it, with a finding and ILLEGAL_ADDRESS.
EXPORT int guarded(const char *what, const std::function<int()> &body);
// What is wrong with the context until its end.
extern int sticky;
char *threadStack(unsigned thread);

// ---- order (streams.cpp, races.cpp)

typedef std::vector<u32> Clock;
void join(Clock &into, const Clock &from);

struct Access {
  u64 address, bytes; // No bytes: as much as there is
  bool writes;
};
struct Track {
  int writer = -1;
  u32 written = 0;
  std::string by;
  struct Read {
    int stream;
    u32 time;
    std::string by;
  };
  std::vector<Read> reads;
};
typedef std::map<u64, Track> Tracks;
// Notes accesses of a piece of work; false, with a finding, when it is not ordered after what it conflicts with.
bool note(Tracks &tracks, const Clock &clock, int stream, const std::string &name,
          const std::vector<Access> &accesses);
extern Tracks tracks;
void forget(u64 address, u64 bytes);

struct KernelCall;
enum class Kind { kernel = 0, memcpy = 1, memset = 2, host = 3, empty = 5 };
// A piece of work.
struct Work {
  std::string name;
  std::vector<Access> accesses;
  std::function<int()> run;
  Kind kind = Kind::kernel;
  std::shared_ptr<KernelCall> call;
};

struct Capture;
struct Stream {
  int id = 0, device = 0;
  bool legacy = false, blocking = true, alive = true;
  struct Item {
    std::function<int()> run;
    std::shared_ptr<Stream> after;
    u64 until = 0;
  };
  std::deque<Item> queue;
  u64 issued = 0, done = 0;
  int polls = 0;
  Clock clock;
  std::shared_ptr<Capture> capture;
  // Nodes that the next one in a capture comes after, and its clock there.
  std::vector<int> last;
  Clock captureClock;
};
typedef std::shared_ptr<Stream> StreamRef;

struct Event {
  unsigned flags = 0;
  bool recorded = false;
  StreamRef stream;
  u64 seq = 0;
  int polls = 0;
  Clock clock;
  std::shared_ptr<double> time;
  std::shared_ptr<Capture> capture;
  std::vector<int> last;
};

// The stream of a handle; null when there is none.
EXPORT StreamRef streamOf(u64 handle);
extern std::map<u64, StreamRef> &streams;
// Puts work on a stream, or into its capture.
EXPORT int enqueue(const StreamRef &stream, Work work);
// Runs a stream up to a place.
int drain(const StreamRef &stream, u64 until);
int drainAll();
StreamRef legacyStream();
extern Clock hostClock;
// What every call checks first: initialised, a context, no earlier error.
EXPORT int entry();
int currentDevice();

// ---- capture and graphs (capture.cpp, graphs.cpp)

struct Node {
  Work work;
  std::vector<int> after;
  struct Graph *graph = nullptr;
};
struct Graph {
  std::vector<std::shared_ptr<Node>> nodes;
};
struct Capture {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  Stream *origin = nullptr;
  int mode = 0;
  u64 thread = 0;
  bool active = true, invalid = false;
  std::set<Stream *> streams;
  Tracks tracks;
};
u64 addGraph(const std::shared_ptr<Graph> &graph);
int captureWork(const StreamRef &stream, Work work);
int captureWait(const StreamRef &stream, Event &event);
void captureRecord(const StreamRef &stream, Event &event);
// An error when a call may not be made now because of a capture, which it then spoils.
EXPORT int forbidWhileCapturing(const char *call);
int forbidOnCapturing(const StreamRef &stream, const char *call);
int forbidAnyCapture(const char *call);

// ---- modules (modules.cpp, units.cpp, build.cpp)

struct Parameter {
  bool pointer, readOnly;
};
// One kernel's text with all that it needs, which is compiled together with others.
struct Unit {
  std::string key, name, text;
  std::vector<std::string> macros;
  bool synchronizes = false;
  unsigned launchBounds = 0;
  std::vector<Parameter> parameters;
  Entry *entry = nullptr;
  bool failed = false;
};
// The kernels of a text, without the prelude; `defines` come before it, `expressions` are instances of templates.
std::vector<std::shared_ptr<Unit>> unitsOf(const std::string &text, const std::string &defines,
                                           const std::vector<std::string> &expressions);
void want(const std::shared_ptr<Unit> &unit);
// Makes a unit's code ready, together with that of all that are wanted.
bool prepare(Unit &unit);
std::string folder();

struct Function {
  std::shared_ptr<Unit> unit;
  u64 module = 0;
  int maxDynamicShared = 48 << 10;
};
struct KernelCall {
  Function *function = nullptr;
  dim3 grid{}, block{};
  unsigned shared = 0;
  // Arguments, each at a multiple of 16 bytes.
  std::vector<unsigned char> arguments;
  std::vector<unsigned> offsets;
  std::vector<void *> pointers;
};
// A launch as work; the result of the checks.
int kernelWork(Function *function, dim3 grid, dim3 block, unsigned shared, void **parameters, Work &work);

} // namespace emulator
