/** What the texts of hand-written routines share: how elements are read, computed with and written, and how arguments are made. */
import type {
  Buffer,
  Launch,
  Operand,
  RoutineCall,
  RoutineLaunch,
  RoutineName,
} from "../../device.ts";
import type { DType } from "../../dtype.ts";
import { addressOf } from "./memory.ts";
import type { CudaRuntime, KernelArgument } from "./runtime.ts";

/** A routine of a device. */
export type CudaRoutine<R extends RoutineName = RoutineName> = (
  call: RoutineCall<R>,
  buffers: readonly Buffer[],
) => RoutineLaunch;

/** Makes a routine for a device. */
export type RoutineMaker<R extends RoutineName> = (runtime: CudaRuntime) => CudaRoutine<R>;

/** A dtype in CUDA C. */
export interface Element {
  /** Type in memory. */
  readonly stored: string;
  /** Type in registers. */
  readonly held: string;
  /** From memory to registers. */
  readonly read: (stored: string) => string;
  /** From registers to memory. */
  readonly write: (held: string) => string;
  /** The least value, which loses every comparison. */
  readonly lowest: string;
  /** The largest value. */
  readonly highest: string;
}

const same = (x: string): string => x;
const float = { lowest: "-__int_as_float(0x7f800000)", highest: "__int_as_float(0x7f800000)" };

/** Dtypes in CUDA C. */
export const elements: Readonly<Record<DType, Element>> = {
  float32: { stored: "float", held: "float", read: same, write: same, ...float },
  float64: {
    stored: "double",
    held: "double",
    read: same,
    write: same,
    lowest: "-(double)__int_as_float(0x7f800000)",
    highest: "(double)__int_as_float(0x7f800000)",
  },
  float16: {
    stored: "u16",
    held: "float",
    read: (x) => `f16Read(${x})`,
    write: (x) => `f16Bits(${x})`,
    ...float,
  },
  bfloat16: {
    stored: "u16",
    held: "float",
    read: (x) => `bf16Read(${x})`,
    write: (x) => `bf16Bits(${x})`,
    ...float,
  },
  int32: {
    stored: "int",
    held: "int",
    read: same,
    write: same,
    lowest: "(-2147483647 - 1)",
    highest: "2147483647",
  },
  int64: {
    stored: "i64",
    held: "i64",
    read: same,
    write: same,
    lowest: "(-9223372036854775807ll - 1)",
    highest: "9223372036854775807ll",
  },
  uint8: {
    stored: "u8",
    held: "int",
    read: (x) => `(int)(${x})`,
    write: (x) => `(u8)(${x})`,
    lowest: "0",
    highest: "255",
  },
  bool: {
    stored: "u8",
    held: "int",
    read: (x) => `(int)(${x})`,
    write: (x) => `(u8)((${x}) != 0)`,
    lowest: "0",
    highest: "1",
  },
};

/** Short name of a dtype, for names of kernels. */
export const shortName: Readonly<Record<DType, string>> = {
  float32: "f32",
  float64: "f64",
  float16: "f16",
  bfloat16: "bf16",
  int32: "i32",
  int64: "i64",
  uint8: "u8",
  bool: "b8",
};

/** Device address of the first element of an operand. */
export const place = (operand: Operand, buffer: Buffer): KernelArgument => ({
  pointer: addressOf(operand, buffer),
});

/** Device addresses of all operands. */
export function places(
  operands: readonly Operand[],
  buffers: readonly Buffer[],
): KernelArgument[] {
  return operands.map((o, i) => place(o, buffers[i]));
}

/** An `int`. */
export const int = (i32: number): KernelArgument => ({ i32 });

/** A `long long`; the way of a pointer takes no BigInt. */
export const long = (value: number): KernelArgument =>
  value >= 0 ? { pointer: value } : { i64: value };

/** Number of elements of a shape. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Blocks of `threads` for `work` items whose kernel goes on in strides of the grid. */
export const blocksFor = (work: number, threads: number): number =>
  Math.min(Math.ceil(work / threads), 1 << 20);

/** Launches one after the other. */
export function inOrder(launches: readonly Launch[]): RoutineLaunch {
  if (launches.length === 1) return { start: launches[0] };
  return {
    start: () => {
      for (const launch of launches) launch();
    },
  };
}

/** A kernel whose threads go through `count` items in strides of the grid, `i` the item. */
export function eachItem(
  { name, params, body }: { name: string; params: string; body: string },
): string {
  return `extern "C" __global__ void __launch_bounds__(256) ${name}(${params}, i64 count) {
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < count; i += (i64)gridDim.x * 256) {
${body}
  }
}
`;
}
