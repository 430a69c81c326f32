/**
 * Communicators: the operations that all ranks of a group call together. A call starts the operation and returns at
 * once; `wait()` blocks until the result is there. Operations run in the order of their calls, on every rank the same.
 *
 * @module
 */
import type { CommArray, ReduceOp } from "./collective.ts";
import { LocalComm } from "./local.ts";
import { commTimeout, readRank } from "./rank.ts";
import { TcpComm } from "./tcp.ts";

export { commTimeout };
export type { CommArray, ReduceOp };

/** A started operation. */
export interface Work {
  /**
   * Blocks until the operation is complete and its result is in the caller's memory. Data handed to the operation must
   * not be touched before.
   *
   * @throws {Error} If a rank is lost, stops, calls something else, or nothing moves for `PTA_COMM_TIMEOUT` seconds
   */
  wait(): void;
}

/**
 * A group of ranks. Every rank must make the same calls in the same order with the same types and lengths; a
 * difference is an error that names both ranks and both calls.
 */
export interface Comm {
  /** This process's place in the group, from 0. */
  readonly rank: number;
  /** Number of ranks. */
  readonly worldSize: number;
  /**
   * Replaces `data` on all ranks by its reduction over the ranks; all ranks then hold identical bits.
   *
   * @param data Same length and type on all ranks; reduced in place
   * @param op `sum` by default
   * @param as `bfloat16` when that is what the bits of a `Uint16Array` stand for
   */
  allReduce(data: CommArray, op?: ReduceOp, as?: "bfloat16"): Work;
  /**
   * Reduces `input` over the ranks and leaves part number `rank` of it in `output`.
   *
   * @param input `worldSize * output.length` values; unchanged
   */
  reduceScatter(input: CommArray, output: CommArray, op?: ReduceOp): Work;
  /**
   * Joins the `input` of all ranks in `output`, in order of rank.
   *
   * @param output `worldSize * input.length` values
   */
  allGather(input: CommArray, output: CommArray): Work;
  /** Replaces `data` on all ranks by that of rank `root` (0 by default). */
  broadcast(data: CommArray, root?: number): Work;
  /** Blocks until all ranks have called it. */
  barrier(): void;
  /** Ends the group with an error on all ranks. */
  abort(reason?: string): void;
  /** Leaves the group in good order, when no more operations will follow. */
  close(): void;
}

const communicators = new Map<string, Comm>();

/**
 * The communicator of a group; that of `"world"` is made on first use.
 *
 * @throws {RangeError} If no such group was registered
 */
export function communicator(group = "world"): Comm {
  const comm = communicators.get(group);
  if (comm !== undefined) return comm;
  if (group === "world") return initComm();
  throw new RangeError(
    `Cannot find the communicator "${group}": known are ${
      [...communicators.keys()].join(", ") || "none"
    }`,
  );
}

/** Registers the communicator of a group; `undefined` removes it. Returns the one that was there before. */
export function setCommunicator(comm: Comm | undefined, group = "world"): Comm | undefined {
  const before = communicators.get(group);
  if (comm === undefined) communicators.delete(group);
  else communicators.set(group, comm);
  return before;
}

/**
 * Makes and registers the communicator of all ranks: `tcp` when the environment names more than one rank, otherwise a
 * local one. Blocks until all ranks have joined. A second call returns the same communicator.
 *
 * @throws {RangeError} If the environment variables of the rank are wrong
 * @throws {Error} If the ranks do not meet within `PTA_COMM_TIMEOUT` seconds
 */
export function initComm(): Comm {
  const known = communicators.get("world");
  if (known !== undefined) return known;
  const rank = readRank();
  const comm = rank.worldSize === 1 ? new LocalComm() : TcpComm.join(rank, commTimeout());
  communicators.set("world", comm);
  return comm;
}
