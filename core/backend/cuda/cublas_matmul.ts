/** Matrix products by cuBLASLt. */
import { cublasLtEpilogue_t as epilogues, cublasLtMatmulDescAttributes_t as desc } from "@pta/ffi";
import type { Activation, Launch, RoutineCall } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { float32MatmulPrecision } from "../../matmul_precision.ts";
import { type Matrix, outerOffsets, type Product, readProduct } from "../product.ts";
import { type Prepared, PreparedProducts } from "./cublas_launch.ts";
import {
  alignment,
  COMPUTE_32F,
  COMPUTE_32F_FAST_TF32,
  COMPUTE_64F,
  type CublasLt,
  dataTypes,
  type Four,
} from "./cublas_open.ts";
import type { CudaBuffer } from "./memory.ts";

/** What a product does at its end; the address of the bias is set for each launch. */
interface Ending {
  readonly activation: Activation;
  readonly bias: number;
}

const endings: Readonly<Record<Activation, number>> = {
  none: epilogues.CUBLASLT_EPILOGUE_BIAS,
  relu: epilogues.CUBLASLT_EPILOGUE_RELU_BIAS,
  gelu: epilogues.CUBLASLT_EPILOGUE_GELU_BIAS,
};

/** How a stored matrix is read, in the column-major words of BLAS. */
interface Stored {
  readonly transposed: boolean;
  readonly leading: number;
}

/** Products by cuBLASLt, whose choices are kept for equal shapes. */
export class CublasProducts {
  readonly #lt: CublasLt;
  readonly #products: PreparedProducts;

  /** @param lt The library of the device */
  constructor(lt: CublasLt) {
    this.#lt = lt;
    this.#products = new PreparedProducts(lt);
  }

  /** A product of buffers; undefined for one that cuBLASLt does not make (integers, matrices with gaps in both directions, no inner size). */
  bind(
    call: RoutineCall<"matmul">,
    buffers: readonly CudaBuffer[],
    ending?: Ending,
  ): Launch | undefined {
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
    // Column-major: the transposed product of the transposed factors.
    const places = outerOffsets(product).map((o) => {
      const c = at[2] + o.c * outBytes;
      return { a: pb + o.b * bytes, b: pa + o.a * bytes, c, d: c };
    });
    const align = (which: keyof Four<number>) => alignment(places.map((p) => p[which]));
    const prepared = this.#prepare(
      product,
      { a, b, dtype, out: out.dtype },
      { a: align("a"), b: align("b"), c: align("c"), d: align("d") },
      ending,
    );
    if (prepared === undefined) return undefined;
    const bias = ending && BigUint64Array.of(BigInt(ending.bias));
    return this.#products.bind(prepared, places, {
      accumulate: call.params.accumulate,
      doubles: dtype === "float64",
      set: bias && (() => this.#setBias(prepared.descriptor, bias)),
    });
  }

  #setBias(descriptor: bigint, bias: BigUint64Array<ArrayBuffer>): void {
    const { CUBLASLT_MATMUL_DESC_BIAS_POINTER } = desc;
    this.#lt.calls.cublasLtMatmulDescSetAttribute(
      descriptor,
      CUBLASLT_MATMUL_DESC_BIAS_POINTER,
      bias,
      8,
    );
  }

  #prepare(
    p: Product,
    types: { a: Stored; b: Stored; dtype: DType; out: DType },
    align: Four<number>,
    ending: Ending | undefined,
  ): Prepared | undefined {
    const { a, b, dtype, out } = types, last = p.batch.at(-1), lt = this.#lt;
    const tf32 = dtype === "float32" && float32MatmulPrecision() !== "highest";
    // What is measured is kept on disk by this text: first the alignment of our own first factor.
    const key = `${p.m} ${p.n} ${p.k} ${JSON.stringify(types)} ${p.c.rowStride} ${
      last === undefined ? "" : `${last.count} ${last.a} ${last.b} ${last.c}`
    } ${align.b} ${align.a} ${align.c} ${tf32} ${
      ending === undefined ? "" : `${ending.activation} ${alignment([ending.bias])}`
    }`;
    return this.#products.prepare(key, align, () => {
      const doubles = dtype === "float64";
      const compute = doubles ? COMPUTE_64F : tf32 ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
      const descriptor = lt.describe(compute, dataTypes[doubles ? "float64" : "float32"]!, [
        [desc.CUBLASLT_MATMUL_DESC_TRANSA, Int32Array.of(b.transposed ? 1 : 0)],
        [desc.CUBLASLT_MATMUL_DESC_TRANSB, Int32Array.of(a.transposed ? 1 : 0)],
        [
          desc.CUBLASLT_MATMUL_DESC_EPILOGUE,
          Int32Array.of(
            ending === undefined ? epilogues.CUBLASLT_EPILOGUE_DEFAULT : endings[ending.activation],
          ),
        ],
      ]);
      // The heuristic looks at the address's alignment.
      if (ending !== undefined) {
        this.#setBias(descriptor, BigUint64Array.of(BigInt(ending.bias)));
      }
      const layout = (
        type: DType,
        [rows, columns]: readonly [number, number],
        leading: number,
        stride: number | undefined,
      ): bigint =>
        lt.layout(
          dataTypes[type]!,
          rows,
          columns,
          leading,
          stride === undefined ? undefined : { count: last!.count, stride },
        );
      const d = layout(out, [p.n, p.m], Math.max(p.n, p.c.rowStride), last?.c);
      const layouts = {
        a: layout(dtype, b.transposed ? [p.k, p.n] : [p.n, p.k], b.leading, last?.b),
        b: layout(dtype, a.transposed ? [p.m, p.k] : [p.k, p.m], a.leading, last?.a),
        c: d,
        d,
      };
      return { descriptor, layouts };
    });
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
