/** Matrix products by cuBLASLt. */
import {
  address,
  type CublasLtCalls,
  cublasLtEpilogue_t as epilogues,
  cublasLtMatmulDescAttributes_t as desc,
  cublasLtMatmulPreferenceAttributes_t as preference,
  cublasLtMatrixLayoutAttribute_t as layoutAttributes,
  openCublasLt,
} from "@pta/ffi";
import { log } from "../../debug.ts";
import type { Launch, RoutineCall } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { env } from "../../env.ts";
import { float32MatmulPrecision } from "../../matmul_precision.ts";
import { type Matrix, outerOffsets, type Product, readProduct } from "../product.ts";
import type { CudaBuffer } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";

/** cudaDataType of the dtypes that it multiplies. */
const dataTypes: { readonly [D in DType]?: number } = {
  float32: 0,
  float64: 1,
  float16: 2,
  bfloat16: 14,
};
const COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77;
/** Bytes of scratch memory that a product may use: what NVIDIA advises for its Hopper and later cards, and before. */
const workspaceBytes = (major: number) => (major >= 9 ? 32 : 8) << 20;
/** A heuristic's answer: the algorithm (64 bytes), the workspace it wants at 64, its state at 72. */
const RESULT = 96;
/** Candidates that are timed where tuning is asked for. */
const CANDIDATES = 6;

/** How a stored matrix is read, in the column-major words of BLAS. */
interface Stored {
  readonly transposed: boolean;
  readonly leading: number;
}

/** A product that has been prepared: everything but the addresses. */
interface Prepared {
  readonly descriptor: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly d: bigint;
  algorithm: Uint8Array<ArrayBuffer>;
  algorithmAddress: bigint;
  /** Other algorithms, to be timed at the first launch. */
  rivals: Uint8Array<ArrayBuffer>[];
}

/** Products by cuBLASLt, whose choices are kept for equal shapes. */
export class CublasProducts {
  readonly #runtime: CudaRuntime;
  readonly #calls: CublasLtCalls;
  readonly #handle: bigint;
  readonly #prepared: Map<string, Prepared | undefined> = new Map();
  readonly #scalars = new Float64Array(2);
  readonly #floats = new Float32Array(2);
  readonly #tunes: boolean = env("PTA_CUDA_TUNE") === "1";

  /**
   * @param runtime The device
   * @throws {Error} When cuBLASLt cannot be opened; lists each place that was tried
   */
  constructor(runtime: CudaRuntime) {
    this.#runtime = runtime;
    this.#calls = openCublasLt().calls;
    runtime.activate();
    const at = new BigUint64Array(1);
    this.#calls.cublasLtCreate(at);
    this.#handle = at[0];
    this.#scalars[0] = this.#floats[0] = 1;
  }

  /** A product of buffers; undefined for one that cuBLASLt does not make (integers, matrices with gaps in both directions, no inner size). */
  bind(call: RoutineCall<"matmul">, buffers: readonly CudaBuffer[]): Launch | undefined {
    const product = readProduct(call.operands), [x, y, out] = call.operands;
    const { m, n, k } = product, dtype = x.dtype;
    const float = dataTypes[dtype] !== undefined && y.dtype === dtype;
    const mixed = out.dtype === "float32" && (dtype === "float16" || dtype === "bfloat16");
    if (!float || (out.dtype !== dtype && !mixed) || k === 0) return undefined;
    if (m === 0 || n === 0) return () => {};
    const a = stored(product.a, m, k), b = stored(product.b, k, n);
    if (a === undefined || b === undefined || product.c.colStride !== 1) return undefined;
    if (product.c.rowStride < n && m > 1) return undefined;
    const at = buffers.map((buffer) => buffer.pointer);
    const [pa, pb] = product.first === 0 ? [at[0], at[1]] : [at[1], at[0]];
    const bytes = dtypes[dtype].bytes, outBytes = dtypes[out.dtype].bytes;
    const places = outerOffsets(product).map((o) => ({
      a: pa + o.a * bytes,
      b: pb + o.b * bytes,
      c: at[2] + o.c * outBytes,
    }));
    const align = (which: "a" | "b" | "c") => alignment(places.map((p) => p[which]));
    const { accumulate } = call.params;
    const prepared = this.#prepare(product, { a, b, dtype, out: out.dtype }, {
      a: align("a"),
      b: align("b"),
      c: align("c"),
    });
    if (prepared === undefined) return undefined;
    const { driver: _, stream, facts } = this.#runtime, calls = this.#calls;
    const room = workspaceBytes(facts.capability[0]), scratch = this.#runtime.workspace(room);
    const scalars = dtype === "float64" ? this.#scalars : this.#floats;
    const alpha = address(scalars),
      beta = accumulate ? alpha : alpha +
        BigInt(scalars.BYTES_PER_ELEMENT);
    const handle = this.#handle;
    const run = (algorithm: bigint) => {
      for (let i = 0; i < places.length; i++) {
        const p = places[i];
        // Column-major: the transposed product of the transposed factors.
        calls.cublasLtMatmul(
          handle,
          prepared.descriptor,
          alpha,
          p.b,
          prepared.b,
          p.a,
          prepared.a,
          beta,
          p.c,
          prepared.d,
          p.c,
          prepared.d,
          algorithm,
          scratch,
          room,
          stream,
        );
      }
    };
    return () => {
      if (prepared.rivals.length > 0 && !accumulate) this.#tune(prepared, run);
      run(prepared.algorithmAddress);
    };
  }

  /** Times the rivals once and keeps the fastest. The product is the same each time. */
  #tune(prepared: Prepared, run: (algorithm: bigint) => void): void {
    const { driver, stream } = this.#runtime, at = new BigUint64Array(1);
    const events = [0, 1].map(() => {
      driver.cuEventCreate(at, 0);
      return at[0];
    });
    const ms = new Float32Array(1);
    let best = Infinity;
    for (const algorithm of [prepared.algorithm, ...prepared.rivals]) {
      const where = address(algorithm);
      run(where);
      driver.cuEventRecord(events[0], stream);
      for (let i = 0; i < 3; i++) run(where);
      driver.cuEventRecord(events[1], stream);
      driver.cuEventSynchronize(events[1]);
      driver.cuEventElapsedTime(ms, events[0], events[1]);
      if (ms[0] >= best) continue;
      best = ms[0];
      prepared.algorithm = algorithm;
      prepared.algorithmAddress = where;
    }
    prepared.rivals = [];
    for (const event of events) driver.cuEventDestroy(event);
  }

  #prepare(
    p: Product,
    types: { a: Stored; b: Stored; dtype: DType; out: DType },
    align: { a: number; b: number; c: number },
  ): Prepared | undefined {
    const { a, b, dtype, out } = types, last = p.batch.at(-1);
    const tf32 = dtype === "float32" &&
      float32MatmulPrecision() !== "highest";
    const key = `${p.m} ${p.n} ${p.k} ${JSON.stringify(types)} ${p.c.rowStride} ${
      last === undefined ? "" : `${last.count} ${last.a} ${last.b} ${last.c}`
    } ${align.a} ${align.b} ${align.c} ${tf32}`;
    if (this.#prepared.has(key)) return this.#prepared.get(key);
    const lt = this.#calls, at = new BigUint64Array(1);
    const compute = dtype === "float64" ? COMPUTE_64F : tf32 ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
    lt.cublasLtMatmulDescCreate(at, compute, dtype === "float64" ? 1 : 0);
    const descriptor = at[0];
    const set = (attribute: number, value: number) =>
      lt.cublasLtMatmulDescSetAttribute(descriptor, attribute, Int32Array.of(value), 4);
    set(desc.CUBLASLT_MATMUL_DESC_TRANSA, b.transposed ? 1 : 0);
    set(desc.CUBLASLT_MATMUL_DESC_TRANSB, a.transposed ? 1 : 0);
    set(desc.CUBLASLT_MATMUL_DESC_EPILOGUE, epilogues.CUBLASLT_EPILOGUE_DEFAULT);
    const layout = (
      type: DType,
      rows: number,
      columns: number,
      leading: number,
      stride: number | undefined,
    ): bigint => {
      lt.cublasLtMatrixLayoutCreate(at, dataTypes[type]!, rows, columns, leading);
      const made = at[0];
      if (stride !== undefined) {
        const { CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET } =
          layoutAttributes;
        lt.cublasLtMatrixLayoutSetAttribute(
          made,
          CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
          Int32Array.of(last!.count),
          4,
        );
        lt.cublasLtMatrixLayoutSetAttribute(
          made,
          CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
          BigInt64Array.of(BigInt(stride)),
          8,
        );
      }
      return made;
    };
    const layouts = {
      b: b.transposed
        ? layout(dtype, p.k, p.n, b.leading, last?.b)
        : layout(dtype, p.n, p.k, b.leading, last?.b),
      a: a.transposed
        ? layout(dtype, p.m, p.k, a.leading, last?.a)
        : layout(dtype, p.k, p.m, a.leading, last?.a),
      d: layout(out, p.n, p.m, Math.max(p.n, p.c.rowStride), last?.c),
    };
    const found = this.#heuristic(descriptor, layouts, align);
    const [algorithm, ...rivals] = found;
    const prepared = algorithm && {
      descriptor,
      ...layouts,
      algorithm,
      algorithmAddress: address(algorithm),
      rivals: this.#tunes ? rivals : [],
    };
    if (prepared === undefined) log(1, `cuBLASLt has no algorithm for ${key}`);
    this.#prepared.set(key, prepared);
    return prepared;
  }

  #heuristic(
    descriptor: bigint,
    layouts: { a: bigint; b: bigint; d: bigint },
    align: { a: number; b: number; c: number },
  ): Uint8Array<ArrayBuffer>[] {
    const lt = this.#calls, at = new BigUint64Array(1), count = new Int32Array(1);
    lt.cublasLtMatmulPreferenceCreate(at);
    const wishes = at[0], room = workspaceBytes(this.#runtime.facts.capability[0]);
    lt.cublasLtMatmulPreferenceSetAttribute(
      wishes,
      preference.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
      BigUint64Array.of(BigInt(room)),
      8,
    );
    const alignments = [
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, align.b],
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, align.a],
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, align.c],
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, align.c],
    ];
    for (const [attribute, bytes] of alignments) {
      lt.cublasLtMatmulPreferenceSetAttribute(wishes, attribute, Int32Array.of(bytes), 4);
    }
    const wanted = this.#tunes ? CANDIDATES : 1, results = new Uint8Array(RESULT * wanted);
    const status = lt.cublasLtMatmulAlgoGetHeuristic(
      this.#handle,
      descriptor,
      layouts.b,
      layouts.a,
      layouts.d,
      layouts.d,
      wishes,
      wanted,
      results,
      count,
    );
    lt.cublasLtMatmulPreferenceDestroy(wishes);
    if (status !== 0) return [];
    return Array.from({ length: count[0] }, (_, i) => results.slice(i * RESULT, i * RESULT + 64));
  }
}

/** How BLAS reads a matrix of the product: as its row-major self, or transposed; undefined when it has gaps in both directions. */
function stored(x: Matrix, rows: number, columns: number): Stored | undefined {
  if (x.colStride === 1 && x.rowStride >= Math.max(1, columns)) {
    return { transposed: false, leading: x.rowStride };
  }
  if (x.rowStride === 1 && x.colStride >= Math.max(1, rows)) {
    return { transposed: true, leading: x.colStride };
  }
  return undefined;
}

/** The largest power of two up to 256 that divides all addresses. */
function alignment(addresses: readonly number[]): number {
  let bytes = 256;
  while (addresses.some((a) => a % bytes !== 0)) bytes /= 2;
  return bytes;
}
