import { type Collective, describe, DTYPES } from "./collective.ts";
import type { CollectiveName } from "./collective.ts";
import { LocalComm } from "./local.ts";

/** What one kind of collective has cost so far. */
export interface FakeCount {
  calls: number;
  /** Bytes of the data handed in, per rank. */
  bytes: number;
  /** Bytes that each rank would send in a ring. */
  sent: number;
}

/**
 * A large world on one process, for plans and tests: it checks and counts every call and connects to nobody. All ranks
 * are taken to hold the data of this one.
 */
export class FakeComm extends LocalComm {
  /** Every call so far, in order, such as `allReduce(sum) float32[1000]`. */
  readonly log: string[] = [];
  readonly counts: Record<CollectiveName, FakeCount> = {
    allReduce: zero(),
    reduceScatter: zero(),
    allGather: zero(),
    broadcast: zero(),
    barrier: zero(),
    announce: zero(),
  };

  /**
   * @param worldSize Number of ranks to pretend
   * @param rank Which of them this process is
   */
  constructor(worldSize: number, rank = 0) {
    super(rank, worldSize);
  }

  protected override record(call: Collective): void {
    super.record(call);
    this.log.push(describe(call));
    const count = this.counts[call.name];
    const bytes = call.name === "barrier" ? 0 : call.input.length * DTYPES[call.dtype].bytes;
    count.calls++;
    count.bytes += bytes;
    count.sent += bytes * ringShare(call.name, this.worldSize);
  }
}

/** Bytes sent by each rank of a ring, per byte of input; for broadcast the average over the ranks. */
function ringShare(name: CollectiveName, n: number): number {
  const share: Record<CollectiveName, number> = {
    allReduce: 2 * (n - 1) / n,
    reduceScatter: (n - 1) / n,
    allGather: n - 1,
    broadcast: (n - 1) / n,
    barrier: 0,
    announce: 0,
  };
  return share[name];
}

function zero(): FakeCount {
  return { calls: 0, bytes: 0, sent: 0 };
}
