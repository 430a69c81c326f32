/** Products of cuBLASLt from their description to their launch: equal ones are prepared once. */
import { address } from "@pta/ffi";
import type { Launch } from "../../device.ts";
import type { Choice, CublasLt, Four } from "./cublas_open.ts";

/** What the library is told of a product. */
export interface Described {
  /** The product, with every pointer that it needs. */
  readonly descriptor: bigint;
  /** Layouts of the matrices. */
  readonly layouts: Four<bigint>;
}

/** A product that has been prepared: everything but the addresses. */
export interface Prepared extends Described {
  /** The algorithm. */
  readonly choice: Choice;
}

/** How a prepared product is launched. */
export interface LaunchOptions {
  /** Whether it is added to what the result holds. */
  readonly accumulate?: boolean;
  /** Whether sums are float64. */
  readonly doubles?: boolean;
  /** Sets what differs between products that share a descriptor, which is read during the call. */
  readonly set?: () => void;
}

// 1 and 0, as alpha and beta.
const floats = Float32Array.of(1, 0), doubles = Float64Array.of(1, 0);

/** Products that have been prepared, by their keys. */
export class PreparedProducts {
  readonly #prepared: Map<string, Prepared | undefined> = new Map();

  /** @param lt The library of the device */
  constructor(readonly lt: CublasLt) {}

  /**
   * A product with its algorithm.
   *
   * @param key Tells it from others: sizes, types, layouts, alignments
   * @param alignments In bytes
   * @param describe Makes its descriptors
   * @returns undefined when the library has no algorithm
   */
  prepare(
    key: string,
    alignments: Four<number>,
    describe: () => Described,
  ): Prepared | undefined {
    if (this.#prepared.has(key)) return this.#prepared.get(key);
    const described = describe(), { descriptor, layouts } = described;
    const choice = this.lt.choose(key, descriptor, layouts, alignments);
    const prepared = choice && { ...described, choice };
    this.#prepared.set(key, prepared);
    return prepared;
  }

  /** Binds a product to the addresses of its matrices, or one after the other to several. */
  bind(
    { descriptor, layouts, choice }: Prepared,
    places: readonly Four<number>[],
    options: LaunchOptions = {},
  ): Launch {
    const { accumulate = false, set } = options, { lt } = this;
    const { calls, handle, room, runtime } = lt, { stream } = runtime;
    const scratch = runtime.workspace(room), scalars = options.doubles ? doubles : floats;
    const alpha = address(scalars);
    const beta = accumulate ? alpha : alpha + BigInt(scalars.BYTES_PER_ELEMENT);
    const run = (algorithm: bigint) => {
      for (let i = 0; i < places.length; i++) {
        const { a, b, c, d } = places[i];
        calls.cublasLtMatmul(
          handle,
          descriptor,
          alpha,
          a,
          layouts.a,
          b,
          layouts.b,
          beta,
          c,
          layouts.c,
          d,
          layouts.d,
          algorithm,
          scratch,
          room,
          stream,
        );
      }
    };
    return () => {
      set?.();
      if (choice.rivals.length > 0 && !accumulate) lt.tune(choice, run);
      run(choice.address);
    };
  }
}
