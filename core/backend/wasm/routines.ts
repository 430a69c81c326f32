/** Routines (plain). */
import type { Buffer, RoutineCall, Routines } from "../../device.ts";
import { codecs, dtypes, roundTo } from "../../dtype.ts";
import { allReduce } from "../collective.ts";
import type { WasmMemory } from "./memory.ts";
import type { Pool } from "./pool.ts";
/** Options. */
export interface RoutineOptions {
  readonly blas?: string;
}
/** Plain routines. */
export function makeRoutines(memory: WasmMemory, _pool: Pool, _o: RoutineOptions): Routines {
  return {
    matmul: (call: RoutineCall<"matmul">, buffers: readonly Buffer[]) => ({
      start: () => {
        const [a, b, c] = call.operands;
        const [A, B, C] = buffers.map((x) => memory.view(x.dtype) as Float32Array);
        const [pa, pb, pc] = buffers.map((x) => memory.address(x) / dtypes[x.dtype].bytes);
        const d = a.dtype, { decode, encode } = codecs[d];
        const r = c.shape.length, [M, N] = c.shape.slice(-2), K = a.shape[r - 1];
        const batch = c.shape.slice(0, -2).reduce((x, y) => x * y, 1);
        for (let q = 0; q < batch; q++) {
          let oa = pa + a.offset, ob = pb + b.offset, oc = pc + c.offset;
          for (let t = r - 3, z = q; t >= 0; t--) {
            const i = z % c.shape[t];
            z = Math.floor(z / c.shape[t]);
            oa += i * a.strides[t];
            ob += i * b.strides[t];
            oc += i * c.strides[t];
          }
          for (let i = 0; i < M; i++) {
            for (let j = 0; j < N; j++) {
              let s = 0;
              for (let k = 0; k < K; k++) {
                s += decode(A[oa + i * a.strides[r - 2] + k * a.strides[r - 1]]) *
                  decode(B[ob + k * b.strides[r - 2] + j * b.strides[r - 1]]);
              }
              const at = oc + i * c.strides[r - 2] + j * c.strides[r - 1];
              (C as unknown as Record<number, number | bigint>)[at] = encode(roundTo(d, s));
            }
          }
        }
      },
    }),
    allReduce: (call, buffers) => {
      const [x] = buffers, at = memory.address(x) / dtypes[x.dtype].bytes;
      return allReduce(call, { read: () => (memory.view(x.dtype) as Float32Array).subarray(at, at + x.length) });
    },
  };
}
