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

/** The int32 words (seed low, seed high, draw) of the next draw of a generator. */
export function nextDraw(generator: Generator, low: number, high: number, device: string): Node {
  const node = hostNode(Int32Array.of(low, high, generator.next()), [3], "int32", device);
  if (refresh !== undefined) {
    const storage = node.storage!;
    refresh(() => {
      const words = Int32Array.of(low, high, generator.next());
      storage.backend.write(storage.buffer, words);
    });
  }
  return node;
}
