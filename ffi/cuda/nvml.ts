/**
 * NVML: symbols as nvml.h declares them, and a checked wrapper for each. Sizes and pointers into device memory are numbers, handles and host addresses are bigints, results come
 * back in the buffers that the C function takes. Written by tools/ffi_headers.ts from the header; do not edit.
 */
import { NvmlError, statusName } from "./errors.ts";
import { readCString } from "./memory.ts";

import { nvmlReturn_t } from "./nvml_enums.ts";

/** Symbols of NVML. */
export const nvmlSymbols = {
  nvmlInit_v2: {
    parameters: [],
    result: "i32",
  },
  nvmlShutdown: {
    parameters: [],
    result: "i32",
  },
  nvmlErrorString: {
    parameters: [
      "i32", // result
    ],
    result: "pointer",
  },
  nvmlSystemGetDriverVersion: {
    parameters: [
      "buffer", // version
      "u32", // length
    ],
    result: "i32",
  },
  nvmlSystemGetNVMLVersion: {
    parameters: [
      "buffer", // version
      "u32", // length
    ],
    result: "i32",
  },
  nvmlDeviceGetCount_v2: {
    parameters: [
      "buffer", // deviceCount
    ],
    result: "i32",
  },
  nvmlDeviceGetHandleByIndex_v2: {
    parameters: [
      "u32", // index
      "buffer", // device
    ],
    result: "i32",
  },
  nvmlDeviceGetHandleByUUID: {
    parameters: [
      "buffer", // uuid
      "buffer", // device
    ],
    result: "i32",
  },
  nvmlDeviceGetHandleByPciBusId_v2: {
    parameters: [
      "buffer", // pciBusId
      "buffer", // device
    ],
    result: "i32",
  },
  nvmlDeviceGetName: {
    parameters: [
      "u64", // device
      "buffer", // name
      "u32", // length
    ],
    result: "i32",
  },
  nvmlDeviceGetUUID: {
    parameters: [
      "u64", // device
      "buffer", // uuid
      "u32", // length
    ],
    result: "i32",
  },
  nvmlDeviceGetMemoryInfo: {
    parameters: [
      "u64", // device
      "buffer", // memory
    ],
    result: "i32",
  },
  nvmlDeviceGetUtilizationRates: {
    parameters: [
      "u64", // device
      "buffer", // utilization
    ],
    result: "i32",
  },
  nvmlDeviceGetTemperature: {
    parameters: [
      "u64", // device
      "i32", // sensorType
      "buffer", // temp
    ],
    result: "i32",
  },
  nvmlDeviceGetPowerUsage: {
    parameters: [
      "u64", // device
      "buffer", // power
    ],
    result: "i32",
  },
  nvmlDeviceGetClockInfo: {
    parameters: [
      "u64", // device
      "i32", // type
      "buffer", // clock
    ],
    result: "i32",
  },
  nvmlDeviceGetMaxClockInfo: {
    parameters: [
      "u64", // device
      "i32", // type
      "buffer", // clock
    ],
    result: "i32",
  },
  nvmlDeviceGetCurrentClocksThrottleReasons: {
    parameters: [
      "u64", // device
      "buffer", // clocksThrottleReasons
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of NVML. Each raises {@linkcode NvmlError} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface NvmlCalls {
  /** `nvmlReturn_t nvmlInit_v2(void)` */
  nvmlInit(): void;
  /** `nvmlReturn_t nvmlShutdown(void)` */
  nvmlShutdown(): void;
  /** `const char* nvmlErrorString(nvmlReturn_t result)` */
  nvmlErrorString(result: number): string;
  /** `nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)` */
  nvmlSystemGetDriverVersion(version: BufferSource | null, length: number): void;
  /** `nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)` */
  nvmlSystemGetNVMLVersion(version: BufferSource | null, length: number): void;
  /** `nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *deviceCount)` */
  nvmlDeviceGetCount(deviceCount: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)` */
  nvmlDeviceGetHandleByIndex(index: number, device: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)` */
  nvmlDeviceGetHandleByUUID(uuid: BufferSource | null, device: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *pciBusId, nvmlDevice_t *device)` */
  nvmlDeviceGetHandleByPciBusId(pciBusId: BufferSource | null, device: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)` */
  nvmlDeviceGetName(device: bigint, name: BufferSource | null, length: number): void;
  /** `nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)` */
  nvmlDeviceGetUUID(device: bigint, uuid: BufferSource | null, length: number): void;
  /** `nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)` */
  nvmlDeviceGetMemoryInfo(device: bigint, memory: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)` */
  nvmlDeviceGetUtilizationRates(device: bigint, utilization: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensorType, unsigned int *temp)` */
  nvmlDeviceGetTemperature(device: bigint, sensorType: number, temp: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *power)` */
  nvmlDeviceGetPowerUsage(device: bigint, power: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock)` */
  nvmlDeviceGetClockInfo(device: bigint, type: number, clock: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock)` */
  nvmlDeviceGetMaxClockInfo(device: bigint, type: number, clock: BufferSource | null): void;
  /** `nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *clocksThrottleReasons)` */
  nvmlDeviceGetCurrentClocksThrottleReasons(
    device: bigint,
    clocksThrottleReasons: BufferSource | null,
  ): void;
}

/** Makes the checked calls from an open library. */
export function bindNvml(symbols: Deno.DynamicLibrary<typeof nvmlSymbols>["symbols"]): NvmlCalls {
  const {
    nvmlInit_v2,
    nvmlShutdown,
    nvmlErrorString,
    nvmlSystemGetDriverVersion,
    nvmlSystemGetNVMLVersion,
    nvmlDeviceGetCount_v2,
    nvmlDeviceGetHandleByIndex_v2,
    nvmlDeviceGetHandleByUUID,
    nvmlDeviceGetHandleByPciBusId_v2,
    nvmlDeviceGetName,
    nvmlDeviceGetUUID,
    nvmlDeviceGetMemoryInfo,
    nvmlDeviceGetUtilizationRates,
    nvmlDeviceGetTemperature,
    nvmlDeviceGetPowerUsage,
    nvmlDeviceGetClockInfo,
    nvmlDeviceGetMaxClockInfo,
    nvmlDeviceGetCurrentClocksThrottleReasons,
  } = symbols;
  const fail = (call: string, code: number): never => {
    throw new NvmlError({
      call,
      code,
      status: statusName(nvmlReturn_t, "nvmlReturn_t", code),
      text: readCString(nvmlErrorString(code)),
    });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
    nvmlInit() {
      const code = nvmlInit_v2();
      if (code !== 0) fail("nvmlInit", code);
    },
    nvmlShutdown() {
      const code = nvmlShutdown();
      if (code !== 0) fail("nvmlShutdown", code);
    },
    nvmlErrorString(result) {
      return readCString(nvmlErrorString(result));
    },
    nvmlSystemGetDriverVersion(version, length) {
      const code = nvmlSystemGetDriverVersion(version, length);
      if (code !== 0) fail("nvmlSystemGetDriverVersion", code);
    },
    nvmlSystemGetNVMLVersion(version, length) {
      const code = nvmlSystemGetNVMLVersion(version, length);
      if (code !== 0) fail("nvmlSystemGetNVMLVersion", code);
    },
    nvmlDeviceGetCount(deviceCount) {
      const code = nvmlDeviceGetCount_v2(deviceCount);
      if (code !== 0) fail("nvmlDeviceGetCount", code);
    },
    nvmlDeviceGetHandleByIndex(index, device) {
      const code = nvmlDeviceGetHandleByIndex_v2(index, device);
      if (code !== 0) fail("nvmlDeviceGetHandleByIndex", code);
    },
    nvmlDeviceGetHandleByUUID(uuid, device) {
      const code = nvmlDeviceGetHandleByUUID(uuid, device);
      if (code !== 0) fail("nvmlDeviceGetHandleByUUID", code);
    },
    nvmlDeviceGetHandleByPciBusId(pciBusId, device) {
      const code = nvmlDeviceGetHandleByPciBusId_v2(pciBusId, device);
      if (code !== 0) fail("nvmlDeviceGetHandleByPciBusId", code);
    },
    nvmlDeviceGetName(device, name, length) {
      const code = nvmlDeviceGetName(device, name, length);
      if (code !== 0) fail("nvmlDeviceGetName", code);
    },
    nvmlDeviceGetUUID(device, uuid, length) {
      const code = nvmlDeviceGetUUID(device, uuid, length);
      if (code !== 0) fail("nvmlDeviceGetUUID", code);
    },
    nvmlDeviceGetMemoryInfo(device, memory) {
      const code = nvmlDeviceGetMemoryInfo(device, memory);
      if (code !== 0) fail("nvmlDeviceGetMemoryInfo", code);
    },
    nvmlDeviceGetUtilizationRates(device, utilization) {
      const code = nvmlDeviceGetUtilizationRates(device, utilization);
      if (code !== 0) fail("nvmlDeviceGetUtilizationRates", code);
    },
    nvmlDeviceGetTemperature(device, sensorType, temp) {
      const code = nvmlDeviceGetTemperature(device, sensorType, temp);
      if (code !== 0) fail("nvmlDeviceGetTemperature", code);
    },
    nvmlDeviceGetPowerUsage(device, power) {
      const code = nvmlDeviceGetPowerUsage(device, power);
      if (code !== 0) fail("nvmlDeviceGetPowerUsage", code);
    },
    nvmlDeviceGetClockInfo(device, type, clock) {
      const code = nvmlDeviceGetClockInfo(device, type, clock);
      if (code !== 0) fail("nvmlDeviceGetClockInfo", code);
    },
    nvmlDeviceGetMaxClockInfo(device, type, clock) {
      const code = nvmlDeviceGetMaxClockInfo(device, type, clock);
      if (code !== 0) fail("nvmlDeviceGetMaxClockInfo", code);
    },
    nvmlDeviceGetCurrentClocksThrottleReasons(device, clocksThrottleReasons) {
      const code = nvmlDeviceGetCurrentClocksThrottleReasons(device, clocksThrottleReasons);
      if (code !== 0) fail("nvmlDeviceGetCurrentClocksThrottleReasons", code);
    },
  };
}
