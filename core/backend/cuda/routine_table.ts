/** The routines that run on the device, to be laid over the host's plain loops: kernels of our own, and cuDNN where it is there. */
import type { RoutineCall, RoutineName, Routines } from "../../device.ts";
import {
  type ConvolutionName,
  type CudnnConvolutions,
  cudnnConvolutions,
} from "./cudnn_convolution.ts";
import { cudnnNorms, type NormName } from "./cudnn_norm.ts";
import { cudaMatmulFloat8, cudaQuantizeFloat8 } from "./float8_kernels.ts";
import type { CudaBuffer } from "./memory.ts";
import { cudaAttention } from "./routine_attention.ts";
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
import type { CudaRoutine } from "./routine_text.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Routines that run on the device. */
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
  | "quantizeFloat8"
  | "matmulFloat8"
>;

/** Routines that take half-precision operands as they are. */
export const halfRoutines: ReadonlySet<RoutineName> = new Set([
  "matmul",
  "convolution",
  "convolutionInput",
  "convolutionWeight",
  "maxPool",
  "poolScatter",
  "quantizeFloat8",
  "matmulFloat8",
]);

/**
 * Routines of a device. All of them only launch: they can be captured. Convolutions are cuDNN's where it has an engine; `PTA_CUDNN=off` leaves it out.
 * @param runtime The device
 */
export function cudaRoutines(
  runtime: CudaRuntime,
): Pick<Routines, KernelRoutineName | "attention" | "attentionGradient" | NormName> {
  const own = kernelRoutines(runtime);
  const cudnn = () => cudnnConvolutions(runtime);
  return {
    ...own,
    ...cudaAttention(runtime),
    convolution: convolutionBy(cudnn, own.convolution),
    convolutionInput: convolutionBy(cudnn, own.convolutionInput),
    convolutionWeight: convolutionBy(cudnn, own.convolutionWeight),
    batchNorm: normBy(runtime),
    batchNormGradient: normBy(runtime),
  };
}

/** By cuDNN: called only where it has engines; see {@linkcode cudnnNorms}. */
const normBy = <R extends NormName>(runtime: CudaRuntime): CudaRoutine<R> => (call, buffers) => {
  const norms = cudnnNorms(runtime);
  if (norms === undefined) throw new Error(`Cannot run ${call.name}: cuDNN is switched off`);
  const bound = norms.bind(
    call as unknown as RoutineCall<NormName>,
    buffers as readonly CudaBuffer[],
  );
  return { start: bound };
};

/** Whether a routine's operands had better have channels last; see `Backend.channelsLast`. */
export function wantsChannelsLast(runtime: CudaRuntime, call: RoutineCall): boolean {
  // Pooling and normalisation go along with the convolutions around it, as far as its kernels can.
  if (["maxPool", "batchNorm", "batchNormGradient"].includes(call.name)) return true;
  if (call.name === "poolScatter") {
    return (call as RoutineCall<"poolScatter">).params.windows !== undefined;
  }
  return cudnnConvolutions(runtime)?.wantsLast(call as RoutineCall<ConvolutionName>) ?? false;
}

/** By cuDNN, else by our own. */
function convolutionBy<R extends ConvolutionName>(
  cudnn: () => CudnnConvolutions | undefined,
  own: CudaRoutine<R>,
): CudaRoutine<R> {
  return (call, buffers) => {
    const bound = cudnn()?.bind(
      call as unknown as RoutineCall<ConvolutionName>,
      buffers as readonly CudaBuffer[],
    );
    return bound === undefined ? own(call, buffers) : { start: bound };
  };
}

/** The plain twins: kernels of our own. */
export function kernelRoutines(runtime: CudaRuntime): Pick<Routines, KernelRoutineName> {
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
    quantizeFloat8: cudaQuantizeFloat8(runtime),
    matmulFloat8: cudaMatmulFloat8(runtime),
  };
}
