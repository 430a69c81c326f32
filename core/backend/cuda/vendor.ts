/** NVIDIA's libraries beyond the driver: used when they are there, never needed. */
import { log } from "../../debug.ts";
import { env } from "../../env.ts";

/**
 * Opens a library unless a variable says `off`. Without it, kernels of our own do the work; why is logged.
 *
 * @param variable Name of the switch: `off`, or `on` to make its absence an error
 * @param open Opens it
 */
export function tryOr<T>(variable: string, open: () => T): T | undefined {
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
