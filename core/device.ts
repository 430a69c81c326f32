/** What a backend is. It knows no mathematics beyond printing kernels and running named routines, and no tensor. */
import type { DType, HostArray } from "./dtype.ts";
import type { FactorParams } from "./factor_params.ts";
import type { Float8Factor, Float8Format } from "./float8_format.ts";
import type { Kernel } from "./kernel.ts";

export type { Float8Factor, Float8Format } from "./float8_format.ts";

/** Device memory of `length` elements. Backends extend it with what they need. */
export interface Buffer {
  /** Dtype of the elements. */
  readonly dtype: DType;
  /** Number of elements. */
  readonly length: number;
}

/** A compiled kernel; what is inside is the backend's own business. */
export interface Executable {
  /** What was compiled. */
  readonly kernel: Kernel;
}

/** A call with every argument bound: run it once or replay it many times. */
export type Launch = () => void;

/** A strided view of a buffer, in elements, as routines take it. */
export interface Operand {
  /** Dtype of the elements. */
  readonly dtype: DType;
  /** Sizes of the dimensions. */
  readonly shape: readonly number[];
  /** Distance in elements for each dimension. */
  readonly strides: readonly number[];
  /** Element where the operand starts. */
  readonly offset: number;
}

/** Arguments of the named routines; operands come in the order stated, the outputs last. */
export interface RoutineParams extends FactorParams {
  /**
   * `[a, b, out]`, each `[...batch, rows, columns]` with equal batch dimensions (stride 0 where broadcast):
   * `out = a @ b`, plus what `out` holds when `accumulate`.
   */
  readonly matmul: { readonly accumulate: boolean };
  /**
   * `[a, b, bias, out]`: `activation(a @ b + bias)`, `a` `[m, k]` and `b` `[k, n]` of any strides, `bias` of n elements, `out` m * n elements
   * in order, its last size n. All of one float dtype; GELU is the form by tanh.
   */
  readonly matmulEpilogue: { readonly activation: Activation };
  /** `[data]`, contiguous: the sum over all ranks, times `scale`, in place. Returns before it is complete; see {@linkcode RoutineLaunch}. */
  readonly allReduce: { readonly group: string; readonly scale: number };
  /** `[x, weight, out]`: `[N, C, ...spatial]` by `[O, C / groups, ...kernel]` gives `[N, O, ...]` (a cross-correlation). */
  readonly convolution: ConvolutionParams;
  /** `[gradient, weight, out]`: gradient of the input of `convolution`, `[N, C, ...spatial]`; also the transposed convolution. */
  readonly convolutionInput: ConvolutionParams;
  /** `[x, gradient, out]`: gradient of the weight of `convolution`, `[O, C / groups, ...kernel]`. */
  readonly convolutionWeight: ConvolutionParams;
  /** `[x, out]`: `[N, C, ...spatial]` to the int32 place in its plane of the first largest element of each window. */
  readonly maxPool: PoolParams;
  /** `[gradient, index, out]`: sums `[..., windows]` into `[..., plane]` at the places that `maxPool` gave, flat in the plane. */
  readonly poolScatter: PoolScatterParams;
  /**
   * `[x, weight, bias, out, mean, scale]`: `out = (x - mean) * scale * weight + bias` of `[N, C, ...]`, where mean and scale, 1 by the deviation, are those of each channel; all
   * of a channel float32.
   */
  readonly batchNorm: BatchNormParams;
  /** `[x, gradient, weight, mean, scale, xGradient, weightGradient, biasGradient]`: gradients of `batchNorm`, given that of `out`. */
  readonly batchNormGradient: BatchNormParams;
  /** `[x, out]`: running `op` along the last dimension; see {@linkcode ScanOp}. */
  readonly scan: { readonly op: ScanOp };
  /** `[a, b, out]`: `out[i] = a[i] * out[i - 1] + b[i]` along the last dimension, from 0. */
  readonly recurrence: Record<never, never>;
  /**
   * `[x, out]`: int32 places that sort the last dimension stably, or as many of the first as the last size of `out` says; NaN counts as the
   * largest.
   */
  readonly argsort: { readonly descending: boolean };
  /**
   * `[sorted, values, out]`, equal leading dimensions or a 1-D `sorted`: int32 place before the first element not below (`right`: above) each
   * value.
   */
  readonly search: { readonly right: boolean };
  /**
   * `[base, index, values, out]` of equal rank: a copy of base in which each value has been joined by `op` to the element at its own place, but
   * with `index` as coordinate `dim`. The index is int32, has the shape of the values, and is no larger than base elsewhere.
   * Raises RangeError for an index out of range.
   */
  readonly scatterReduce: { readonly op: "prod" | "max" | "min"; readonly dim: number };
  /**
   * `[x, path, lengths, out]`: log probabilities `[T, N, C]`, the states `[N, 2 S + 1]` of each target (int32, blanks between its classes) and `[N, 2]` (int32: steps and
   * classes of each sequence) give rows: minus the log likelihood of all alignments, `-impossible` where none fits, and, if `out` has room
   * for them, `T * C` shares of the alignments that pass through each class at each step. Log probabilities below `impossible` count as minus infinity.
   */
  readonly alignments: { readonly blank: number; readonly impossible: number };
  /**
   * `[query, key, value, out, stats]`, the first four `[batch, position, head, element]`, where key and value may have fewer heads, each for equally many
   * of the query's: `out = softmax(query @ key.T * scale) @ value`. `stats` is `[batch, head, position]`, float32 for halves: the logarithm of the sum of
   * the exponentials of each row of scores. The inputs are strided, with their elements beside each other.
   */
  readonly attention: AttentionParams;
  /** `[query, key, value, out, stats, gradient, queryGradient, keyGradient, valueGradient]`: gradients of `attention`, given that of `out`. */
  readonly attentionGradient: AttentionParams;
  /**
   * `[x, scale, out]`: bytes of `x * scale` rounded to eight-bit floats; `x` `[rows, columns]` of any float, `scale` one float32. `out` is uint8 and
   * flat: the rows, padded with zeros to whole multiples of 16, then, with `both`, those of the transpose.
   */
  readonly quantizeFloat8: { readonly format: Float8Format; readonly both: boolean };
  /**
   * `[a, b, aScale, bScale, out]`: `out[m, n] = aScale * bScale * sum over k of a[m, k] * b[n, k]`, from bytes that `quantizeFloat8` has written and
   * one float32 for each; `out` is float32, float16 or bfloat16. `fast` allows sums that tensor cores round more.
   */
  readonly matmulFloat8: {
    readonly a: Float8Factor;
    readonly b: Float8Factor;
    readonly fast: boolean;
  };
}

/** What is applied to each element of a product. */
export type Activation = "none" | "relu" | "gelu";

/**
 * What a scan accumulates: `logaddexp` is the running logarithm of a sum of exponentials, `argmax` and `argmin` the int32 place of the latest
 * extreme element so far, where NaN is extreme.
 */
export type ScanOp = "sum" | "prod" | "max" | "min" | "logaddexp" | "argmax" | "argmin";

/** What an attention does with its scores. */
export interface AttentionParams {
  /** Factor of the scores. */
  readonly scale: number;
  /** Whether position `i` sees only positions up to `i`. */
  readonly causal: boolean;
}

/** Geometry of a convolution, one entry for each spatial dimension. */
export interface ConvolutionParams {
  /** Distance of neighbouring windows. */
  readonly stride: readonly number[];
  /** Zeros added on both sides. */
  readonly padding: readonly number[];
  /** Distance of neighbouring elements in a window. */
  readonly dilation: readonly number[];
  /** Groups of channels that do not meet. */
  readonly groups: number;
  /** See {@linkcode Backend.channelsLast}. */
  readonly channelsLast?: boolean;
}

/** Geometry of windows, one entry for each spatial dimension. */
export interface PoolParams {
  /** Elements of a window. */
  readonly kernel: readonly number[];
  /** Distance of neighbouring windows. */
  readonly stride: readonly number[];
  /** Elements of minus infinity added on both sides. */
  readonly padding: readonly number[];
  /** Distance of neighbouring elements in a window. */
  readonly dilation: readonly number[];
  /** See {@linkcode Backend.channelsLast}. */
  readonly channelsLast?: boolean;
}

/** What is known of the places that values are added at. */
export interface PoolScatterParams {
  /** Dimensions of a plane. */
  readonly spatialDims: number;
  /** The windows that the places lie in, each in its own; absent when they may lie anywhere. */
  readonly windows?: PoolParams;
  /** See {@linkcode Backend.channelsLast}. */
  readonly channelsLast?: boolean;
}

/** How channels are normalised. */
export interface BatchNormParams {
  /** Added to the variance. */
  readonly eps: number;
  /** See {@linkcode Backend.channelsLast}. */
  readonly channelsLast?: boolean;
}

/** Names of the routines: what cannot, or should not, be a fused kernel. */
export type RoutineName = keyof RoutineParams;

/**
 * Routines whose operands are all contiguous (but those of attention), of float32, float64, int32 or bool, or of the halves where {@linkcode Backend.halfRoutines} says so; every backend has plain
 * loops for them.
 */
export type PlainRoutineName = Exclude<RoutineName, "matmul" | "allReduce">;

/** One call of a routine with concrete shapes. */
export interface RoutineCall<R extends RoutineName = RoutineName> {
  /** Name of the routine. */
  readonly name: R;
  /** Its parameters. */
  readonly params: RoutineParams[R];
  /** What it reads and writes. */
  readonly operands: readonly Operand[];
  /** How many of them, the last ones, are results; one when absent. */
  readonly results?: number;
}

/** A bound routine. Those that run beside the compute stream have `wait`, called before the first use of the result. */
export interface RoutineLaunch {
  /** Starts the work. */
  readonly start: Launch;
  /** Waits for it, when it goes on beside others. */
  readonly wait?: Launch;
}

/** A table of routines; a backend must have every one. */
export type Routines = {
  readonly [R in RoutineName]: (
    call: RoutineCall<R>,
    buffers: readonly Buffer[],
  ) => RoutineLaunch;
};

/** Counters that tests and `PTA_DEBUG` read. */
export interface BackendStats {
  /** Bytes of live buffers, as asked for (padding and cached free blocks not counted). */
  bytesAlive: number;
  /** Highest value of `bytesAlive` so far. */
  bytesPeak: number;
  /** Kernel launches so far. */
  kernels: number;
  /** Routine calls so far. */
  routines: number;
  /** Kernels compiled so far. */
  compiled: number;
  /** Copies to the host so far; each waits for everything launched before. A training step makes none. */
  reads: number;
}

/** A device that runs kernels. */
export interface Backend {
  /** Name for people and for {@linkcode RoutineCall} errors: `wasm`, `ref`, `null`, `cuda:0`. */
  readonly name: string;
  /** Counters. */
  readonly stats: BackendStats;
  /**
   * Memory for `length` elements. Not cleared.
   * @throws {RangeError} When the device has no room; says what was asked and what is held
   */
  alloc(dtype: DType, length: number): Buffer;
  /** Gives memory back for reuse. Freeing twice is an error. */
  free(buffer: Buffer): void;
  /** Copies host elements in, starting at element `offset`. */
  write(buffer: Buffer, data: HostArray, offset?: number): void;
  /** Copies all of `from` over the front of `to`, on the device. */
  copy(from: Buffer, to: Buffer): void;
  /** Copies `length` elements from `offset` out, after everything launched before has finished. */
  read(buffer: Buffer, offset: number, length: number): HostArray;
  /**
   * Prepares a kernel. Callers cache by `kernel.key`, and prepare all kernels of a plan before they bind the first.
   *
   * @param extent Extent of the first outer dimension that it will be bound to first
   */
  compile(kernel: Kernel, extent: number): Executable;
  /** Binds a kernel to buffers and to the extent of its first outer dimension. Counted in `stats.kernels` when run. */
  bind(executable: Executable, extent: number, buffers: readonly Buffer[]): Launch;
  /** What is not a kernel. */
  readonly routines: Routines;
  /** Routines that take operands of float16 and bfloat16 as they are; all others get them as float32. */
  readonly halfRoutines?: ReadonlySet<RoutineName>;
  /**
   * Whether a convolution or pooling had better have its operands with channels last. It is then called with `channelsLast` in its parameters and each operand
   * (weights too) as `[N, ...spatial, C]`, row-major. Absent where it never had.
   */
  channelsLast?(call: RoutineCall): boolean;
  /** Whether the routines `batchNorm` and `batchNormGradient` are there for such an operand `[N, C, ...]` and wanted rather than kernels. A backend without this never wants them. */
  normalizes?(x: Operand): boolean;
  /** Whether a product had better do the bias and the activation that follow it (`matmulEpilogue`). Absent where it never had. */
  wantsEpilogue?(call: RoutineCall<"matmulEpilogue">): boolean;
  /** Whether `matmulFloat8` runs on hardware for it, so that it is faster than the float32 product that emulates it. */
  readonly multipliesFloat8?: boolean;
  /**
   * Whether the routine `attention`, and with `gradient` also `attentionGradient`, is there for such operands `[query, key, value]` and faster than
   * products and a softmax. A backend without this never prefers it.
   */
  attends?(operands: readonly Operand[], params: AttentionParams, gradient: boolean): boolean;
  /**
   * Raises what is known to have gone wrong on the device; does not wait. Absent where launches are complete when they return:
   * {@linkcode synchronize} does it.
   * @throws {RangeError} When a kernel met an index out of range
   */
  check?(): void;
  /**
   * Turns launches that will be replayed many times, in order, into fewer that do the same; each has run once. Absent where there is nothing to
   * gain.
   */
  graph?(launches: readonly Launch[]): { launches: Launch[]; dispose: () => void };
  /** Why the device cannot compute in a dtype, for people; undefined when it can. A backend without this can. */
  lacks?(dtype: DType): string | undefined;
  /**
   * Waits for everything launched and raises what went wrong on the device.
   * @throws {RangeError} When a kernel met an index out of range
   */
  synchronize(): void;
}
