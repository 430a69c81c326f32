// NVML: the emulated devices as a monitor sees them.
#include "emulator.h"

#define FUNCTION extern "C" __attribute__((visibility("default")))
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND_HERE = 6, INSUFFICIENT_SIZE = 7 };

static int opened = 0;
static unsigned count() { return (unsigned)emulator::setting("PTA_EMULATOR_DEVICES", 1); }
// Handles are places, from 1.
static int check(uint64_t device) {
  return opened == 0 ? UNINITIALIZED : device == 0 || device > count() ? INVALID_ARGUMENT : SUCCESS;
}
static int give(char *out, unsigned length, const char *text) {
  if (out == nullptr) return INVALID_ARGUMENT;
  if (strlen(text) >= length) return INSUFFICIENT_SIZE;
  strcpy(out, text);
  return SUCCESS;
}
static std::string uuid(unsigned place) {
  char text[48], *at = text + sprintf(text, "GPU-");
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    at += sprintf(at, "%02x", (17 * i + place) & 255);
  }
  return text;
}
static std::string bus(unsigned place) {
  char text[32];
  sprintf(text, "0000:%02X:00.0", place + 1);
  return text;
}
template <class T> static int value(uint64_t device, T *out, T x) {
  if (int error = check(device)) return error;
  if (out == nullptr) return INVALID_ARGUMENT;
  *out = x;
  return SUCCESS;
}

FUNCTION int nvmlInit_v2() {
  ++opened;
  return SUCCESS;
}
FUNCTION int nvmlShutdown() {
  if (opened == 0) return UNINITIALIZED;
  --opened;
  return SUCCESS;
}
FUNCTION const char *nvmlErrorString(int code) {
  switch (code) {
  case SUCCESS: return "Success";
  case UNINITIALIZED: return "Uninitialized";
  case INVALID_ARGUMENT: return "Invalid Argument";
  case 3: return "Not Supported";
  case NOT_FOUND_HERE: return "Not Found";
  case INSUFFICIENT_SIZE: return "Insufficient Size";
  default: return "Unknown Error";
  }
}
FUNCTION int nvmlSystemGetDriverVersion(char *out, unsigned length) { return give(out, length, "580.65.06"); }
FUNCTION int nvmlSystemGetNVMLVersion(char *out, unsigned length) { return give(out, length, "13.580.65.06"); }
FUNCTION int nvmlDeviceGetCount_v2(unsigned *out) {
  if (opened == 0) return UNINITIALIZED;
  *out = count();
  return SUCCESS;
}
FUNCTION int nvmlDeviceGetHandleByIndex_v2(unsigned place, uint64_t *device) {
  if (int error = check(place + 1ull)) return error;
  *device = place + 1;
  return SUCCESS;
}
static int find(const char *text, uint64_t *device, std::string (*name)(unsigned)) {
  if (opened == 0) return UNINITIALIZED;
  if (text == nullptr || device == nullptr) return INVALID_ARGUMENT;
  for (unsigned i = 0; i < count(); ++i) {
    if (name(i) != text) continue;
    *device = i + 1;
    return SUCCESS;
  }
  return NOT_FOUND_HERE;
}
FUNCTION int nvmlDeviceGetHandleByUUID(const char *text, uint64_t *device) { return find(text, device, uuid); }
FUNCTION int nvmlDeviceGetHandleByPciBusId_v2(const char *text, uint64_t *device) { return find(text, device, bus); }
FUNCTION int nvmlDeviceGetName(uint64_t device, char *out, unsigned length) {
  const int error = check(device);
  return error ? error : give(out, length, "NVIDIA H100 (emulated)");
}
FUNCTION int nvmlDeviceGetUUID(uint64_t device, char *out, unsigned length) {
  const int error = check(device);
  return error ? error : give(out, length, uuid((unsigned)device - 1).c_str());
}
FUNCTION int nvmlDeviceGetMemoryInfo(uint64_t device, uint64_t *out) {
  if (int error = check(device)) return error;
  emulator::Lock lock;
  const uint64_t total = emulator::memoryTotal(), used = emulator::memoryUsed((int)device - 1);
  out[0] = total;
  out[1] = total - used;
  out[2] = used;
  return SUCCESS;
}
FUNCTION int nvmlDeviceGetUtilizationRates(uint64_t device, uint64_t *out) { return value<uint64_t>(device, out, 0); }
FUNCTION int nvmlDeviceGetTemperature(uint64_t device, int, unsigned *out) { return value(device, out, 40u); }
FUNCTION int nvmlDeviceGetPowerUsage(uint64_t device, unsigned *out) { return value(device, out, 70000u); }
FUNCTION int nvmlDeviceGetClockInfo(uint64_t device, int, unsigned *out) { return value(device, out, 1980u); }
FUNCTION int nvmlDeviceGetMaxClockInfo(uint64_t device, int, unsigned *out) { return value(device, out, 1980u); }
FUNCTION int nvmlDeviceGetCurrentClocksThrottleReasons(uint64_t device, uint64_t *out) { return value<uint64_t>(device, out, 1); }
