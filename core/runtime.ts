/** The registry of devices. Backends register themselves when the public module is imported and are opened on first use. */
import type { Backend } from "./device.ts";
import { log } from "./debug.ts";
import { env } from "./env.ts";

const makers = new Map<string, () => Backend>();
const aliases = new Map<string, () => string>();
const open = new Map<string, Backend>();
let chosen: string | undefined;

/** Makes a device available under a name; nothing is opened yet. */
export function registerBackend(name: string, make: () => Backend): void {
  makers.set(name, make);
}

/** Makes a name that stands for one of several devices, such as `cuda`; which one is found out at each use. */
export function registerAlias(name: string, find: () => string): void {
  aliases.set(name, find);
}

/**
 * The full name of a device: `cuda` is `cuda:0`, or the GPU of the local rank; nothing is the default device.
 * @throws {Error} When the name stands for devices of which there is none
 */
export function deviceName(name?: string): string {
  return name === undefined ? defaultDevice() : aliases.get(name)?.() ?? name;
}

/**
 * The backend of a device, opened on first use.
 * @throws {RangeError} When no such device is registered; lists those that are
 */
export function backendOf(device: string): Backend {
  let backend = open.get(device) ?? open.get(deviceName(device));
  if (backend === undefined) {
    device = deviceName(device);
    const make = makers.get(device);
    if (make === undefined) {
      throw new RangeError(
        `Cannot use device "${device}": the devices here are ${
          [...makers.keys()].filter((name) => !name.includes(":")).concat(...aliases.keys()).join(
            ", ",
          )
        }`,
      );
    }
    open.set(device, backend = make());
    log(1, `device ${device} is backend ${backend.name}`);
  }
  return backend;
}

/** Devices that have been opened, with their backends. */
export function openBackends(): ReadonlyMap<string, Backend> {
  return open;
}

/** The device of new tensors: `PTA_DEVICE` when set, else `cpu`. */
export function defaultDevice(): string {
  return chosen ??= deviceName(env("PTA_DEVICE") ?? "cpu");
}

/**
 * Sets the device of new tensors and returns the one before.
 * @throws {RangeError} When no such device is registered
 */
export function setDefaultDevice(name: string): string {
  const before = defaultDevice();
  const device = deviceName(name);
  if (!makers.has(device)) backendOf(device);
  chosen = device;
  return before;
}
