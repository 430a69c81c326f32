/**
 * Matrix products by kernels of our own: the plain twin of cuBLASLt, for every dtype and every stride. Each block computes a tile of the result from tiles
 * of the factors in shared memory, each thread some rows by some columns in registers; the next tiles are on their way meanwhile.
 */
import type { Launch } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { outerOffsets, type Product, readProduct } from "../product.ts";
import type { CudaBuffer } from "./memory.ts";
import { elements, inOrder, int, long, type RoutineMaker, shortName } from "./routine_text.ts";

/** Sizes of a tile: rows, columns and depth for a block, rows and columns for a thread. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly threadRows: number;
  readonly threadColumns: number;
}

const large: Tile = { rows: 128, columns: 128, depth: 8, threadRows: 8, threadColumns: 8 };
const medium: Tile = { rows: 64, columns: 64, depth: 16, threadRows: 4, threadColumns: 4 };
const small: Tile = { rows: 16, columns: 16, depth: 32, threadRows: 2, threadColumns: 2 };

/** Dimensions of the batch that one launch goes through. */
const BATCH_DIMS = 3;
/** Blocks that fill a large device. */
const FILLED = 128;

/** What decides the text. */
interface Form {
  readonly a: DType;
  readonly b: DType;
  readonly out: DType;
  readonly tile: Tile;
  /** Whether neighbours in memory are neighbours in a row; else in a column. */
  readonly aRows: boolean;
  readonly bRows: boolean;
}

const tilesOf = (p: Product, tile: Tile): number =>
  Math.ceil(p.m / tile.rows) * Math.ceil(p.n / tile.columns);

function chooseTile(p: Product, held: string): Tile {
  const batch = p.batch.reduce((n, x) => n * x.count, 1);
  if (Math.min(p.m, p.n) <= 16) return small;
  if (held === "float" && tilesOf(p, large) * batch >= FILLED && Math.min(p.m, p.n) >= 96) {
    return large;
  }
  return tilesOf(p, medium) * batch >= 8 || p.m * p.n > 64 * 64 ? medium : small;
}

/** The type that sums are held in. */
function heldType(a: DType, b: DType): string {
  const held = [elements[a].held, elements[b].held];
  return ["double", "float", "i64"].find((type) => held.includes(type)) ?? "int";
}

function nameOf({ a, b, out, tile, aRows, bRows }: Form): string {
  return `matmul_${shortName[a]}_${shortName[b]}_${shortName[out]}_${tile.rows}_${
    aRows ? "r" : "c"
  }${bRows ? "r" : "c"}`;
}

/** Text of the kernel. */
function textOf(form: Form): string {
  const { a, b, out, tile } = form, { rows, columns, depth, threadRows, threadColumns } = tile;
  const name = nameOf(form), held = heldType(a, b);
  const threads = rows / threadRows * (columns / threadColumns);
  const across = columns / threadColumns, down = rows / threadRows;
  // Elements of one access of shared memory: 16 bytes.
  const wide = Math.min(threadRows, held === "double" || held === "i64" ? 2 : 4);
  const aEach = rows * depth / threads, bEach = columns * depth / threads;
  const element = elements[out];
  const whole = held === "int" || held === "i64";
  const multiply = whole ? "addInt(sum[i][j], mulInt(x[i], y[j]))" : "sum[i][j] + x[i] * y[j]";
  const dims = Array.from({ length: BATCH_DIMS }, (_, d) => d);
  return `
extern "C" __global__ void __launch_bounds__(${threads}) ${name}(
    const ${elements[a].stored} *pa, const ${elements[b].stored} *pb, ${element.stored} *pc,
    int m, int n, int k, i64 aRow, i64 aColumn, i64 bRow, i64 bColumn, i64 cRow, i64 cColumn,
    int accumulate, int batches${
    dims.map((d) => `, int count${d}, i64 a${d}, i64 b${d}, i64 c${d}`).join("")
  }) {
  alignas(16) __shared__ ${held} as[${depth}][${rows + wide}];
  alignas(16) __shared__ ${held} bs[${depth}][${columns + wide}];
  const int t = threadIdx.x, tileRows = (m + ${rows - 1}) / ${rows};
  const int row = (int)(blockIdx.x % tileRows) * ${rows};
  const int column = (int)(blockIdx.x / tileRows) * ${columns};
  const int mine = t / ${across}, own = t % ${across};
  for (int batch = blockIdx.y; batch < batches; batch += gridDim.y) {
    i64 aAt = 0, bAt = 0, cAt = 0;
    int rest = batch;
${
    [...dims].reverse().map((d) =>
      `    { const int at = rest % count${d}; rest /= count${d}; aAt += at * a${d}; bAt += at * b${d}; cAt += at * c${d}; }`
    ).join("\n")
  }
    const ${elements[a].stored} *ga = pa + aAt;
    const ${elements[b].stored} *gb = pb + bAt;
    ${held} nextA[${aEach}], nextB[${bEach}], sum[${threadRows}][${threadColumns}];
#pragma unroll
    for (int i = 0; i < ${threadRows}; ++i)
#pragma unroll
      for (int j = 0; j < ${threadColumns}; ++j) sum[i][j] = (${held})0;
    const int steps = (k + ${depth - 1}) / ${depth};
    for (int step = 0; step <= steps; ++step) {
      if (step < steps) {
        const int from = step * ${depth};
#pragma unroll
        for (int e = 0; e < ${aEach}; ++e) {
          const int i = t + e * ${threads};
          const int r = row + ${form.aRows ? `i / ${depth}` : `i % ${rows}`};
          const int d = from + ${form.aRows ? `i % ${depth}` : `i / ${rows}`};
          nextA[e] = r < m && d < k ? (${held})${
    elements[a].read("ga[r * aRow + d * aColumn]")
  } : (${held})0;
        }
#pragma unroll
        for (int e = 0; e < ${bEach}; ++e) {
          const int i = t + e * ${threads};
          const int c = column + ${form.bRows ? `i % ${columns}` : `i / ${depth}`};
          const int d = from + ${form.bRows ? `i / ${columns}` : `i % ${depth}`};
          nextB[e] = c < n && d < k ? (${held})${
    elements[b].read("gb[d * bRow + c * bColumn]")
  } : (${held})0;
        }
      }
      if (step > 0) {
#pragma unroll
        for (int d = 0; d < ${depth}; ++d) {
          ${held} x[${threadRows}], y[${threadColumns}];
#pragma unroll
          for (int g = 0; g < ${threadRows / wide}; ++g) {
            const Pack<${held}, ${wide}> p = loadPack<${held}, ${wide}>(&as[d][g * ${
    down * wide
  } + mine * ${wide}]);
#pragma unroll
            for (int i = 0; i < ${wide}; ++i) x[g * ${wide} + i] = p.x[i];
          }
#pragma unroll
          for (int g = 0; g < ${threadColumns / wide}; ++g) {
            const Pack<${held}, ${wide}> p = loadPack<${held}, ${wide}>(&bs[d][g * ${
    across * wide
  } + own * ${wide}]);
#pragma unroll
            for (int j = 0; j < ${wide}; ++j) y[g * ${wide} + j] = p.x[j];
          }
#pragma unroll
          for (int i = 0; i < ${threadRows}; ++i)
#pragma unroll
            for (int j = 0; j < ${threadColumns}; ++j) sum[i][j] = ${multiply};
        }
      }
      __syncthreads();
      if (step < steps) {
#pragma unroll
        for (int e = 0; e < ${aEach}; ++e) {
          const int i = t + e * ${threads};
          as[${form.aRows ? `i % ${depth}` : `i / ${rows}`}][${
    form.aRows ? `i / ${depth}` : `i % ${rows}`
  }] = nextA[e];
        }
#pragma unroll
        for (int e = 0; e < ${bEach}; ++e) {
          const int i = t + e * ${threads};
          bs[${form.bRows ? `i / ${columns}` : `i % ${depth}`}][${
    form.bRows ? `i % ${columns}` : `i / ${depth}`
  }] = nextB[e];
        }
      }
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < ${threadRows}; ++i) {
      const int r = row + i / ${wide} * ${down * wide} + mine * ${wide} + i % ${wide};
#pragma unroll
      for (int j = 0; j < ${threadColumns}; ++j) {
        const int c = column + j / ${wide} * ${across * wide} + own * ${wide} + j % ${wide};
        if (r < m && c < n) {
          ${element.stored} *to = pc + cAt + r * cRow + c * cColumn;
          if (accumulate) sum[i][j] = ${
    whole
      ? `addInt(sum[i][j], (${held})${element.read("*to")})`
      : `sum[i][j] + (${held})${element.read("*to")}`
  };
          *to = ${element.write(`(${element.held})sum[i][j]`)};
        }
      }
    }
  }
}
`;
}

/** Products of any dtype and strides: `out = a @ b`, summed in float32, in float64 for float64, in whole numbers that wrap for whole numbers. */
export const cudaMatmul: RoutineMaker<"matmul"> = (runtime) => (call, buffers) => {
  const product = readProduct(call.operands), { m, n, k, a, b, c, batch } = product;
  if (m === 0 || n === 0) return { start: () => {} };
  const order = product.first === 0 ? [0, 1, 2] : [1, 0, 2];
  const types = order.map((i) => call.operands[i].dtype);
  const pointers = order.map((i) => (buffers[i] as CudaBuffer).pointer);
  const tile = chooseTile(product, heldType(types[0], types[1]));
  const form: Form = {
    a: types[0],
    b: types[1],
    out: types[2],
    tile,
    aRows: a.colStride === 1,
    bRows: b.colStride === 1,
  };
  const inner = batch.slice(-BATCH_DIMS);
  // `outerOffsets` leaves the last dimension out: the ones that a launch goes through count as one.
  const outer = outerOffsets({
    ...product,
    batch: [...batch.slice(0, -BATCH_DIMS), { count: 1, a: 0, b: 0, c: 0 }],
  });
  const dims = [
    ...Array.from({ length: BATCH_DIMS - inner.length }, () => ({ count: 1, a: 0, b: 0, c: 0 })),
    ...inner,
  ];
  const batches = inner.reduce((total, x) => total * x.count, 1);
  if (batches === 0) return { start: () => {} };
  const text = textOf(form), name = nameOf(form);
  const threads = tile.rows / tile.threadRows * (tile.columns / tile.threadColumns);
  const launches = outer.map((o): Launch =>
    runtime.launcher(text, name, {
      grid: [tilesOf(product, tile), Math.min(batches, 65535)],
      block: [threads],
    }, [
      { pointer: pointers[0] + o.a * dtypes[types[0]].bytes },
      { pointer: pointers[1] + o.b * dtypes[types[1]].bytes },
      { pointer: pointers[2] + o.c * dtypes[types[2]].bytes },
      ...[m, n, k].map(int),
      ...[a.rowStride, a.colStride, b.rowStride, b.colStride, c.rowStride, c.colStride].map(long),
      int(call.params.accumulate ? 1 : 0),
      int(batches),
      ...dims.flatMap((d) => [int(d.count), long(d.a), long(d.b), long(d.c)]),
    ])
  );
  return inOrder(launches);
};
