/** Products by cuBLASLt through the bindings, against loops; used by tests/emulator_scenarios.ts. */
import { address, CublasError, type DriverCalls, openCublasLt } from "@pta/ffi";

/** A product of column-major matrices with an epilogue. */
interface Case {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly beta?: number;
  readonly epilogue?: number;
  readonly batches?: number;
}

const cases: readonly Case[] = [
  { m: 3, n: 5, k: 4 },
  { m: 3, n: 5, k: 4, transposeA: true },
  { m: 7, n: 2, k: 9, transposeB: true, beta: 0.5 },
  { m: 4, n: 4, k: 4, transposeA: true, transposeB: true, batches: 3 },
  { m: 8, n: 5, k: 3, epilogue: 6 },
  { m: 8, n: 5, k: 3, epilogue: 164 },
  { m: 8, n: 5, k: 3, epilogue: 208 },
  { m: 8, n: 5, k: 3, epilogue: 512 },
];

const gelu = (x: number) =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
/** By differences, so that it shares nothing with the formula under test. */
const slope = (x: number) => (gelu(x + 1e-5) - gelu(x - 1e-5)) / 2e-5;
const numbers = (n: number, seed: number) =>
  Float32Array.from({ length: n }, (_, i) => Math.fround(Math.sin(seed + 1.7 * i)));

/** The largest difference of each case, then 1 for each misuse that was refused. */
export function products(driver: DriverCalls, stream: bigint): number[] {
  const lt = openCublasLt().calls, at = new BigUint64Array(1);
  lt.cublasLtCreate(at);
  const handle = at[0];
  const device = (data: Float32Array<ArrayBuffer>) => {
    driver.cuMemAlloc(at, data.byteLength);
    const pointer = Number(at[0]);
    driver.cuMemcpyHtoDAsync(pointer, data, data.byteLength, stream);
    return pointer;
  };
  const host = (pointer: number, n: number) => {
    const out = new Float32Array(n);
    driver.cuMemcpyDtoHAsync(out, pointer, out.byteLength, stream);
    driver.cuStreamSynchronize(stream);
    return out;
  };
  const refused = (call: () => void) => {
    try {
      call();
      return 0;
    } catch (error) {
      return error instanceof CublasError ? 1 : 0;
    }
  };
  const misuses: number[] = [];

  const difference = (c: Case, last: boolean): number => {
    const { m, n, k, transposeA = false, transposeB = false, beta = 0, epilogue = 1 } = c;
    const { batches = 1 } = c;
    lt.cublasLtMatmulDescCreate(at, 68, 0);
    const desc = at[0];
    const set = (attribute: number, value: Int32Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>) =>
      lt.cublasLtMatmulDescSetAttribute(desc, attribute, value, value.byteLength);
    set(3, Int32Array.of(transposeA ? 1 : 0));
    set(4, Int32Array.of(transposeB ? 1 : 0));
    set(7, Int32Array.of(epilogue));
    const bias = numbers(epilogue === 512 ? n : m, 5), aux = numbers(8 * n, 6);
    const biasAt = device(bias), auxAt = device(aux);
    if (epilogue !== 1) set(8, BigUint64Array.of(BigInt(biasAt)));
    if (epilogue === 164 || epilogue === 208) {
      set(11, BigUint64Array.of(BigInt(auxAt)));
      set(12, BigUint64Array.of(8n));
    }
    const layout = (rows: number, columns: number) => {
      lt.cublasLtMatrixLayoutCreate(at, 0, rows, columns, rows);
      const made = at[0];
      lt.cublasLtMatrixLayoutSetAttribute(made, 5, Int32Array.of(batches), 4);
      lt.cublasLtMatrixLayoutSetAttribute(made, 6, BigInt64Array.of(BigInt(rows * columns)), 8);
      return made;
    };
    const la = transposeA ? layout(k, m) : layout(m, k);
    const lb = transposeB ? layout(n, k) : layout(k, n), ld = layout(m, n);
    const a = numbers(m * k * batches, 1), b = numbers(k * n * batches, 2);
    const before = beta === 0
      ? new Float32Array(m * n * batches).fill(NaN)
      : numbers(m * n * batches, 3);
    const pa = device(a), pb = device(b), pd = device(before);
    lt.cublasLtMatmulPreferenceCreate(at);
    const wishes = at[0], results = new Uint8Array(96), count = new Int32Array(1);
    lt.cublasLtMatmulPreferenceSetAttribute(wishes, 1, BigUint64Array.of(1n << 20n), 8);
    lt.cublasLtMatmulAlgoGetHeuristic(handle, desc, la, lb, ld, ld, wishes, 1, results, count);
    const room = Number(new BigUint64Array(results.buffer)[8]);
    driver.cuMemAlloc(at, Math.max(1, room));
    const workspace = Number(at[0]),
      scalars = Float32Array.of(1.25, beta),
      where = address(scalars);
    const run = (d: number, bytes: number) =>
      lt.cublasLtMatmul(
        handle,
        desc,
        where,
        pa,
        la,
        pb,
        lb,
        where + 4n,
        d,
        ld,
        d,
        ld,
        address(results),
        workspace,
        bytes,
        stream,
      );
    run(pd, room);
    if (last) {
      misuses.push(
        refused(() => set(3, BigUint64Array.of(1n))),
        refused(() => run(pd + 4, room)),
        refused(() => run(pd, room - 1)),
      );
    }
    const got = host(pd, m * n * batches), gotBias = host(biasAt, bias.length);
    const gotAux = host(auxAt, aux.length), wantBias = new Float64Array(bias.length);
    let most = 0;
    const compare = (x: number, y: number) => {
      const d = Math.abs(x - y);
      // NaN is no agreement.
      most = d <= most ? most : Number.isNaN(d) ? Infinity : d;
    };
    for (let q = 0; q < batches; q++) {
      for (let j = 0; j < n; j++) {
        for (let i = 0; i < m; i++) {
          let sum = 0;
          for (let l = 0; l < k; l++) {
            const x = a[q * m * k + (transposeA ? i * k + l : l * m + i)];
            sum += x * b[q * k * n + (transposeB ? l * n + j : j * k + l)];
          }
          const place = q * m * n + j * m + i;
          let v = 1.25 * sum + (beta === 0 ? 0 : beta * before[place]);
          if (epilogue === 6) v = Math.max(0, v + bias[i]);
          if (epilogue === 164) {
            v += bias[i];
            compare(gotAux[j * 8 + i], v);
            v = gelu(v);
          }
          if (epilogue === 208) {
            v *= slope(aux[j * 8 + i]);
            wantBias[i] += v;
          }
          compare(got[place], v);
        }
        if (epilogue === 512) { for (let l = 0; l < k; l++) wantBias[j] += b[j * k + l]; }
      }
    }
    if (epilogue >= 208) wantBias.forEach((v, i) => compare(gotBias[i], v));
    return most;
  };
  return [...cases.map((c, i) => difference(c, i === cases.length - 1)), ...misuses];
}
