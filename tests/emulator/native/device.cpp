// Devices and contexts: those of an H100, but for the size of the memory.
#include "emulator.h"

namespace emulator {

static bool initialised = false;
static thread_local int current = -1;
static std::map<int, int> retained;

static int deviceCount() { return (int)setting("PTA_EMULATOR_DEVICES", 1); }
int currentDevice() { return current < 0 ? 0 : current; }

int entry() {
  if (!initialised) return NOT_INITIALIZED;
  if (current < 0) return INVALID_CONTEXT;
  return sticky;
}

// By CUdevice_attribute.
static const std::map<int, int> attributes = {
    {1, 1024},     {2, 1024},      {3, 1024},   {4, 64},        {5, 0x7fffffff}, {6, 65535},  {7, 65535},
    {8, 48 << 10}, {9, 65536},     {10, 32},    {11, 0x7fffffff}, {12, 65536},   {13, 1980000}, {14, 512},
    {15, 1},       {16, 132},      {17, 0},     {18, 0},        {19, 1},         {20, 0},     {31, 1},
    {32, 0},       {35, 0},        {36, 2619000}, {37, 5120},   {38, 50 << 20},  {39, 2048},  {40, 3},
    {41, 1},       {75, 9},        {76, 0},     {78, 1},        {79, 1},         {80, 1},     {81, 228 << 10},
    {82, 65536},   {83, 1},        {84, 0},     {85, 0},        {86, 1},         {89, 1},     {90, 0},
    {91, 1},       {95, 1},        {97, 227 << 10}, {99, 1},    {100, 0},        {101, 0},    {102, 1},
    {106, 32},     {107, 1},       {108, 128 << 20}, {111, 1 << 10}, {112, 0},   {115, 1},    {116, 0},
    {120, 1},      {132, 0},
};

constexpr u64 contextBase = 0x6000000000ull;

} // namespace emulator

using namespace emulator;

#define INITIALISED                                                                                    \
  Lock lock;                                                                                           \
  if (!initialised) return NOT_INITIALIZED;
#define DEVICE(d)                                                                                      \
  INITIALISED;                                                                                         \
  if (d < 0 || d >= deviceCount()) return INVALID_DEVICE;
#define ENTER                                                                                          \
  Lock lock;                                                                                           \
  if (int error = entry()) return error;

API cuInit(unsigned flags) {
  Lock lock;
  if (flags != 0) return INVALID_VALUE;
  if (deviceCount() == 0) return NO_DEVICE;
  initialised = true;
  return OK;
}
API cuDriverGetVersion(int *version) {
  *version = 13000;
  return OK;
}

struct Name {
  int code;
  const char *name, *text;
};
static const Name names[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {300, "CUDA_ERROR_INVALID_SOURCE", "device kernel image is invalid"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
    {910, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the graph update was not performed because it included changes which violated constraints"},
};
API cuGetErrorString(int code, const char **text) {
  for (const Name &n : names) {
    if (n.code != code) continue;
    *text = n.text;
    return OK;
  }
  *text = nullptr;
  return INVALID_VALUE;
}
API cuGetErrorName(int code, const char **text) {
  for (const Name &n : names) {
    if (n.code != code) continue;
    *text = n.name;
    return OK;
  }
  *text = nullptr;
  return INVALID_VALUE;
}

API cuDeviceGetCount(int *count) {
  INITIALISED;
  *count = deviceCount();
  return OK;
}
API cuDeviceGet(int *device, int ordinal) {
  DEVICE(ordinal);
  *device = ordinal;
  return OK;
}
API cuDeviceGetName(char *name, int length, int device) {
  DEVICE(device);
  snprintf(name, length, "NVIDIA H100 (emulated)");
  return OK;
}
API cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
  DEVICE(device);
  for (int i = 0; i < 16; ++i) uuid[i] = (unsigned char)(17 * i + device);
  return OK;
}
API cuDeviceTotalMem_v2(u64 *bytes, int device) {
  DEVICE(device);
  *bytes = memoryTotal();
  return OK;
}
API cuDeviceGetAttribute(int *value, int attribute, int device) {
  DEVICE(device);
  if (attribute < 1 || value == nullptr) return INVALID_VALUE;
  auto it = attributes.find(attribute);
  *value = it == attributes.end() ? 0 : it->second;
  return OK;
}
API cuDeviceGetPCIBusId(char *id, int length, int device) {
  DEVICE(device);
  snprintf(id, length, "0000:%02X:00.0", device + 1);
  return OK;
}
API cuDevicePrimaryCtxRetain(u64 *context, int device) {
  DEVICE(device);
  ++retained[device];
  *context = contextBase + 16 * (device + 1);
  return OK;
}
API cuDevicePrimaryCtxRelease_v2(int device) {
  DEVICE(device);
  if (retained[device] == 0) return INVALID_CONTEXT;
  --retained[device];
  return OK;
}
API cuDevicePrimaryCtxSetFlags_v2(int device, unsigned) {
  DEVICE(device);
  return OK;
}
API cuCtxSetCurrent(u64 context) {
  INITIALISED;
  const int device = (int)((context - contextBase) / 16) - 1;
  if (context == 0) {
    current = -1;
    return OK;
  }
  if (context < contextBase || device < 0 || device >= deviceCount() || retained[device] == 0) return INVALID_CONTEXT;
  current = device;
  return OK;
}
API cuCtxGetCurrent(u64 *context) {
  INITIALISED;
  *context = current < 0 ? 0 : contextBase + 16 * (current + 1);
  return OK;
}
API cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  ENTER;
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return OK;
}
API cuDeviceCanAccessPeer(int *can, int device, int peer) {
  DEVICE(device);
  *can = device != peer && peer >= 0 && peer < deviceCount();
  return OK;
}
API cuCtxEnablePeerAccess(u64, unsigned) {
  ENTER;
  static std::set<int> enabled;
  return enabled.insert(current).second ? OK : PEER_ACCESS_ALREADY_ENABLED;
}
