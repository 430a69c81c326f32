/**
 * Stable sorting of rows. An element becomes a whole number that orders as the elements do, with its place behind it, so that no two are equal: any way of
 * sorting is then stable. Runs of up to 2,048 are sorted by a bitonic network in shared memory, longer rows merged from them.
 */
import type { Launch } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import {
  blocksFor,
  elements,
  inOrder,
  int,
  long,
  places,
  type RoutineMaker,
  shortName,
  sizeOf,
} from "./routine_text.ts";

/** Elements of the longest run that one block sorts. */
const RUN = 2048;

/** The whole number of an element `v`, in 32 bits, or in 64 for the wide dtypes. NaN is the largest and -0 equals 0. */
const keyTexts: Readonly<Record<DType, string>> = (() => {
  const float = `if (v != v) return 0xffffffffu;
  const u32 bits = __float_as_uint(v == 0.0f ? 0.0f : v);
  return bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);`;
  const byte = "return (u32)v;";
  return {
    float32: float,
    float16: float,
    bfloat16: float,
    float64: `if (v != v) return ~(u64)0;
  const double w = v == 0.0 ? 0.0 : v;
  const u64 bits = *reinterpret_cast<const u64 *>(&w);
  return bits ^ (bits >> 63 ? ~(u64)0 : (u64)1 << 63);`,
    int32: "return (u32)v ^ 0x80000000u;",
    int64: "return (u64)v ^ (u64)1 << 63;",
    uint8: byte,
    bool: byte,
  };
})();

const isWide = (dtype: DType): boolean => dtypes[dtype].bytes === 8;

/** The type of keys and what is done with them, under names of their own. */
function keyText(dtype: DType, name: string): string {
  const wide = isWide(dtype), e = elements[dtype];
  const head = `
__device__ __forceinline__ ${wide ? "u64" : "u32"} order_${name}(${e.held} v) {
  ${keyTexts[dtype]}
}`;
  if (!wide) {
    return `${head}
typedef u64 Key_${name};
__device__ __forceinline__ u64 key_${name}(${e.held} v, int at, int descending) {
  const u32 order = order_${name}(v);
  return (u64)(descending ? ~order : order) << 32 | (u32)at;
}
__device__ __forceinline__ u64 last_${name}() { return ~(u64)0; }
__device__ __forceinline__ bool less_${name}(u64 a, u64 b) { return a < b; }
__device__ __forceinline__ int place_${name}(u64 a) { return (int)(u32)a; }
`;
  }
  return `${head}
struct Key_${name} { u64 order; u64 at; };
__device__ __forceinline__ Key_${name} key_${name}(${e.held} v, int at, int descending) {
  const u64 order = order_${name}(v);
  return {descending ? ~order : order, (u64)at};
}
__device__ __forceinline__ Key_${name} last_${name}() { return {~(u64)0, ~(u64)0}; }
__device__ __forceinline__ bool less_${name}(Key_${name} a, Key_${name} b) {
  return a.order < b.order || (a.order == b.order && a.at < b.at);
}
__device__ __forceinline__ int place_${name}(Key_${name} a) { return (int)a.at; }
`;
}

function sortText(dtype: DType): { text: string; runs: string; merge: string } {
  const s = shortName[dtype], runs = `argsort_runs_${s}`, merge = `argsort_merge_${s}`;
  const key = `Key_${runs}`, e = elements[dtype];
  const text = `${keyText(dtype, runs)}
// Segments of \`width\` elements, \`together\` of them a block, \`each\` a row. A row of one segment is done; others leave sorted runs.
extern "C" __global__ void __launch_bounds__(256) ${runs}(
    const ${e.stored} *x, int *out, ${key} *sorted, int length, int width, int each, i64 segments,
    int together, int count, int descending) {
  alignas(16) __shared__ char memory[${RUN} * sizeof(${key})];
  ${key} *keys = (${key} *)memory;
  const i64 first = (i64)blockIdx.x * together;
  const int total = together * width;
  for (int p = threadIdx.x; p < total; p += blockDim.x) {
    const i64 segment = first + p / width, row = segment / each;
    const int at = (int)(segment % each) * width + p % width;
    keys[p] = segment < segments && at < length ? key_${runs}(${
    e.read("x[row * length + at]")
  }, at, descending) : last_${runs}();
  }
  __syncthreads();
  for (int size = 2; size <= width; size *= 2) {
    for (int step = size / 2; step > 0; step /= 2) {
      for (int q = threadIdx.x; q < total / 2; q += blockDim.x) {
        const int i = 2 * q - (q & (step - 1)), j = i + step;
        const bool up = (i & (width - 1) & size) == 0;
        const ${key} a = keys[i], b = keys[j];
        if (less_${runs}(b, a) == up) {
          keys[i] = b;
          keys[j] = a;
        }
      }
      __syncthreads();
    }
  }
  for (int p = threadIdx.x; p < total; p += blockDim.x) {
    const i64 segment = first + p / width, row = segment / each;
    const int at = (int)(segment % each) * width + p % width;
    if (segment >= segments || at >= length) continue;
    if (each > 1) sorted[row * length + at] = keys[p];
    else if (at < count) out[row * count + at] = place_${runs}(keys[p]);
  }
}
// Pairs of runs of \`width\` become one: each key finds how many of the other run come before it. The last pass leaves places.
extern "C" __global__ void __launch_bounds__(256) ${merge}(
    const ${key} *sorted, ${key} *merged, int *out, int length, i64 width, int count, int last, i64 items) {
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < items; i += (i64)gridDim.x * 256) {
    const i64 row = i / length, at = i % length, pair = at / (2 * width) * (2 * width);
    const bool left = at - pair < width;
    const ${key} *keys = sorted + row * length, own = keys[at];
    const i64 begin = left ? pair + width : pair;
    const i64 end = left ? (begin + width < length ? begin + width : length) : pair + width;
    i64 low = begin, high = end > begin ? end : begin;
    while (low < high) {
      const i64 middle = (low + high) / 2;
      if (less_${runs}(keys[middle], own)) low = middle + 1;
      else high = middle;
    }
    const i64 to = left ? at + (low - begin) : pair + (low - begin) + (at - pair - width);
    if (!last) merged[row * length + to] = own;
    else if (to < count) out[row * count + to] = place_${runs}(own);
  }
}
`;
  return { text, runs, merge };
}

/** `[x, out]`: places that sort the last dimension stably, or the first of them. */
export const cudaArgsort: RoutineMaker<"argsort"> = (runtime) => (call, buffers) => {
  const [x, out] = call.operands, length = x.shape.at(-1) ?? 1, count = out.shape.at(-1) ?? 1;
  if (length === 0 || count === 0) return { start: () => {} };
  const rows = sizeOf(x.shape) / length, { text, runs, merge } = sortText(x.dtype);
  const [from, to] = places(call.operands, buffers);
  const width = Math.min(RUN, 2 ** Math.ceil(Math.log2(Math.max(2, length))));
  const each = Math.ceil(length / width), segments = rows * each;
  const together = Math.max(1, Math.min(512 / width, segments));
  // Two arrays of keys, from one to the other.
  const bytes = rows * length * (isWide(x.dtype) ? 16 : 8);
  const scratch = each === 1 ? 0 : runtime.workspace(2 * bytes);
  const launches: Launch[] = [runtime.launcher(text, runs, {
    grid: [Math.ceil(segments / together)],
    block: [Math.min(256, Math.max(32, Math.ceil(together * width / 2 / 32) * 32))],
  }, [
    from,
    to,
    { pointer: scratch },
    int(length),
    int(width),
    int(each),
    long(segments),
    int(together),
    int(count),
    int(call.params.descending ? 1 : 0),
  ])];
  for (let run = width, turn = 0; run < length; run *= 2, turn++) {
    const sources = [scratch, scratch + bytes];
    launches.push(runtime.launcher(text, merge, {
      grid: [blocksFor(rows * length, 256)],
      block: [256],
    }, [
      { pointer: sources[turn % 2] },
      { pointer: sources[(turn + 1) % 2] },
      to,
      int(length),
      long(run),
      int(count),
      int(2 * run >= length ? 1 : 0),
      long(rows * length),
    ]));
  }
  return inOrder(launches);
};
