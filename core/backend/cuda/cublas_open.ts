/** cuBLASLt of a device, opened on first use: descriptors, and the choice of an algorithm for a product. */
import {
  address,
  type CublasLtCalls,
  cublasLtMatmulPreferenceAttributes_t as preference,
  cublasLtMatrixLayoutAttribute_t as layoutAttributes,
  openCublasLt,
} from "@pta/ffi";
import { log } from "../../debug.ts";
import type { DType } from "../../dtype.ts";
import { env } from "../../env.ts";
import { DiskCache } from "./disk_cache.ts";
import type { CudaRuntime } from "./runtime.ts";
import { oncePerDevice } from "./vendor.ts";

/** cudaDataType of the dtypes that it multiplies. */
export const dataTypes: { readonly [D in DType]?: number } = {
  float32: 0,
  float64: 1,
  float16: 2,
  bfloat16: 14,
};

/** Kinds of sum: `cublasComputeType_t`. */
export const COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77;

/** A heuristic's answer: the algorithm (64 bytes), the workspace it wants at 64, its state at 72. */
const RESULT = 96, ALGORITHM = 64;
/** Candidates that are timed where tuning is asked for. */
const CANDIDATES = 6;

/** Bytes of scratch memory that a product may use: what NVIDIA advises for Hopper and the Blackwell of data centres, for other Blackwell, and before. */
export function workspaceBytes(major: number): number {
  return (major === 9 || major === 10 || major === 11 ? 32 : major >= 12 ? 12 : 4) << 20;
}

/** Descriptors of the four matrices of a product, or a number for each, by the library's letters. */
export interface Four<T> {
  readonly a: T;
  readonly b: T;
  readonly c: T;
  readonly d: T;
}

/** The algorithm for a product. */
export interface Choice {
  algorithm: Uint8Array<ArrayBuffer>;
  address: bigint;
  /** Other algorithms, to be timed at the first launch. */
  rivals: Uint8Array<ArrayBuffer>[];
  /** Text that tells the product from others. */
  readonly key: string;
}

/** Dimensions of equal matrices. */
export interface Repeated {
  /** How many. */
  readonly count: number;
  /** Distance in elements. */
  readonly stride: number;
}

/** An open cuBLASLt. */
export class CublasLt {
  /** Calls of the library. */
  readonly calls: CublasLtCalls;
  /** Its handle. */
  readonly handle: bigint;
  /** Bytes of scratch memory that a product may use. */
  readonly room: number;
  readonly #tunes: boolean = env("PTA_CUDA_TUNE") === "1";
  readonly #kept = new DiskCache();
  readonly #about: string;

  /**
   * Opens the library.
   * @param runtime The device
   * @throws {Error} When cuBLASLt cannot be opened; lists each place that was tried
   * @throws {CublasError} When it does not take the device
   */
  constructor(readonly runtime: CudaRuntime) {
    this.calls = openCublasLt().calls;
    runtime.activate();
    const at = new BigUint64Array(1);
    this.calls.cublasLtCreate(at);
    this.handle = at[0];
    const { name, capability, processors } = runtime.facts;
    this.room = workspaceBytes(capability[0]);
    // What a kept algorithm is good for: the same library and kind of device.
    this.#about = `cublasLt ${this.calls.cublasLtGetVersion()} ${name} ${
      capability.join(".")
    } ${processors} ${this.room}`;
  }

  /** Makes a descriptor of a product and sets attributes of it. */
  describe(
    compute: number,
    scale: number,
    attributes: readonly (readonly [
      attribute: number,
      value: Int32Array<ArrayBuffer> | Int8Array<ArrayBuffer>,
    ])[],
  ): bigint {
    const at = new BigUint64Array(1);
    this.calls.cublasLtMatmulDescCreate(at, compute, scale);
    for (const [attribute, value] of attributes) {
      this.calls.cublasLtMatmulDescSetAttribute(at[0], attribute, value, value.byteLength);
    }
    return at[0];
  }

  /** Makes a layout: column-major, `leading` elements from column to column. */
  layout(
    type: number,
    rows: number,
    columns: number,
    leading: number,
    repeated?: Repeated,
  ): bigint {
    const at = new BigUint64Array(1);
    this.calls.cublasLtMatrixLayoutCreate(at, type, rows, columns, leading);
    const [made] = at;
    if (repeated !== undefined) {
      const { CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET } =
        layoutAttributes;
      const set = (
        attribute: number,
        value: Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>,
      ) => this.calls.cublasLtMatrixLayoutSetAttribute(made, attribute, value, value.byteLength);
      set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, Int32Array.of(repeated.count));
      set(
        CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
        BigInt64Array.of(BigInt(repeated.stride)),
      );
    }
    return made;
  }

  /**
   * The algorithm for a product: one that has been measured before, also by another process, else the first that the heuristic names.
   *
   * @param key Tells the product from others: sizes, types, layouts, alignments
   * @param descriptor Of the product, with every pointer that it needs
   * @param layouts Of the matrices
   * @param alignments In bytes
   * @returns undefined when the library has none
   */
  choose(
    key: string,
    descriptor: bigint,
    layouts: Four<bigint>,
    alignments: Four<number>,
  ): Choice | undefined {
    const known = this.#measured(key, descriptor, layouts);
    if (known !== undefined) return { algorithm: known, address: address(known), rivals: [], key };
    const [algorithm, ...rivals] = this.#heuristic(descriptor, layouts, alignments);
    if (algorithm === undefined) {
      log(1, `cuBLASLt has no algorithm for ${key}`);
      return undefined;
    }
    return {
      algorithm,
      address: address(algorithm),
      rivals: this.#tunes ? rivals : [],
      key,
    };
  }

  /** Times the rivals once and keeps the fastest, here and on disk. `run` must give the same result each time. */
  tune(choice: Choice, run: (algorithm: bigint) => void): void {
    const { driver, stream } = this.runtime, at = new BigUint64Array(1);
    const events = [0, 1].map(() => {
      driver.cuEventCreate(at, 0);
      return at[0];
    });
    const ms = new Float32Array(1);
    let best = Infinity;
    for (const algorithm of [choice.algorithm, ...choice.rivals]) {
      const where = address(algorithm);
      run(where);
      driver.cuEventRecord(events[0], stream);
      for (let i = 0; i < 3; i++) run(where);
      driver.cuEventRecord(events[1], stream);
      driver.cuEventSynchronize(events[1]);
      driver.cuEventElapsedTime(ms, events[0], events[1]);
      if (ms[0] >= best) continue;
      best = ms[0];
      choice.algorithm = algorithm;
      choice.address = where;
    }
    choice.rivals = [];
    for (const event of events) driver.cuEventDestroy(event);
    this.#kept.store(choice.algorithm, [this.#kept.key(`${this.#about} ${choice.key}`)]);
  }

  /** An algorithm that was measured before, if the library still takes it. */
  #measured(
    key: string,
    descriptor: bigint,
    { a, b, c, d }: Four<bigint>,
  ): Uint8Array<ArrayBuffer> | undefined {
    const home = this.#kept.homeOf(this.#kept.key(`${this.#about} ${key}`));
    const found = home === undefined ? undefined : this.#kept.load(home);
    if (found?.length !== ALGORITHM) return undefined;
    const result = new Uint8Array(RESULT);
    try {
      this.calls.cublasLtMatmulAlgoCheck(this.handle, descriptor, a, b, c, d, found, result);
    } catch {
      return undefined;
    }
    const [wanted] = new BigUint64Array(result.buffer, ALGORITHM, 1);
    return wanted <= BigInt(this.room) ? found : undefined;
  }

  #heuristic(
    descriptor: bigint,
    { a, b, c, d }: Four<bigint>,
    alignments: Four<number>,
  ): Uint8Array<ArrayBuffer>[] {
    const lt = this.calls, at = new BigUint64Array(1), count = new Int32Array(1);
    lt.cublasLtMatmulPreferenceCreate(at);
    const [wishes] = at;
    lt.cublasLtMatmulPreferenceSetAttribute(
      wishes,
      preference.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
      BigUint64Array.of(BigInt(this.room)),
      8,
    );
    const attributes = [
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments.a],
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments.b],
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments.c],
      [preference.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments.d],
    ];
    for (const [attribute, bytes] of attributes) {
      lt.cublasLtMatmulPreferenceSetAttribute(wishes, attribute, Int32Array.of(bytes), 4);
    }
    const wanted = this.#tunes ? CANDIDATES : 1, results = new Uint8Array(RESULT * wanted);
    const status = lt.cublasLtMatmulAlgoGetHeuristic(
      this.handle,
      descriptor,
      a,
      b,
      c,
      d,
      wishes,
      wanted,
      results,
      count,
    );
    lt.cublasLtMatmulPreferenceDestroy(wishes);
    if (status !== 0) return [];
    return Array.from(
      { length: count[0] },
      (_, i) => results.slice(i * RESULT, i * RESULT + ALGORITHM),
    );
  }
}

/** The largest power of two up to 256 that divides all addresses. */
export function alignment(addresses: readonly number[]): number {
  let bytes = 256;
  while (addresses.some((a) => a % bytes !== 0)) bytes /= 2;
  return bytes;
}

/** The library of a device; undefined where it is absent or `PTA_CUBLAS=off` leaves it out. */
export const cublasOf: (runtime: CudaRuntime) => CublasLt | undefined = oncePerDevice(
  "PTA_CUBLAS",
  (runtime) => new CublasLt(runtime),
);
