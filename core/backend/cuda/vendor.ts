/** NVIDIA's libraries beyond the driver: used when they are there, never needed. */
import { log } from "../../debug.ts";
import { env } from "../../env.ts";
import type { CudaRuntime } from "./runtime.ts";

/**
 * What is opened once for each device, when it is first asked for. Without it, kernels of our own do the work; why is logged.
 *
 * @param variable Name of the switch: `off` leaves it out, `on` makes its absence an error
 * @param open Opens it
 * @returns Gives that of a device; undefined without it
 */
export function oncePerDevice<T>(
  variable: string,
  open: (runtime: CudaRuntime) => T,
): (runtime: CudaRuntime) => T | undefined {
  const opened = new WeakMap<CudaRuntime, { readonly value: T | undefined }>();
  return (runtime) => {
    let known = opened.get(runtime);
    if (known === undefined) {
      known = { value: tryOr(variable, () => open(runtime)) };
      opened.set(runtime, known);
    }
    return known.value;
  };
}

function tryOr<T>(variable: string, open: () => T): T | undefined {
  const wanted = env(variable);
  if (wanted === "off") return undefined;
  try {
    return open();
  } catch (error) {
    if (wanted === "on") throw error;
    log(1, `${variable}: ${(error as Error).message}`);
    return undefined;
  }
}
