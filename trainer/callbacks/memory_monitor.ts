import { backendOf } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode memoryMonitor}. */
export interface MemoryMonitorOptions {
  /** Optimizer steps between two records; only the ends of epochs when left out. */
  readonly every?: number;
}

const mib = (bytes: number) => bytes / 2 ** 20;
const facts = { unit: "MiB", direction: "lower" } as const;

/**
 * Records memory in MiB, the largest of all ranks: `memory_alive` (device buffers in use), `memory_peak` (the most so far in this process) and
 * `memory_resident` (of the process on its machine) at the end of each epoch. With `every`, this rank's `step_memory_alive` and `step_memory_peak` too.
 */
export function memoryMonitor(options: MemoryMonitorOptions = {}): Callback {
  const { every = Infinity } = options;
  const stats = (trainer: Trainer) => backendOf(trainer.lossTracker.device).stats;
  return callback({
    name: "memoryMonitor",
    onTrainStepEnd: (trainer, { isOptimizerStep }) => {
      const step = trainer.numUpdates, { bytesAlive, bytesPeak } = stats(trainer);
      if (!isOptimizerStep || step % every !== 0) return;
      trainer.runHistory.record("step_memory_alive", mib(bytesAlive), { ...facts, step });
      trainer.runHistory.record("step_memory_peak", mib(bytesPeak), { ...facts, step });
    },
    onTrainEpochEnd: (trainer) => {
      const { bytesAlive, bytesPeak } = stats(trainer);
      const [alive, peak, resident] = trainer.reduce(
        [bytesAlive, bytesPeak, Deno.memoryUsage().rss],
        "max",
      );
      trainer.runHistory.record("memory_alive", mib(alive), facts);
      trainer.runHistory.record("memory_peak", mib(peak), facts);
      trainer.runHistory.record("memory_resident", mib(resident), facts);
    },
  });
}
