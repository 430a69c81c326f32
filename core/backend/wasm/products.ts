/** Matrix products by the system's BLAS, packed kernels or plain loops. */
import { type Blas, ffiGranted, openBlas } from "@pta/ffi";
import { log } from "../../debug.ts";
import type { Buffer, Launch, RoutineCall } from "../../device.ts";
import { dtypes } from "../../dtype.ts";
import { env } from "../../env.ts";
import { elements } from "./element.ts";
import { gemmModule } from "./gemm.ts";
import { directModule, directTile } from "./gemm_direct.ts";
import { dotModule, dotTile } from "./gemm_dot.ts";
import { Casts, halfProduct, isHalfProduct } from "./half_matmul.ts";
import { bindCall } from "./launch.ts";
import { outerOffsets, type Product, readProduct } from "../product.ts";
import type { WasmMemory } from "./memory.ts";
import { plainProduct } from "./plain_matmul.ts";
import { makeJob, type Pool, type WasmCode, type WasmFunction } from "./pool.ts";
import { chooseMethod, fusedMultiplyAdd, type Method, tiles, turbo } from "./tiles.ts";

/** Options of the routines; each defaults to its environment variable. */
export interface RoutineOptions {
  /** `auto`, `off` or a path; `PTA_BLAS`. */
  readonly blas?: string;
  /** How all products are made, for tests; chosen by shape otherwise. */
  readonly method?: Method;
  /** Fused multiply-add; `PTA_FMA`. */
  readonly fused?: boolean;
}

type Packed = "float32" | "float64";

/** Multiplications below which a call into the BLAS costs more than it saves. */
const BLAS_WORK = 1 << 13;
/** Rows for which the direct kernel is faster than the BLAS. */
const VECTOR_ROWS = 2;
/** Multiplications below which a product stays on one thread: about 20 microseconds. */
const PARALLEL_WORK = 1 << 19;

interface Kernel {
  readonly workBytes: number;
  readonly code: WasmCode;
  readonly run: WasmFunction;
}

/** A product with the addresses of its buffers. */
interface Bound {
  readonly product: Product;
  readonly dtype: Packed;
  readonly accumulate: boolean;
  /** Addresses of A, B and C in bytes. */
  readonly at: readonly [number, number, number];
}

/** Matrix products over one memory. */
export class Products {
  readonly #kernels = new Map<string, Kernel>();
  readonly #wide = turbo();
  readonly #casts: Casts;
  readonly #fused: boolean;
  #blas: Blas | undefined;
  #base: Deno.PointerObject | undefined;

  /** Looks for a BLAS now; kernels are made when they are first needed. */
  constructor(readonly memory: WasmMemory, readonly pool: Pool, readonly options: RoutineOptions) {
    this.#casts = new Casts(memory);
    this.#fused = options.fused ?? fusedMultiplyAdd();
    const wanted = options.blas ?? env("PTA_BLAS") ?? "auto";
    if (wanted === "off" || (wanted === "auto" && !ffiGranted())) return;
    try {
      this.#blas = openBlas(wanted === "auto" ? undefined : wanted);
      this.#blas.setThreads(pool.threads);
      this.#base = Deno.UnsafePointer.of(
        memory.u8 as unknown as BufferSource,
      ) as Deno.PointerObject;
      log(1, `matrix products by ${this.#blas.path}`);
    } catch (error) {
      // A path that somebody named must work; a library that happens to be missing is no error.
      if (wanted !== "auto") throw error;
      log(1, "matrix products by the embedded kernels: no BLAS was found");
    }
  }

  /** A product of buffers. */
  bind(call: RoutineCall<"matmul">, buffers: readonly Buffer[]): Launch {
    const { dtype } = call.operands[2];
    const product = readProduct(call.operands);
    const packed = (dtype === "float32" || dtype === "float64") &&
      call.operands.every((o) => o.dtype === dtype);
    if (isHalfProduct(call.operands)) {
      const wide = (c: RoutineCall<"matmul">, b: readonly Buffer[]) => this.bind(c, b);
      return halfProduct(call, buffers, this.#casts, wide);
    }
    // The packed kernels write C with the first block of the inner dimension, so there must be one.
    if (!packed || product.c.colStride !== 1 || product.k === 0) {
      return plainProduct(call, buffers, this.memory);
    }
    return this.at(call, buffers.map((x) => this.memory.address(x)));
  }

  /** A product of float32 or float64 operands at addresses, whose inner size is not 0 and whose result has rows or columns in order. */
  at(call: RoutineCall<"matmul">, [a, b, c]: readonly number[]): Launch {
    const { accumulate } = call.params, dtype = call.operands[2].dtype as Packed;
    const product = readProduct(call.operands);
    const at = product.first === 0 ? [a, b, c] as const : [b, a, c] as const;
    const bound: Bound = { product, dtype, accumulate, at };
    return this.#byBlas(bound) ?? this.#embedded(bound);
  }

  #byBlas({ product: p, dtype, accumulate, at }: Bound): Launch | undefined {
    const blas = this.#blas, base = this.#base;
    if (blas === undefined || base === undefined || p.m * p.n * p.k < BLAS_WORK) return undefined;
    const { lanes } = elements[dtype];
    if (p.m <= VECTOR_ROWS && rowMajor(p) && p.n % lanes === 0) return undefined;
    const layout = (rows: number, columns: number, m: Product["a"]) =>
      m.colStride === 1 && m.rowStride >= Math.max(1, columns)
        ? { transposed: false, leading: m.rowStride }
        : m.rowStride === 1 && m.colStride >= Math.max(1, rows)
        ? { transposed: true, leading: m.colStride }
        : undefined;
    const a = layout(p.m, p.k, p.a), b = layout(p.k, p.n, p.b);
    if (a === undefined || b === undefined || p.c.rowStride < p.n) return undefined;
    const { bytes } = dtypes[dtype], last = p.batch.at(-1);
    const pointer = (which: number, offset: number) =>
      Deno.UnsafePointer.offset(base, at[which] + offset * bytes) as Deno.PointerObject;
    const calls = outerOffsets(p).flatMap((o) =>
      Array.from({ length: last?.count ?? 1 }, (_, i) =>
        blas.prepare({
          dtype,
          m: p.m,
          n: p.n,
          k: p.k,
          a: { ...a, pointer: pointer(0, o.a + i * (last?.a ?? 0)) },
          b: { ...b, pointer: pointer(1, o.b + i * (last?.b ?? 0)) },
          c: { leading: p.c.rowStride, pointer: pointer(2, o.c + i * (last?.c ?? 0)) },
          accumulate,
        }))
    );
    return inOrder(calls);
  }

  #kernel(dtype: Packed, method: Method): Kernel {
    const key = `${dtype} ${method}`;
    let kernel = this.#kernels.get(key);
    if (kernel === undefined) {
      const element = elements[dtype], fused = this.#fused;
      const { bytes, workBytes } = method === "direct"
        ? { bytes: directModule(element, fused), workBytes: 0 }
        : method === "dot"
        ? { bytes: dotModule(element, fused), workBytes: 0 }
        : gemmModule({ element, tile: tiles[method], fused });
      const imports = { e: { m: this.memory.memory } };
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
      const run = instance.exports.gemm as WasmFunction;
      this.#kernels.set(key, kernel = { workBytes, code: { bytes }, run });
    }
    return kernel;
  }

  #embedded(bound: Bound): Launch {
    const { product: p, dtype, accumulate, at } = bound, { bytes, lanes } = elements[dtype];
    const method = this.options.method ??
      chooseMethod({ ...p, rowMajor: rowMajor(p), inner: inner(p, dtype), lanes }, this.#wide);
    const { workBytes, code, run } = this.#kernel(dtype, method);
    const { rows, columns } = tileOf(method, lanes);
    const { base, stride } = this.pool.scratch(workBytes);
    const last = p.batch.at(-1) ?? { count: 1, a: 0, b: 0, c: 0 };
    /** Arguments for `m` rows and `n` columns from (`row`, `column`) of `count` products from number `first`. */
    const args = (
      o: { a: number; b: number; c: number },
      { row = 0, column = 0, m = p.m, n = p.n, first = 0, count = last.count },
    ): number[] => [
      m,
      n,
      p.k,
      at[0] + bytes * (o.a + first * last.a + row * p.a.rowStride),
      p.a.rowStride,
      p.a.colStride,
      at[1] + bytes * (o.b + first * last.b + column * p.b.colStride),
      p.b.rowStride,
      p.b.colStride,
      at[2] + bytes * (o.c + first * last.c + row * p.c.rowStride + column),
      p.c.rowStride,
      accumulate ? 1 : 0,
      base,
      count,
      last.a,
      last.b,
      last.c,
    ];
    const parts = this.#split(p, last.count, rows, columns);
    const calls = outerOffsets(p).map((o): Launch => {
      if (parts.length === 1) return bindCall(run, args(o, {}));
      const chunks = parts.map((part) => args(o, part));
      const job = makeJob({ fn: run, module: code, exportIndex: 0 }, chunks, {
        slot: 12,
        base,
        stride,
      });
      return () => this.pool.run(job);
    });
    return inOrder(calls);
  }

  /** How a product is shared among threads: by products of a batch, else by rows or columns, in whole tiles. */
  #split(p: Product, count: number, rows: number, columns: number): {
    row?: number;
    column?: number;
    m?: number;
    n?: number;
    first?: number;
    count?: number;
  }[] {
    const threads = this.pool.threads, work = p.m * p.n * p.k * count;
    if (threads < 2 || work < PARALLEL_WORK) return [{}];
    const chunks = threads * (work > 8 * PARALLEL_WORK ? 2 : 1);
    const spans = (size: number, grain: number) => {
      const step = Math.ceil(size / chunks / grain) * grain;
      return Array.from(
        { length: Math.ceil(size / step) },
        (_, i) => ({ from: i * step, length: Math.min(step, size - i * step) }),
      );
    };
    if (count >= threads) return spans(count, 1).map((s) => ({ first: s.from, count: s.length }));
    return p.m >= p.n
      ? spans(p.m, rows).map((s) => ({ row: s.from, m: s.length }))
      : spans(p.n, columns).map((s) => ({ column: s.from, n: s.length }));
  }
}

/** The register tile of a method, in rows and columns of the result. */
function tileOf(method: Method, lanes: number): { rows: number; columns: number } {
  if (method === "dot") return dotTile;
  const { rows, vectors } = method === "direct" ? directTile : tiles[method];
  return { rows, columns: vectors * lanes };
}

/** Whether the inner-product kernel can make a product. */
const inner = (p: Product, dtype: Packed): boolean =>
  dtype === "float32" && p.a.colStride === 1 && p.b.rowStride === 1 && p.k % 4 === 0 &&
  p.n % 2 === 0;

const rowMajor = (p: Product): boolean => p.a.colStride === 1 && p.b.colStride === 1;

/** Runs calls one after the other. */
export function inOrder(calls: readonly Launch[]): Launch {
  if (calls.length === 1) return calls[0];
  return () => {
    for (let i = 0; i < calls.length; i++) calls[i]();
  };
}
