/**
 * Running reductions along rows, and first-order recurrences, which are running products of affine maps. A warp a short row, a block a long one; few very long
 * rows are cut into chunks whose totals come first. The order of the joins depends on nothing but the length: results repeat bit for bit.
 */
import type { ScanOp } from "../../device.ts";
import type { DType } from "../../dtype.ts";
import {
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
import type { CudaRuntime, KernelArgument } from "./runtime.ts";

/** What is scanned. `T` stands for the type of the elements, `a` and `b` for what comes before and after. */
interface Recipe {
  /** Fields of the state, with their types. */
  readonly fields: readonly (readonly [type: string, name: string])[];
  /** The state that changes nothing before another. */
  readonly identity: (e: Element) => readonly string[];
  /** The state of element `i` of a row. */
  readonly load: (e: Element) => readonly string[];
  /** The state of both: an expression for each field. */
  readonly join: readonly string[];
  /** Statements before those expressions. */
  readonly before?: string;
  /** What is written. */
  readonly result: string;
  /** Inputs. */
  readonly inputs?: number;
}

const plain = (join: string, identity: (e: Element) => string, before = ""): Recipe => ({
  fields: [["T", "v"]],
  identity: (e) => [identity(e)],
  load: (e) => [e.read("x[i]")],
  join: [join],
  before,
  result: "s.v",
});
const extreme = (sign: string, identity: (e: Element) => string): Recipe => ({
  fields: [["T", "v"], ["int", "at"]],
  identity: (e) => [identity(e), "0"],
  load: (e) => [e.read("x[i]"), "i"],
  before: `const bool later = b.v ${sign} a.v || b.v != b.v;`,
  join: ["later ? b.v : a.v", "later ? b.at : a.at"],
  result: "s.at",
});
const zero = () => "0", one = () => "1";

const recipes: Readonly<Record<ScanOp | "recurrence", Recipe>> = {
  sum: plain("a.v + b.v", zero),
  prod: plain("a.v * b.v", one),
  max: plain("b.v > a.v || b.v != b.v ? b.v : a.v", (e) => e.lowest),
  min: plain("b.v < a.v || b.v != b.v ? b.v : a.v", (e) => e.highest),
  logaddexp: plain(
    // Infinite or NaN: nothing to add.
    "top - top == 0 ? top + log1p(exp(-fabs(a.v - b.v))) : top",
    (e) => e.lowest,
    "const T top = a.v > b.v || a.v != a.v ? a.v : b.v;",
  ),
  argmax: extreme(">=", (e) => e.lowest),
  argmin: extreme("<=", (e) => e.highest),
  // y -> factor y + term. Products of many factors may leave float32 where the results do not.
  recurrence: {
    fields: [["double", "factor"], ["double", "term"]],
    identity: () => ["1.0", "0.0"],
    // The first factor meets nothing.
    load: (e) => [`i == 0 ? 0.0 : (double)${e.read("x[i]")}`, `(double)${e.read("y[i]")}`],
    join: ["a.factor * b.factor", "b.factor * a.term + b.term"],
    result: "s.term",
    inputs: 2,
  },
};

const THREADS = 128, ITEMS = 8, TILE = THREADS * ITEMS;
/** Rows up to this are done by a warp each. */
const WARP_ROW = 256;
/** Chunks of a row at most: each looks at the totals of all before it. */
const CHUNKS = 64;
/** So many rows and more keep a device busy as they are. */
const MANY_ROWS = 128;

interface Form {
  readonly op: ScanOp | "recurrence";
  readonly from: DType;
  readonly to: DType;
}

/** What the kernels of both kinds begin with: the state, its join, its way through a warp, and what loads and stores it. */
function commonText({ op, from, to }: Form, name: string): { text: string; inputs: string } {
  const recipe = recipes[op], e = elements[from], out = elements[to];
  const wraps = (op === "sum" || op === "prod") && (e.held === "int" || e.held === "i64");
  // Whole numbers wrap, as they do in every dtype; the type of a sum is that of the result.
  const T = op === "sum" || op === "prod" ? out.held : e.held;
  const typed = (text: string) => text.replace(/\bT\b/g, T);
  const join = wraps ? [op === "sum" ? "addInt(a.v, b.v)" : "mulInt(a.v, b.v)"] : recipe.join;
  const cast = ([type]: readonly [string, string], text: string) => `(${typed(type)})(${text})`;
  const each = (texts: readonly string[]) =>
    recipe.fields.map((field, i) => cast(field, typed(texts[i]))).join(", ");
  const state = `State_${name}`, F = recipe.fields.map(([, field]) => field);
  const inputs = `const ${e.stored} *x${
    recipe.inputs === 2 ? `, const ${e.stored} *y` : ""
  }, ${out.stored} *out`;
  const ends = recipe.inputs === 2 ? "x, y" : "x";
  return {
    inputs,
    text: `
struct ${state} { ${recipe.fields.map(([type, field]) => `${typed(type)} ${field};`).join(" ")} };
__device__ __forceinline__ ${state} join_${name}(${state} a, ${state} b) {
  ${typed(recipe.before ?? "")}
  return {${each(join)}};
}
__device__ __forceinline__ ${state} identity_${name}() { return {${each(recipe.identity(e))}}; }
__device__ __forceinline__ ${state} load_${name}(${
      inputs.replace(/, [^,]*$/, "")
    }, int i) { return {${each(recipe.load(e))}}; }
__device__ __forceinline__ ${out.stored} result_${name}(${state} s) { return ${
      out.write(`(${out.held})${recipe.result}`)
    }; }
// Each lane gets what the lanes up to it come to.
__device__ __forceinline__ ${state} lanes_${name}(${state} s, int lane) {
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const ${state} o = {${F.map((f) => `__shfl_up_sync(0xffffffffu, s.${f}, by)`).join(", ")}};
    if (lane >= by) s = join_${name}(o, s);
  }
  return s;
}
#define LOAD_${name}(i) load_${name}(${ends}, i)
`,
  };
}

const shuffled = ({ op }: Form, how: (field: string) => string): string =>
  recipes[op].fields.map(([, field]) => how(field)).join(", ");

/** Moves the pointers to row `row`. */
const toRow = ({ op }: Form): string =>
  `x += row * length; ${recipes[op].inputs === 2 ? "y += row * length; " : ""}out += row * length;`;

function warpText(form: Form, name: string): string {
  const { text, inputs } = commonText(form, name);
  return `${text}
extern "C" __global__ void __launch_bounds__(128) ${name}(${inputs}, i64 rows, int length) {
  const int lane = threadIdx.x % 32;
  const i64 row = (i64)blockIdx.x * 4 + threadIdx.x / 32;
  if (row >= rows) return;
  ${toRow(form)}
  State_${name} carry = identity_${name}();
  for (int first = 0; first < length; first += 32) {
    const int i = first + lane;
    State_${name} s = i < length ? LOAD_${name}(i) : identity_${name}();
    s = join_${name}(carry, lanes_${name}(s, lane));
    if (i < length) out[i] = result_${name}(s);
    carry = {${shuffled(form, (f) => `__shfl_sync(0xffffffffu, s.${f}, 31)`)}};
  }
}
#undef LOAD_${name}
`;
}

function blockText(form: Form, name: string): string {
  const { text, inputs } = commonText(form, name), S = `State_${name}`;
  return `${text}
// onlyTotals: what each chunk comes to, in totals. Otherwise results; totals are those of all chunks when there are several.
extern "C" __global__ void __launch_bounds__(${THREADS}) ${name}(${inputs}, int length, int chunk, int chunks, ${S} *totals, int onlyTotals) {
  alignas(16) __shared__ char memory[${THREADS / 32} * sizeof(${S})];
  ${S} *ofWarp = (${S} *)memory;
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const i64 row = blockIdx.x / chunks;
  const int mine = blockIdx.x % chunks;
  ${toRow(form)}
  totals += row * chunks;
  ${S} carry = identity_${name}();
  if (!onlyTotals) for (int c = 0; c < mine; ++c) carry = join_${name}(carry, totals[c]);
  const int begin = mine * chunk, end = length - begin < chunk ? length : begin + chunk;
  for (int first = begin; first < end; first += ${TILE}) {
    const int own = first + t * ${ITEMS};
    ${S} item[${ITEMS}], sum = identity_${name}();
#pragma unroll
    for (int j = 0; j < ${ITEMS}; ++j) {
      const ${S} s = own + j < end ? LOAD_${name}(own + j) : identity_${name}();
      item[j] = sum = join_${name}(sum, s);
    }
    const ${S} through = lanes_${name}(sum, lane);
    __syncthreads();
    if (lane == 31) ofWarp[warp] = through;
    __syncthreads();
    ${S} before = carry;
    for (int w = 0; w < ${THREADS / 32}; ++w) {
      if (w == warp) before = carry;
      carry = join_${name}(carry, ofWarp[w]);
    }
    const ${S} left = {${shuffled(form, (f) => `__shfl_up_sync(0xffffffffu, through.${f}, 1)`)}};
    if (lane > 0) before = join_${name}(before, left);
    if (!onlyTotals) {
#pragma unroll
      for (int j = 0; j < ${ITEMS}; ++j)
        if (own + j < end) out[own + j] = result_${name}(join_${name}(before, item[j]));
    }
  }
  if (onlyTotals && t == 0) totals[mine] = carry;
}
#undef LOAD_${name}
`;
}

/** Bytes of a state at most. */
const STATE = 16;

function bind(
  runtime: CudaRuntime,
  form: Form,
  pointers: readonly KernelArgument[],
  [rows, length]: readonly [number, number],
) {
  const kind = length <= WARP_ROW ? "warp" : "block";
  const name = `scan_${form.op}_${shortName[form.from]}_${shortName[form.to]}_${kind}`;
  if (kind === "warp") {
    const grid = [length === 0 ? 0 : Math.ceil(rows / 4)];
    return {
      start: runtime.launcher(warpText(form, name), name, { grid, block: [128] }, [
        ...pointers,
        long(rows),
        int(length),
      ]),
    };
  }
  const wanted = rows >= MANY_ROWS ? 1 : Math.min(CHUNKS, Math.ceil(length / (4 * TILE)));
  const chunk = Math.ceil(length / wanted / TILE) * TILE, chunks = Math.ceil(length / chunk);
  const totals = chunks === 1 ? 0 : runtime.workspace(rows * chunks * STATE);
  const text = blockText(form, name), geometry = { grid: [rows * chunks], block: [THREADS] };
  const pass = (onlyTotals: number) =>
    runtime.launcher(text, name, geometry, [
      ...pointers,
      ...[length, chunk, chunks].map(int),
      { pointer: totals },
      int(onlyTotals),
    ]);
  return inOrder(chunks === 1 ? [pass(0)] : [pass(1), pass(0)]);
}

/** `[x, out]`: running `op` along the last dimension. */
export const cudaScan: RoutineMaker<"scan"> = (runtime) => (call, buffers) => {
  const [x, out] = call.operands, length = x.shape.at(-1) ?? 1;
  const rows = length === 0 ? 0 : sizeOf(x.shape) / length;
  const form = { op: call.params.op, from: x.dtype, to: out.dtype };
  return bind(runtime, form, places(call.operands, buffers), [rows, length]);
};

/** `[a, b, out]`: `out[i] = a[i] * out[i - 1] + b[i]`. */
export const cudaRecurrence: RoutineMaker<"recurrence"> = (runtime) => (call, buffers) => {
  const [, b, out] = call.operands, length = b.shape.at(-1) ?? 1;
  const rows = length === 0 ? 0 : sizeOf(b.shape) / length;
  const form = { op: "recurrence", from: b.dtype, to: out.dtype } as const;
  return bind(runtime, form, places(call.operands, buffers), [rows, length]);
};
