/**
 * Products of eight-bit matrices by cuBLASLt: compute capability 8.9 and later. The library takes one layout, both factors with their summed dimension in order and in whole
 * multiples of 16 bytes, which is how `quantizeFloat8` writes them; scales are read from device memory when the product runs.
 */
import { cublasLtEpilogue_t as epilogues, cublasLtMatmulDescAttributes_t as desc } from "@pta/ffi";
import type { Launch, RoutineCall } from "../../device.ts";
import type { DType } from "../../dtype.ts";
import { type Float8Format, float8Place } from "../../float8_format.ts";
import { type Prepared, PreparedProducts } from "./cublas_launch.ts";
import { alignment, COMPUTE_32F, type CublasLt, dataTypes, type Four } from "./cublas_open.ts";
import { addressOf, type CudaBuffer } from "./memory.ts";

/** cudaDataType of the formats. */
const float8Types: Readonly<Record<Float8Format, number>> = { e4m3: 28, e5m2: 29 };

/** What tells a product from others. */
interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Float8Format;
  readonly b: Float8Format;
  readonly out: DType;
  readonly fast: boolean;
}

/** Products of eight-bit matrices, whose choices are kept for equal shapes. */
export class CublasFloat8 {
  readonly #lt: CublasLt;
  readonly #products: PreparedProducts;

  /** @param lt The library of the device */
  constructor(lt: CublasLt) {
    this.#lt = lt;
    this.#products = new PreparedProducts(lt);
  }

  /** A product of buffers; undefined for one that the library does not make: rows of the result that are not whole multiples of 16 bytes, two factors in E5M2, nothing to sum. */
  bind(call: RoutineCall<"matmulFloat8">, buffers: readonly CudaBuffer[]): Launch | undefined {
    const { a, b, fast } = call.params, left = float8Place(a), right = float8Place(b);
    const out = call.operands[4].dtype, [m, n, k] = [left.rows, right.rows, left.length];
    if (m === 0 || n === 0) return () => {};
    const at = call.operands.map((o, i) => addressOf(o, buffers[i]));
    const [pa, pb, aScale, bScale, pc] = [at[0] + left.start, at[1] + right.start, ...at.slice(2)];
    const fits = k > 0 && n % 16 === 0 && !(a.format === "e5m2" && b.format === "e5m2") &&
      dataTypes[out] !== undefined && out !== "float64" &&
      [pa, pb, pc].every((p) => p % 16 === 0);
    if (!fits) return undefined;
    // Column-major: the library's A is our second factor.
    const scales = { a: BigUint64Array.of(BigInt(bScale)), b: BigUint64Array.of(BigInt(aScale)) };
    const shape = { m, n, k, a: a.format, b: b.format, out, fast };
    const place = { a: pb, b: pa, c: pc, d: pc }, c = alignment([pc]);
    const align = { a: alignment([pb]), b: alignment([pa]), c, d: c };
    const prepared = this.#prepare(shape, scales, align);
    if (prepared === undefined) return undefined;
    return this.#products.bind(prepared, [place], {
      set: () => this.#setScales(prepared.descriptor, scales),
    });
  }

  #setScales(
    descriptor: bigint,
    { a, b }: { a: BigUint64Array<ArrayBuffer>; b: BigUint64Array<ArrayBuffer> },
  ): void {
    const { calls } = this.#lt;
    calls.cublasLtMatmulDescSetAttribute(
      descriptor,
      desc.CUBLASLT_MATMUL_DESC_A_SCALE_POINTER,
      a,
      8,
    );
    calls.cublasLtMatmulDescSetAttribute(
      descriptor,
      desc.CUBLASLT_MATMUL_DESC_B_SCALE_POINTER,
      b,
      8,
    );
  }

  #prepare(
    shape: Shape,
    scales: { a: BigUint64Array<ArrayBuffer>; b: BigUint64Array<ArrayBuffer> },
    align: Four<number>,
  ): Prepared | undefined {
    const key = `float8 ${JSON.stringify(shape)} ${align.a} ${align.b} ${align.c}`;
    return this.#products.prepare(key, align, () => {
      const { m, n, k, a, b, out, fast } = shape, lt = this.#lt;
      const descriptor = lt.describe(COMPUTE_32F, dataTypes.float32!, [
        [desc.CUBLASLT_MATMUL_DESC_TRANSA, Int32Array.of(1)],
        [desc.CUBLASLT_MATMUL_DESC_TRANSB, Int32Array.of(0)],
        [desc.CUBLASLT_MATMUL_DESC_EPILOGUE, Int32Array.of(epilogues.CUBLASLT_EPILOGUE_DEFAULT)],
        [desc.CUBLASLT_MATMUL_DESC_FAST_ACCUM, Int8Array.of(fast ? 1 : 0)],
      ]);
      // The heuristic looks at whether there are scales.
      this.#setScales(descriptor, scales);
      const d = lt.layout(dataTypes[out]!, n, m, n);
      const layouts = {
        a: lt.layout(float8Types[b], k, n, k),
        b: lt.layout(float8Types[a], k, m, k),
        c: d,
        d,
      };
      return { descriptor, layouts };
    });
  }
}
