/** Sums over ranks on the GPUs: NCCL, started through the communicator that the ranks already have. */
import {
  address,
  type NcclCalls,
  ncclConfig,
  ncclDataType_t,
  NcclError,
  ncclRedOp_t,
  openNccl,
} from "@pta/ffi";
import { log } from "../../debug.ts";
import type { RoutineCall, RoutineLaunch } from "../../device.ts";
import type { DType } from "../../dtype.ts";
import { type Comm, commTimeout, communicator } from "../../dist/comm.ts";
import { TcpComm } from "../../dist/tcp.ts";
import { env } from "../../env.ts";
import type { CudaBuffer } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";

const dataTypes: { readonly [D in DType]?: number } = {
  float32: ncclDataType_t.ncclFloat32,
  float64: ncclDataType_t.ncclFloat64,
  float16: ncclDataType_t.ncclFloat16,
  bfloat16: ncclDataType_t.ncclBfloat16,
  int32: ncclDataType_t.ncclInt32,
  int64: ncclDataType_t.ncclInt64,
};
const IN_PROGRESS = 7;

/** Lets the processor go for about the given time; the event loop does not run. */
const rest = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/**
 * The ranks of a communicator on their GPUs. Collectives run on a stream of their own, in the order of the calls, which must be the same on all
 * ranks; events order them with the computing stream, so they can be captured.
 */
export class NcclGroup {
  readonly #runtime: CudaRuntime;
  readonly #calls: NcclCalls;
  readonly #comm: bigint;
  readonly #stream: bigint;
  readonly #worldSize: number;
  readonly #ranks: Comm;
  readonly #events: Map<number, { readonly ready: bigint; readonly done: bigint }> = new Map();
  /** Operations that also scale, by factor and dtype. */
  readonly #scalings: Map<string, number> = new Map();

  /**
   * Joins the group; all ranks must.
   *
   * @param runtime The device of this rank
   * @param comm Carries the unique id
   * @throws {NcclError} When the group cannot be made, or not in `PTA_COMM_TIMEOUT` seconds
   */
  constructor(runtime: CudaRuntime, calls: NcclCalls, comm: Comm) {
    this.#runtime = runtime;
    this.#calls = calls;
    this.#worldSize = comm.worldSize;
    const id = new Uint8Array(128), at = new BigUint64Array(1), version = new Int32Array(1);
    if (comm.rank === 0) calls.ncclGetUniqueId(id);
    // encrypted: whoever has the id may join
    if (comm instanceof TcpComm) comm.share(id, 0);
    else comm.broadcast(id, 0).wait();
    calls.ncclGetVersion(version);
    runtime.activate();
    // Without blocking, so that a rank that never comes is an error and not a hang.
    const config = ncclConfig(version[0], { blocking: 0 });
    const made = calls.ncclCommInitRankScalable(at, comm.worldSize, comm.rank, 1, id, config);
    this.#comm = at[0];
    if (made === IN_PROGRESS) this.#settle("ncclCommInitRankScalable");
    this.#stream = runtime.newStream();
    log(1, `NCCL ${version[0]}: rank ${comm.rank} of ${comm.worldSize}`);
    this.#ranks = comm;
    runtime.onWait(() => this.#check("a collective"));
  }

  /** Sums a buffer in place over the ranks and scales it, beside the computing stream until `wait`. */
  allReduce(call: RoutineCall<"allReduce">, buffer: CudaBuffer): RoutineLaunch | undefined {
    const type = dataTypes[buffer.dtype], { scale } = call.params;
    if (type === undefined) return undefined;
    const { driver, stream } = this.#runtime, own = this.#stream, nccl = this.#calls;
    const op = this.#scaled(scale, type, buffer.dtype);
    const { ready, done } = this.#eventsOf(buffer.pointer);
    return {
      start: () => {
        driver.cuEventRecord(ready, stream);
        driver.cuStreamWaitEvent(own, ready, 0);
        const { pointer, length } = buffer;
        announce(this.#ranks, buffer.dtype, length);
        const code = nccl.ncclAllReduce(pointer, pointer, length, type, op, this.#comm, own);
        if (code === IN_PROGRESS) this.#settle("ncclAllReduce");
        driver.cuEventRecord(done, own);
      },
      wait: () => driver.cuStreamWaitEvent(stream, done, 0),
    };
  }

  /** Events of the sum of a buffer: steps that are not captured bind anew each time, mostly to the same memory. */
  #eventsOf(pointer: number): { readonly ready: bigint; readonly done: bigint } {
    let events = this.#events.get(pointer);
    if (events === undefined) {
      events = { ready: this.#runtime.newEvent(), done: this.#runtime.newEvent() };
      this.#events.set(pointer, events);
    }
    return events;
  }

  /** The reduction that also scales. */
  #scaled(scale: number, type: number, dtype: DType): number {
    if (scale === 1) return ncclRedOp_t.ncclSum;
    if (scale === 1 / this.#worldSize) return ncclRedOp_t.ncclAvg;
    const key = `${scale} ${dtype}`, known = this.#scalings.get(key);
    if (known !== undefined) return known;
    const op = new Int32Array(1);
    const scalar = dtype === "float64" ? Float64Array.of(scale) : Float32Array.of(scale);
    if (dtype !== "float64" && dtype !== "float32") {
      throw new TypeError(`Cannot sum ${dtype} over the ranks with the factor ${scale}`);
    }
    // 1: the scalar lies in host memory and is read now.
    this.#calls.ncclRedOpCreatePreMulSum(op, address(scalar), type, 1, this.#comm);
    this.#scalings.set(key, op[0]);
    return op[0];
  }

  /** Waits until an operation that was left in progress has been accepted. */
  #settle(what: string): void {
    const end = Date.now() + commTimeout() * 1000;
    while (this.#check(what) === IN_PROGRESS) {
      if (Date.now() > end) {
        this.#calls.ncclCommAbort(this.#comm);
        throw new NcclError({
          call: what,
          code: IN_PROGRESS,
          status: "ncclInProgress",
          text: `not all ranks came within ${commTimeout()} s`,
        });
      }
      rest(1);
    }
  }

  /** What NCCL says of the communicator; raises an error that has happened meanwhile, here or on another rank. */
  #check(what: string): number {
    try {
      if (this.#ranks instanceof TcpComm) this.#ranks.check();
    } catch (error) {
      this.#calls.ncclCommAbort(this.#comm);
      throw error;
    }
    const state = new Int32Array(1);
    this.#calls.ncclCommGetAsyncError(this.#comm, state);
    if (state[0] === 0 || state[0] === IN_PROGRESS) return state[0];
    const text = this.#calls.ncclGetLastError(this.#comm);
    // Kernels that wait for a rank that is gone end only so.
    this.#calls.ncclCommAbort(this.#comm);
    throw new NcclError({
      call: what,
      code: state[0],
      status: this.#calls.ncclGetErrorString(state[0]),
      text,
    });
  }
}

/** Ranks that call different things would wait for each other for ever; beside NCCL they compare what they call. */
function announce(comm: Comm, dtype: DType, length: number): void {
  if (comm instanceof TcpComm && dtype !== "bool") comm.announce(dtype, length);
}

const groups = new WeakMap<Comm, NcclGroup | "none">();

/**
 * The NCCL side of a group of processes; undefined when some rank has no NCCL, or `PTA_NCCL=off`: the sums then go through the host. All ranks must ask at
 * the same point.
 */
export function ncclGroup(runtime: CudaRuntime, name: string): NcclGroup | undefined {
  const comm = communicator(name);
  if (!(comm instanceof TcpComm)) return undefined;
  let group = groups.get(comm);
  if (group === undefined) {
    let calls: NcclCalls | undefined, reason = "PTA_NCCL is off";
    if (env("PTA_NCCL") !== "off") {
      try {
        calls = openNccl().calls;
      } catch (error) {
        reason = (error as Error).message;
      }
    }
    const all = Int32Array.of(calls === undefined ? 0 : 1);
    comm.allReduce(all, "min").wait();
    if (all[0] === 0) {
      log(1, `gradients go through the host: ${calls ? "another rank has no NCCL" : reason}`);
    }
    group = all[0] === 1 && calls ? new NcclGroup(runtime, calls, comm) : "none";
    groups.set(comm, group);
  }
  return group === "none" ? undefined : group;
}
