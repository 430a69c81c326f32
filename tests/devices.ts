/** One test for each device there is. */
import "@pta/core/backend";
import { backendOf, clearPlans, setDefaultDevice, settings, stepScope } from "@pta/core";

/** Devices that compute; `null` only counts. `PTA_TEST_DEVICES=cuda` runs the same tests on a GPU, or on its emulator. */
export const devices: readonly string[] = Deno.env.get("PTA_TEST_DEVICES")?.split(",") ??
  ["ref", "cpu"];

/** Why a device cannot be used here, or undefined when it can. */
export function missing(device: string): string | undefined {
  try {
    backendOf(device);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Runs `fn` with a default device, and with fusion as asked; frees what it realized. */
export function on<T>(device: string, fn: () => T, options: { fuse?: boolean } = {}): T {
  const before = setDefaultDevice(device), fused = settings.fuse;
  const fuse = options.fuse ?? fused;
  if (fuse !== fused) clearPlans();
  settings.fuse = fuse;
  const scope = stepScope();
  try {
    return fn();
  } finally {
    scope[Symbol.dispose]();
    settings.fuse = fused;
    if (fuse !== fused) clearPlans();
    setDefaultDevice(before);
  }
}

/** Registers a test that runs on the reference alone. */
export const onRef = (name: string, fn: () => void): void => Deno.test(name, () => on("ref", fn));

/** Registers `name` once for each device, ignored with the reason where the device is absent. */
export function eachDevice(name: string, fn: (device: string) => void): void {
  for (const device of devices) {
    const reason = missing(device);
    Deno.test({
      name: `${name} [${device}${reason === undefined ? "" : `: ${reason}`}]`,
      ignore: reason !== undefined,
      fn: () => on(device, () => fn(device)),
    });
  }
}
