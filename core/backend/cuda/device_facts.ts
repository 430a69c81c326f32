/** The CUDA driver, and the devices that this process sees. */
import { CUdevice_attribute, type DriverCalls, openDriver, textOf } from "@pta/ffi";
import { env } from "../../env.ts";

/** What a device is. */
export interface DeviceFacts {
  /** Place among the devices that the process sees. */
  readonly ordinal: number;
  /** Product name. */
  readonly name: string;
  /** Compute capability, such as `[9, 0]`. */
  readonly capability: readonly [major: number, minor: number];
  /** Multiprocessors. */
  readonly processors: number;
  /** Bytes of memory. */
  readonly memory: number;
  /** Bytes of shared memory that a block may ask for. */
  readonly sharedPerBlock: number;
}

const one = new Int32Array(1), long = new BigUint64Array(1);

/** Opens the driver once a process. */
let driver: DriverCalls | undefined;

/**
 * The CUDA driver, initialised.
 * @throws {Error} When it cannot be opened; lists each place that was tried
 * @throws {CudaError} When it finds no device
 */
export function cudaDriver(): DriverCalls {
  if (driver === undefined) {
    const { calls } = openDriver();
    calls.cuInit(0);
    driver = calls;
  }
  return driver;
}

/** Devices that this process sees. */
export function deviceCount(): number {
  cudaDriver().cuDeviceGetCount(one);
  return one[0];
}

/** The facts of a device. */
export function deviceFacts(ordinal: number): DeviceFacts {
  const calls = cudaDriver(), name = new Uint8Array(256);
  calls.cuDeviceGet(one, ordinal);
  const device = one[0];
  const attribute = (which: number): number => {
    calls.cuDeviceGetAttribute(one, which, device);
    return one[0];
  };
  const a = CUdevice_attribute;
  calls.cuDeviceGetName(name, name.length, device);
  calls.cuDeviceTotalMem(long, device);
  return {
    ordinal,
    name: textOf(name),
    memory: Number(long[0]),
    capability: [
      attribute(a.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
      attribute(a.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
    ],
    processors: attribute(a.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
    sharedPerBlock: attribute(a.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
  };
}

/** The device that this process computes on when nobody says: that of its local rank, or the only one. */
export function defaultOrdinal(): number {
  const local = Number(env("LOCAL_RANK") ?? 0);
  return deviceCount() === 1 ? 0 : local;
}
