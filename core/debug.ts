/** `PTA_DEBUG`: 1 devices and captures, 2 kernels with times, 3 plans, 4 generated source. */
import { env } from "./env.ts";

/** The debug level, 0 to 4. */
export const debug: number = Number(env("PTA_DEBUG") ?? 0) || 0;

/** Prints a line to standard error when the debug level is at least `level`. */
export function log(level: number, text: string): void {
  if (debug >= level) console.error(`pta: ${text}`);
}

const said = new Set<string>();

/** Prints a warning to standard error, each text once. */
export function warnOnce(text: string): void {
  if (said.has(text)) return;
  said.add(text);
  console.error(`pta: ${text}`);
}
