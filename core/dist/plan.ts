/** How a collective travels around the ring: which pieces a rank sends and receives, in which order. */
import type { Collective, CollectiveName, CommArray, CommDType, ReduceOp } from "./collective.ts";
import { DTYPE_NAMES, DTYPES } from "./collective.ts";
import { fromBfloat16Bits, toBfloat16Bits } from "../dtype.ts";
import { CHUNK } from "./frames.ts";

/** Elements `start` to `end` of the data. */
export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** A piece to send, once so many pieces have been received. */
export interface SendPiece extends Piece {
  readonly after: number;
}

/** A piece to receive: reduced into the data, or put in its place; `finish` on the one that completes a reduction. */
export interface ReceivePiece extends Piece {
  readonly reduces: boolean;
  readonly finish: boolean;
}

/** The part of one rank. */
export interface RingPlan {
  readonly sends: SendPiece[];
  readonly receives: ReceivePiece[];
}

/** Below this number of elements the data travels whole: more pieces would only cost more messages. */
const WHOLE = 4096;

/**
 * The part of `rank` in a collective over `length` elements. Each segment of a reduction goes once around the ring, so
 * it is summed in one order, and the sum is then handed on: all ranks hold the same bits.
 */
export function planRing(call: Collective, length: number, rank: number, n: number): RingPlan {
  const bytes = DTYPES[call.dtype].bytes;
  const steps = STEPS[call.name](n);
  if (steps === undefined) return planBroadcast(call, length, rank, n, bytes);
  const even = call.name === "reduceScatter" || call.name === "allGather";
  const size = even
    ? length / n
    : length <= WHOLE
    ? length
    : Math.min(length, (Math.ceil(length / n) + 15) & ~15);
  const pieces = (segment: number) => {
    const from = Math.min(length, segment * size);
    return cut(from, Math.min(length, from + size), bytes);
  };
  const sends: SendPiece[] = [];
  const receives: ReceivePiece[] = [];
  // before[j]: how many pieces have been received once piece j of the step before is there
  let before: number[] = [];
  for (let k = steps.from; k < steps.to; k++) {
    // step k of 2n - 2 sends segment rank - k - 1; the first n - 1 steps reduce, the others hand on
    pieces(mod(rank - k - 1, n)).forEach((p, j) => sends.push({ ...p, after: before[j] ?? 0 }));
    before = [];
    for (const p of pieces(mod(rank - k - 2, n))) {
      receives.push({ ...p, reduces: k < n - 1, finish: k === n - 2 });
      before.push(receives.length);
    }
  }
  return { sends, receives };
}

/** Range of steps of the ring all-reduce; none for what is no ring of segments. */
const STEPS: Record<CollectiveName, (n: number) => { from: number; to: number } | undefined> = {
  allReduce: (n) => ({ from: 0, to: 2 * n - 2 }),
  barrier: (n) => ({ from: 0, to: 2 * n - 2 }),
  reduceScatter: (n) => ({ from: 0, to: n - 1 }),
  allGather: (n) => ({ from: n - 1, to: 2 * n - 2 }),
  broadcast: () => undefined,
  announce: () => ({ from: 0, to: 0 }),
};

/** From the root to its successor and on, until the rank before the root. */
function planBroadcast(
  { root }: Collective,
  length: number,
  rank: number,
  n: number,
  bytes: number,
): RingPlan {
  const pieces = cut(0, length, bytes);
  const receives = rank === root
    ? []
    : pieces.map((p) => ({ ...p, reduces: false, finish: false }));
  const sends = mod(rank + 1, n) === root
    ? []
    : pieces.map((p, j) => ({ ...p, after: rank === root ? 0 : j + 1 }));
  return { sends, receives };
}

function cut(from: number, to: number, bytes: number): Piece[] {
  const pieces: Piece[] = [];
  const step = CHUNK / bytes;
  for (let start = from; start < to; start += step) {
    pieces.push({ start, end: Math.min(to, start + step) });
  }
  return pieces;
}

function mod(a: number, n: number): number {
  return ((a % n) + n) % n;
}

/** Combines received values into the data at `at`; `n` is the divisor of the last step, otherwise 1. */
type Combine = (data: CommArray, at: number, values: CommArray, n: number) => void;

/** One set of loops per dtype, so that each stays specialised for its type. */
export const COMBINE = Object.fromEntries(
  DTYPE_NAMES.map((dtype) => [dtype, dtype === "bfloat16" ? makeBfloat16() : makeCombine()]),
) as Record<CommDType, Record<ReduceOp, Combine>>;

/** The same for bits of bfloat16: each step rounds, as on a GPU. */
function makeBfloat16(): Record<ReduceOp, Combine> {
  const loop =
    (f: (a: number, b: number, n: number) => number): Combine => (data, at, values, n) => {
      for (let i = 0; i < values.length; i++) {
        const a = fromBfloat16Bits(data[at + i] as number),
          b = fromBfloat16Bits(values[i] as number);
        data[at + i] = toBfloat16Bits(f(a, b, n));
      }
    };
  return {
    sum: loop((a, b) => a + b),
    mean: loop((a, b, n) => (a + b) / n),
    max: loop((a, b) => Math.max(a, b)),
    min: loop((a, b) => Math.min(a, b)),
  };
}

// The loops are written for numbers and run for BigInt64Array as well: the operators are the same.
function makeCombine(): Record<ReduceOp, Combine> {
  // four at a time over a view of its own: a quarter less time than the plain loop
  const sum = (data: Float32Array, at: number, values: Float32Array) => {
    const n = values.length, whole = n - n % 4, to = data.subarray(at, at + n);
    for (let i = 0; i < whole; i += 4) {
      to[i] += values[i];
      to[i + 1] += values[i + 1];
      to[i + 2] += values[i + 2];
      to[i + 3] += values[i + 3];
    }
    for (let i = whole; i < n; i++) to[i] += values[i];
  };
  const divide = (data: Float32Array, at: number, values: Float32Array, n: number) => {
    for (let i = 0; i < values.length; i++) data[at + i] = (data[at + i] + values[i]) / n;
  };
  const mean = (data: Float32Array, at: number, values: Float32Array, n: number) =>
    n === 1 ? sum(data, at, values) : divide(data, at, values, n);
  // a NaN wins on every rank
  const max = (data: Float32Array, at: number, values: Float32Array) => {
    for (let i = 0; i < values.length; i++) {
      const x = values[i];
      if (x > data[at + i] || x !== x) data[at + i] = x;
    }
  };
  const min = (data: Float32Array, at: number, values: Float32Array) => {
    for (let i = 0; i < values.length; i++) {
      const x = values[i];
      if (x < data[at + i] || x !== x) data[at + i] = x;
    }
  };
  return { sum, mean, max, min } as unknown as Record<ReduceOp, Combine>;
}
