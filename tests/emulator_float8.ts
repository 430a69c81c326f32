/** Products of eight-bit floats by cuBLASLt through the bindings: one against loops, and what the library refuses; used by tests/emulator_scenarios.ts. */
import { address, CublasError, type DriverCalls, openCublasLt } from "@pta/ffi";
import { decodeFloat8, encodeFloat8, type Float8Format } from "../core/float8_format.ts";

/** A product `[m, k] x [k, n]` in the library's column-major words; what is absent is as the library wants it. */
interface Case {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: number;
  readonly b: number;
  readonly d: number;
  readonly transposeA: number;
  readonly transposeB: number;
  readonly compute: number;
  readonly epilogue: number;
}

const types = { e4m3: 28, e5m2: 29, bfloat16: 14, float32: 0, float64: 1 } as const;
const right: Case = {
  m: 16,
  n: 5,
  k: 48,
  a: types.e4m3,
  b: types.e5m2,
  d: types.float32,
  transposeA: 1,
  transposeB: 0,
  compute: 68,
  epilogue: 1,
};

/** Differences from {@linkcode right} that no algorithm is found for. */
const refused: readonly Partial<Case>[] = [
  { transposeA: 0, m: 48, k: 16 },
  { transposeB: 1, n: 48 },
  { a: types.e5m2 },
  { b: types.bfloat16 },
  { k: 40 },
  { m: 18 },
  { m: 20, d: types.bfloat16 },
  { d: types.float64 },
  { compute: 77 },
  { epilogue: 152 },
];

/** The largest difference of a right product, then 1 for each misuse that was refused. */
export function float8Products(driver: DriverCalls, stream: bigint): number[] {
  const lt = openCublasLt().calls, at = new BigUint64Array(1);
  lt.cublasLtCreate(at);
  const [handle] = at;
  const device = (data: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>): number => {
    driver.cuMemAlloc(at, data.byteLength);
    const pointer = Number(at[0]);
    driver.cuMemcpyHtoDAsync(pointer, data, data.byteLength, stream);
    return pointer;
  };
  const describe = (c: Case) => {
    lt.cublasLtMatmulDescCreate(at, c.compute, 0);
    const [desc] = at;
    const set = (attribute: number, value: Int32Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>) =>
      lt.cublasLtMatmulDescSetAttribute(desc, attribute, value, value.byteLength);
    set(3, Int32Array.of(c.transposeA));
    set(4, Int32Array.of(c.transposeB));
    set(7, Int32Array.of(c.epilogue));
    const layout = (type: number, rows: number, columns: number) => {
      lt.cublasLtMatrixLayoutCreate(at, type, rows, columns, rows);
      return at[0];
    };
    const la = c.transposeA ? layout(c.a, c.k, c.m) : layout(c.a, c.m, c.k);
    const lb = c.transposeB ? layout(c.b, c.n, c.k) : layout(c.b, c.k, c.n);
    const ld = layout(c.d, c.m, c.n);
    lt.cublasLtMatmulPreferenceCreate(at);
    const [wishes] = at, results = new Uint8Array(96), count = new Int32Array(1);
    lt.cublasLtMatmulPreferenceSetAttribute(wishes, 1, BigUint64Array.of(1n << 20n), 8);
    for (const attribute of [5, 6, 7, 8]) {
      lt.cublasLtMatmulPreferenceSetAttribute(wishes, attribute, Int32Array.of(16), 4);
    }
    const status = lt.cublasLtMatmulAlgoGetHeuristic(
      handle,
      desc,
      la,
      lb,
      ld,
      ld,
      wishes,
      1,
      results,
      count,
    );
    return { set, desc, la, lb, ld, results, isTaken: status === 0 && count[0] === 1 };
  };

  const { m, n, k } = right;
  const bytes = (count: number, format: Float8Format, seed: number) =>
    Uint8Array.from({ length: count }, (_, i) => encodeFloat8(Math.sin(seed + 1.3 * i), format));
  const a = bytes(m * k, "e4m3", 1), b = bytes(n * k, "e5m2", 2), scales = [0.5, 0.3];
  const scaleAt = scales.map((s) => device(Float32Array.of(s)));
  const pa = device(a), pb = device(b), pd = device(new Float32Array(m * n + 2));
  driver.cuMemAlloc(at, 1 << 20);
  const workspace = Number(at[0]), scalars = Float32Array.of(1, 0), alpha = address(scalars);
  const r = describe(right);
  r.set(17, BigUint64Array.of(BigInt(scaleAt[0])));
  r.set(18, BigUint64Array.of(BigInt(scaleAt[1])));
  const run = ({ desc, la, lb, ld, results }: typeof r, d: number) =>
    lt.cublasLtMatmul(
      handle,
      desc,
      alpha,
      pa,
      la,
      pb,
      lb,
      alpha + 4n,
      d,
      ld,
      d,
      ld,
      address(results),
      workspace,
      1 << 20,
      stream,
    );
  run(r, pd);
  const got = new Float32Array(m * n);
  driver.cuMemcpyDtoHAsync(got, pd, got.byteLength, stream);
  driver.cuStreamSynchronize(stream);
  let most = r.isTaken ? 0 : Infinity;
  for (let j = 0; j < n; j++) {
    for (let i = 0; i < m; i++) {
      let sum = 0;
      for (let l = 0; l < k; l++) {
        sum += decodeFloat8(a[i * k + l], "e4m3") * decodeFloat8(b[j * k + l], "e5m2");
      }
      const difference = Math.abs(got[j * m + i] - sum * scales[0] * scales[1]);
      most = difference <= most ? most : difference;
    }
  }
  const throws = (call: () => void) => {
    try {
      call();
      return 0;
    } catch (error) {
      return error instanceof CublasError ? 1 : 0;
    }
  };
  const misuses = refused.map((change) => describe({ ...right, ...change }).isTaken ? 0 : 1);
  // A result at 8 bytes after a multiple of 16; a scale for a matrix that takes none.
  misuses.push(throws(() => run(r, pd + 8)));
  const plain = describe({ ...right, a: types.float32, b: types.float32 });
  plain.set(17, BigUint64Array.of(BigInt(scaleAt[0])));
  misuses.push(throws(() => run(plain, pd)));
  return [most, ...misuses];
}
