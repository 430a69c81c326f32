/**
 * Scattering with a product, maximum or minimum. Values meet only within a line along `dim`, so one thread a line joins them in order and results repeat bit
 * for bit. Few long lines are joined by compare-and-swap instead, which leaves the rounding of products to chance.
 */
import type { RoutineParams } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { contiguousStrides } from "../../shape.ts";
import type { CudaBuffer } from "./memory.ts";
import {
  blocksFor,
  type Element,
  elements,
  inOrder,
  int,
  long,
  places,
  type RoutineMaker,
  shortName,
  sizeOf,
} from "./routine_text.ts";

type Op = RoutineParams["scatterReduce"]["op"];

/** Dimensions beside `dim` that the text goes through; more are joined or do not occur. */
const DIMS = 7;
/** Lines up to this are walked by one thread each; longer ones when there are many. */
const SHORT_LINE = 64, MANY_LINES = 1024;

/** How a value `b` joins what is there, `a`; NaN wins over numbers. */
const joins: Readonly<Record<Op, (e: Element) => string>> = {
  prod: (e) => e.held === "int" || e.held === "i64" ? "mulInt(a, b)" : "a * b",
  max: () => "b > a || b != b ? b : a",
  min: () => "b < a || b != b ? b : a",
};

function scatterText(op: Op, dtype: DType): { text: string; lines: string; swaps: string } {
  const e = elements[dtype], s = `scatter_${op}_${shortName[dtype]}`;
  const word = { 1: undefined, 2: "u16", 4: "u32", 8: "u64" }[dtypes[dtype].bytes];
  const dims = Array.from({ length: DIMS }, (_, d) => d);
  const sizes = dims.map((d) => `int n${d}, i64 s${d}`).join(", ");
  const walk = [...dims].reverse().map((d) => `at += rest % n${d} * s${d}; rest /= n${d};`)
    .join(" ");
  const params =
    `const int *index, const ${e.stored} *values, ${e.stored} *out, ${sizes}, int line, i64 step, i64 inner, i64 size, i64 *error, i64 count`;
  const text = `
__device__ __forceinline__ ${e.held} join_${s}(${e.held} a, ${e.held} b) { return ${joins[op](e)}; }
// Items are lines; the line of item i is \`line\` elements of the index, \`inner\` apart.
extern "C" __global__ void __launch_bounds__(256) ${s}_lines(${params}) {
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < count; i += (i64)gridDim.x * 256) {
    i64 rest = i, at = 0;
    ${walk}
    i64 from = i / inner * inner * line + i % inner;
    for (int j = 0; j < line; ++j, from += inner) {
      const i64 place = index[from];
      if ((u64)place >= (u64)size) { checked(place, size, error); continue; }
      ${e.stored} *to = out + at + place * step;
      *to = ${e.write(`join_${s}(${e.read("*to")}, ${e.read("values[from]")})`)};
    }
  }
}
${
    word === undefined ? "" : `// Items are elements of the index.
extern "C" __global__ void __launch_bounds__(256) ${s}_swaps(${params}) {
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < count; i += (i64)gridDim.x * 256) {
    i64 rest = i / (inner * line) * inner + i % inner, at = 0;
    ${walk}
    const i64 place = index[i];
    if ((u64)place >= (u64)size) { checked(place, size, error); continue; }
    ${word} *to = reinterpret_cast<${word} *>(out + at + place * step);
    const ${e.held} own = ${e.read("values[i]")};
    ${word} old = *to, seen;
    do {
      seen = old;
      ${e.stored} made = *reinterpret_cast<const ${e.stored} *>(&seen);
      made = ${e.write(`join_${s}(${e.read("made")}, own)`)};
      const ${word} bits = *reinterpret_cast<const ${word} *>(&made);
      if (bits == seen) break;
      old = atomicCAS(to, seen, bits);
    } while (old != seen);
  }
}
`
  }`;
  return { text, lines: `${s}_lines`, swaps: `${s}_swaps` };
}

/** `[base, index, values, out]`: a copy of base in which values have been joined to the elements at computed places along `dim`. */
export const cudaScatterReduce: RoutineMaker<"scatterReduce"> = (runtime) => (call, buffers) => {
  const { op, dim } = call.params, [base, index, , out] = call.operands;
  const strides = contiguousStrides(out.shape), length = index.shape[dim];
  const rest = index.shape.map((n, d) => ({ n, s: strides[d] })).filter((_, d) => d !== dim);
  // Dimensions that lie on each other count as one.
  const dims: { n: number; s: number }[] = [];
  for (const next of rest) {
    const last = dims.at(-1);
    if (last !== undefined && last.s === next.s * next.n) {
      dims[dims.length - 1] = { n: last.n * next.n, s: next.s };
    } else if (next.n !== 1) dims.push(next);
  }
  if (dims.length > DIMS) {
    throw new RangeError(
      `Cannot scatter into ${dims.length} separate dimensions: this device takes ${DIMS}`,
    );
  }
  while (dims.length < DIMS) dims.unshift({ n: 1, s: 0 });
  const { text, lines, swaps } = scatterText(op, out.dtype);
  const total = sizeOf(index.shape), lineCount = length === 0 ? 0 : total / length;
  const walks = length <= SHORT_LINE || lineCount >= MANY_LINES || dtypes[out.dtype].bytes === 1;
  const items = walks ? lineCount : total;
  const [from, , , to] = buffers as readonly CudaBuffer[];
  const pointers = places(call.operands, buffers), bytes = dtypes[out.dtype].bytes;
  const size = sizeOf(out.shape) * bytes, { driver, stream } = runtime;
  const source = from.pointer + base.offset * bytes, target = to.pointer + out.offset * bytes;
  const join = runtime.launcher(text, walks ? lines : swaps, {
    grid: [blocksFor(items, 256)],
    block: [256],
  }, [
    ...pointers.slice(1),
    ...dims.flatMap(({ n, s }) => [int(n), long(s)]),
    int(length),
    long(strides[dim]),
    long(sizeOf(index.shape.slice(dim + 1))),
    long(out.shape[dim]),
    { pointer: runtime.indexError },
    long(items),
  ]);
  const copy = () => {
    if (size > 0) driver.cuMemcpyDtoDAsync(target, source, size, stream);
  };
  return inOrder([copy, join]);
};
