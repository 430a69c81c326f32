/** The order of recorded launches: those that do not depend on each other come together, so that their kernels can become one. */
import type { Launch } from "../../device.ts";
import type { BoundKernel } from "./kernels.ts";

/** What a launch does with memory, by device address of the buffers. */
export interface LaunchFacts {
  /** Addresses of buffers that it reads. */
  readonly reads: readonly number[];
  /** Addresses of buffers that it writes, or reads and writes. */
  readonly writes: readonly number[];
  /** What it launches, when that is a printed kernel. */
  readonly kernel?: BoundKernel;
}

/** A recorded launch; without facts it keeps its place: nothing moves past it. */
export interface Recorded {
  /** Runs it. */
  readonly launch: Launch;
  /** What is known of it. */
  readonly facts: LaunchFacts | undefined;
}

/**
 * Launches by level: each depends only on those of earlier levels, and stands as late as those that depend on it allow. So the updates of all parameters of a
 * model, which nobody in the step waits for, end up side by side.
 */
export function levels(launches: readonly Recorded[]): Recorded[][] {
  /** Lowest level, counted from the end, at which a buffer may be written, or read, by an earlier launch. */
  const writable = new Map<number, number>(), readable = new Map<number, number>();
  let floor = 0, deepest = -1;
  const byLevel: Recorded[][] = [];
  for (const recorded of [...launches].reverse()) {
    const { facts } = recorded;
    let level = floor;
    if (facts === undefined) {
      level = deepest + 1;
      floor = level + 1;
    } else {
      const above = (at: ReadonlyMap<number, number>, pointers: readonly number[]) => {
        for (const p of pointers) level = Math.max(level, at.get(p) ?? 0);
      };
      const raise = (at: Map<number, number>, p: number) =>
        at.set(p, Math.max(at.get(p) ?? 0, level + 1));
      above(writable, facts.writes);
      above(readable, facts.reads);
      for (const p of facts.writes) {
        raise(writable, p);
        raise(readable, p);
      }
      for (const p of facts.reads) raise(writable, p);
    }
    deepest = Math.max(deepest, level);
    (byLevel[level] ??= []).unshift(recorded);
  }
  return byLevel.reverse();
}
