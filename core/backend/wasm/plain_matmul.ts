/** The plain twin of the packed products: any dtype, any strides, sums in float64. */
import type { Buffer, Launch, RoutineCall } from "../../device.ts";
import { codecs, dtypes, roundTo } from "../../dtype.ts";
import type { WasmMemory } from "./memory.ts";

type Elements = { [index: number]: number | bigint };

/** A product by three loops. */
export function plainProduct(
  call: RoutineCall<"matmul">,
  buffers: readonly Buffer[],
  memory: WasmMemory,
): Launch {
  const [a, b, c] = call.operands, rank = c.shape.length, { dtype } = c;
  const [m, n] = c.shape.slice(-2), k = a.shape[rank - 1];
  const batch = c.shape.slice(0, -2).reduce((x, y) => x * y, 1);
  const starts = buffers.map((x) => memory.address(x) / dtypes[x.dtype].bytes);
  const { decode, encode } = codecs[dtype];
  /** First elements of the matrices of one batch index. */
  const offsets = (index: number): number[] => {
    const at = call.operands.map((o, i) => starts[i] + o.offset);
    for (let d = rank - 3, rest = index; d >= 0; d--) {
      const i = rest % c.shape[d];
      rest = Math.floor(rest / c.shape[d]);
      call.operands.forEach((o, which) => at[which] += i * o.strides[d]);
    }
    return at;
  };
  return () => {
    const [av, bv, cv] = buffers.map((x) => memory.view(x.dtype) as unknown as Elements);
    for (let index = 0; index < batch; index++) {
      const [a0, b0, c0] = offsets(index);
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          const at = c0 + i * c.strides[rank - 2] + j * c.strides[rank - 1];
          let sum = call.params.accumulate ? decode(cv[at]) : 0;
          for (let p = 0; p < k; p++) {
            sum += decode(av[a0 + i * a.strides[rank - 2] + p * a.strides[rank - 1]]) *
              decode(bv[b0 + p * b.strides[rank - 2] + j * b.strides[rank - 1]]);
          }
          cv[at] = encode(roundTo(dtype, sum));
        }
      }
    }
  };
}
