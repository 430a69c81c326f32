/** The routines that are kernels of our own, to be laid over the host's plain loops. */
import type { RoutineName, Routines } from "../../device.ts";
import {
  cudaConvolution,
  cudaConvolutionInput,
  cudaConvolutionWeight,
} from "./routine_convolution.ts";
import { cudaMatmul } from "./routine_matmul.ts";
import { cudaMaxPool, cudaPoolScatter } from "./routine_pooling.ts";
import { cudaRecurrence, cudaScan } from "./routine_scan.ts";
import { cudaScatterReduce } from "./routine_scatter.ts";
import { cudaSearch } from "./routine_search.ts";
import { cudaArgsort } from "./routine_sort.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Routines that run on the device without a vendor's library. */
export type KernelRoutineName = Extract<
  RoutineName,
  | "matmul"
  | "convolution"
  | "convolutionInput"
  | "convolutionWeight"
  | "maxPool"
  | "poolScatter"
  | "scan"
  | "recurrence"
  | "argsort"
  | "search"
  | "scatterReduce"
>;

/**
 * Routines as kernels of our own. All of them only launch: they can be captured.
 * @param runtime The device
 */
export function cudaRoutines(runtime: CudaRuntime): Pick<Routines, KernelRoutineName> {
  return {
    matmul: cudaMatmul(runtime),
    convolution: cudaConvolution(runtime),
    convolutionInput: cudaConvolutionInput(runtime),
    convolutionWeight: cudaConvolutionWeight(runtime),
    maxPool: cudaMaxPool(runtime),
    poolScatter: cudaPoolScatter(runtime),
    scan: cudaScan(runtime),
    recurrence: cudaRecurrence(runtime),
    argsort: cudaArgsort(runtime),
    search: cudaSearch(runtime),
    scatterReduce: cudaScatterReduce(runtime),
  };
}
