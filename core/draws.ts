/** Draw numbers as device data: a kernel reads (seed, draw) from memory, so a captured step can be replayed with the next draw. */
import type { Node } from "./node.ts";
import type { Generator } from "./rng.ts";
import { hostNode } from "./tensor/base.ts";

let refresh: ((again: () => void) => void) | undefined;

/** Sets who is told how to draw again, and returns who was told before. See `capture`. */
export function setDrawRecorder(
  recorder: ((again: () => void) => void) | undefined,
): ((again: () => void) => void) | undefined {
  const before = refresh;
  refresh = recorder;
  return before;
}

let recorded: Node[] | undefined;
let replayed: Node[] | undefined;

/** Runs `fn` and returns the draws that it made, in order. */
export function recordDraws<T>(fn: () => T): { result: T; draws: readonly Node[] } {
  const before = recorded, draws: Node[] = recorded = [];
  try {
    return { result: fn(), draws };
  } finally {
    recorded = before;
    before?.push(...draws);
  }
}

/** Runs `fn` with the same draws again: random operations find them in memory and no generator moves. */
export function replayDraws<T>(draws: readonly Node[], fn: () => T): T {
  const before = replayed;
  replayed = [...draws];
  try {
    return fn();
  } finally {
    replayed = before;
  }
}

/** Whether a computation is being repeated, so that what it changes in place must stay as it is. */
export function isReplaying(): boolean {
  return replayed !== undefined;
}

/** The int32 words (seed low, seed high, draw) of the next draw of a generator. */
export function nextDraw(generator: Generator, low: number, high: number, device: string): Node {
  const known = replayed?.shift();
  if (known !== undefined) {
    recorded?.push(known);
    return known;
  }
  if (replayed !== undefined) {
    throw new Error(
      "Cannot repeat a computation: it draws more random numbers than the first time",
    );
  }
  const node = hostNode(Int32Array.of(low, high, generator.next()), [3], "int32", device);
  if (refresh !== undefined) {
    const storage = node.storage!;
    refresh(() => {
      const words = Int32Array.of(low, high, generator.next());
      storage.backend.write(storage.buffer, words);
    });
  }
  recorded?.push(node);
  return node;
}
