/** The named routines: products, convolutions, plain loops and collectives. */
import type { RoutineLaunch, Routines } from "../../device.ts";
import { dtypes } from "../../dtype.ts";
import { allReduce } from "../collective.ts";
import { plainTable } from "../plain/mod.ts";
import { Convolutions } from "./convolution.ts";
import { systemLapack } from "./lapack.ts";
import type { WasmMemory } from "./memory.ts";
import type { Pool } from "./pool.ts";
import { Pooling } from "./pooling.ts";
import { Products, type RoutineOptions } from "./products.ts";

export type { RoutineOptions } from "./products.ts";

/** The routines over a memory and its threads. */
export function makeRoutines(
  memory: WasmMemory,
  pool: Pool,
  options: RoutineOptions = {},
): Routines {
  let opened: { products: Products; convolutions: Convolutions } | undefined;
  const open = () => {
    if (opened === undefined) {
      const products = new Products(memory, pool, options);
      opened = { products, convolutions: new Convolutions(products) };
    }
    return opened;
  };
  const pooling = new Pooling(memory, pool);
  const lapack = systemLapack(options.blas);
  const plain = plainTable((name, run) => (call, buffers): RoutineLaunch => ({
    start: () => {
      const operands = call.operands.map((o, i) => {
        const at = memory.address(buffers[i]) / dtypes[o.dtype].bytes;
        const view = memory.view(o.dtype) as unknown as Float64Array;
        return { ...o, data: view.subarray(at, at + buffers[i].length) };
      });
      const fast = lapack[name] as ((...args: Parameters<typeof run>) => boolean) | undefined;
      if (!fast?.(call.params, operands)) run(call.params, operands);
    },
  }));
  return {
    ...plain,
    convolution: (call, buffers) =>
      open().convolutions.forward(call, buffers) ?? plain.convolution(call, buffers),
    convolutionInput: (call, buffers) =>
      open().convolutions.input(call, buffers) ?? plain.convolutionInput(call, buffers),
    convolutionWeight: (call, buffers) =>
      open().convolutions.weight(call, buffers) ?? plain.convolutionWeight(call, buffers),
    maxPool: (call, buffers) => pooling.maxPool(call, buffers) ?? plain.maxPool(call, buffers),
    poolScatter: (call, buffers) =>
      pooling.scatter(call, buffers) ?? plain.poolScatter(call, buffers),
    matmul: (call, buffers): RoutineLaunch => ({
      start: open().products.bind(call, buffers),
    }),
    allReduce: (call, buffers): RoutineLaunch => {
      const [x] = buffers, { dtype, length } = x;
      const at = memory.address(x) / dtypes[dtype].bytes;
      return allReduce(call, {
        read: () => (memory.view(dtype) as Float32Array).subarray(at, at + length),
      });
    },
  };
}
