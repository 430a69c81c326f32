/** Counters every backend keeps the same way. */
import type { BackendStats } from "../device.ts";

/** Counters at zero. */
export function newStats(): BackendStats {
  return { bytesAlive: 0, bytesPeak: 0, kernels: 0, routines: 0, compiled: 0, reads: 0 };
}

/** Counts bytes taken, or given back when negative. */
export function take(stats: BackendStats, bytes: number): void {
  stats.bytesAlive += bytes;
  stats.bytesPeak = Math.max(stats.bytesPeak, stats.bytesAlive);
}
