/** Collectives on a backend whose memory the host can see. */
import type { RoutineCall, RoutineLaunch } from "../device.ts";
import { communicator } from "../dist/comm.ts";
import type { CommArray } from "../dist/collective.ts";

/** Host access to the buffer of a collective. */
export interface HostMemory {
  /** The elements: the memory itself, or a copy. */
  read(): CommArray;
  /** Puts elements back; absent when `read` gives the memory itself. */
  write?(data: CommArray): void;
}

/** Sums a buffer over all ranks of a group and scales it, beside the computation until `wait`. */
export function allReduce(call: RoutineCall<"allReduce">, memory: HostMemory): RoutineLaunch {
  const { group, scale } = call.params;
  let running: { data: CommArray; wait: () => void } | undefined;
  return {
    start: () => {
      const data = memory.read();
      // Bits of bfloat16 and raw bits lie in the same kind of array.
      const as = data instanceof Uint16Array ? "bfloat16" : undefined;
      const work = communicator(group).allReduce(data, "sum", as);
      running = { data, wait: () => work.wait() };
    },
    wait: () => {
      if (running === undefined) return;
      const { data, wait } = running;
      running = undefined;
      wait();
      if (scale !== 1) {
        const floats = data as Float32Array | Float64Array;
        for (let i = 0; i < floats.length; i++) floats[i] *= scale;
      }
      memory.write?.(data);
    },
  };
}
