import { checkCollective, type Collective, type CommArray, type ReduceOp } from "./collective.ts";
import { fromBfloat16Bits, toBfloat16Bits } from "../dtype.ts";
import type { Comm, Work } from "./comm.ts";

const DONE: Work = { wait() {} };

/**
 * A communicator without connections. Of one rank it is exact; of a larger world it behaves as if every rank held the
 * data of this one, so a sum multiplies by the number of ranks.
 */
export class LocalComm implements Comm {
  readonly rank: number;
  readonly worldSize: number;
  #ended = "";

  /** @throws {RangeError} If `rank` is not in the world */
  constructor(rank = 0, worldSize = 1) {
    if (!Number.isInteger(worldSize) || worldSize < 1) {
      throw new RangeError(`Cannot make a world of ${worldSize} ranks: wanted 1 or more`);
    }
    if (!Number.isInteger(rank) || rank < 0 || rank >= worldSize) {
      throw new RangeError(`Cannot be rank ${rank}: wanted 0 to ${worldSize - 1}`);
    }
    this.rank = rank;
    this.worldSize = worldSize;
  }

  allReduce(data: CommArray, op: ReduceOp = "sum", as?: "bfloat16"): Work {
    this.record(checkCollective("allReduce", this.worldSize, { input: data, reduce: op, as }));
    if (op === "sum") times(data, this.worldSize, as);
    return DONE;
  }

  reduceScatter(input: CommArray, output: CommArray, op: ReduceOp = "sum"): Work {
    this.record(checkCollective("reduceScatter", this.worldSize, { input, output, reduce: op }));
    const start = this.rank * output.length;
    copy(input.subarray(start, start + output.length), output, 0);
    if (op === "sum") times(output, this.worldSize);
    return DONE;
  }

  allGather(input: CommArray, output: CommArray): Work {
    this.record(checkCollective("allGather", this.worldSize, { input, output }));
    for (let r = 0; r < this.worldSize; r++) copy(input, output, r * input.length);
    return DONE;
  }

  broadcast(data: CommArray, root = 0): Work {
    this.record(checkCollective("broadcast", this.worldSize, { input: data, root }));
    return DONE;
  }

  barrier(): void {
    this.record(checkCollective("barrier", this.worldSize, { input: new Int32Array(1) }));
  }

  abort(reason = "abort() was called"): void {
    this.#ended ||= reason;
  }

  close(): void {
    this.#ended ||= "the communicator is closed";
  }

  /** Sees every checked call before it is carried out. */
  protected record(call: Collective): void {
    if (this.#ended) throw new Error(`Cannot ${call.name}: ${this.#ended}`);
  }
}

function times(data: CommArray, factor: number, as?: "bfloat16"): void {
  if (factor === 1) return;
  if (as === "bfloat16") {
    for (let i = 0; i < data.length; i++) {
      data[i] = toBfloat16Bits(factor * fromBfloat16Bits(data[i] as number));
    }
  } else if (data instanceof BigInt64Array) {
    for (let i = 0; i < data.length; i++) data[i] *= BigInt(factor);
  } else {
    for (let i = 0; i < data.length; i++) data[i] *= factor;
  }
}

function copy(from: CommArray, to: CommArray, at: number): void {
  // both have the same type, which checkCollective has made sure of
  (to as Float32Array).set(from as Float32Array, at);
}
