/** Regions in which operations choose their own precision. */
import { Tensor, type TensorBase } from "../tensor/mod.ts";
import { clearCastCache, runUnder, toFloat32 } from "./cast.ts";
import { methodPolicies, type Policy, type PolicyRow } from "./policies.ts";
import {
  type AutocastContext,
  autocastContext,
  type LowDType,
  type PolicyList,
  setAutocastContext,
} from "./state.ts";

/** Options of {@linkcode autocast}. */
export interface AutocastOptions {
  /** What products and convolutions are computed in; bfloat16 by default. */
  readonly dtype?: LowDType;
  /** False turns autocast off inside an outer region; true by default. */
  readonly enabled?: boolean;
  /** Whether a parameter is cast once in the outermost region, and not at each use; true by default. */
  readonly cacheEnabled?: boolean;
  /** Whose operator lists decide: PyTorch's for GPUs (the default, on every device) or its shorter one for CPUs. */
  readonly list?: PolicyList;
}

const asIs: PolicyRow = { gpu: "asIs", cpu: "asIs" };
let isInstalled = false, depth = 0;

/** Puts every method of tensors behind its policy. Done by the first region, so that nobody else pays for it. */
function install(): void {
  if (isInstalled) return;
  isInstalled = true;
  for (
    let proto = Tensor.prototype as object;
    proto !== Object.prototype;
    proto = Object.getPrototypeOf(proto)
  ) {
    for (const name of Object.getOwnPropertyNames(proto)) {
      const property = Object.getOwnPropertyDescriptor(proto, name)!, plain = property.value;
      if (typeof plain !== "function" || name === "constructor") continue;
      const policy = Object.hasOwn(methodPolicies, name)
        ? methodPolicies[name as keyof typeof methodPolicies]!
        : asIs;
      const value = function (this: TensorBase, ...args: unknown[]): unknown {
        return autocastContext() === undefined
          ? plain.apply(this, args)
          : runUnder(policy, plain, this, args);
      };
      Object.defineProperty(value, "name", { value: name });
      Object.defineProperty(proto, name, { ...property, value });
    }
  }
}

/** An open region; ends when it is disposed of. */
class Region implements Disposable {
  readonly #before: AutocastContext | undefined;
  readonly #own: AutocastContext | undefined;
  #isOpen = true;

  constructor(context: AutocastContext | undefined) {
    install();
    depth++;
    this.#own = context;
    this.#before = setAutocastContext(context);
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    if (autocastContext() !== this.#own) {
      throw new Error("Cannot end this autocast region: one opened inside it has not ended");
    }
    this.#isOpen = false;
    setAutocastContext(this.#before);
    if (--depth === 0) clearCastCache();
  }
}

/**
 * Opens a region in which each operation chooses its precision: matrix products, convolutions, attention and recurrent steps run in `dtype`;
 * exponentials, logarithms, powers, sums, norms, softmax, losses and running sums in float32; the rest takes what it gets and promotes.
 * Casts are part of the graph, so gradients come back in the type of the parameters. Backward passes run outside, in the types of the forward pass.
 * Regions nest; `enabled: false` makes an island of ordinary precision. float64 is never touched.
 *
 * ```ts
 * import { autocast, nn, ones } from "@pta/core";
 * import "@pta/core/backend";
 *
 * const layer = new nn.Linear(4, 2);
 * const y = autocast({ dtype: "bfloat16" }, () => layer.forward(ones([1, 4])));
 * console.log(y.dtype); // bfloat16
 *
 * {
 *   using _ = autocast({ dtype: "float16" });
 *   console.log(layer.forward(ones([1, 4])).dtype); // float16
 * }
 * ```
 *
 * @param options Low type, whether to enable, cache and lists
 * @param fn Run inside the region; without it, the region lasts until it is disposed of (`using _ = autocast(...)`)
 * @returns What `fn` returns, or the region
 * @throws {TypeError} When `dtype` is not float16 or bfloat16, or `fn` is asynchronous: the region would end before it does
 */
export function autocast(options?: AutocastOptions): Disposable;
/** Runs `fn` inside a region. */
export function autocast<T>(options: AutocastOptions, fn: () => T): T;
/** Opens a region, for `fn` or until it is disposed of. */
export function autocast<T>(options: AutocastOptions = {}, fn?: () => T): T | Disposable {
  const { dtype = "bfloat16", enabled = true, cacheEnabled = true, list = "gpu" } = options;
  if (dtype !== "float16" && dtype !== "bfloat16") {
    throw new TypeError(`Cannot autocast to ${dtype}: it must be float16 or bfloat16`);
  }
  if (list !== "gpu" && list !== "cpu") {
    throw new RangeError(`Cannot autocast by the list "${list}": it must be gpu or cpu`);
  }
  const region = new Region(enabled ? { dtype, list, cacheEnabled } : undefined);
  if (fn === undefined) return region;
  try {
    const result = fn();
    if (result instanceof Promise) {
      throw new TypeError("Cannot autocast an async function: the region would end before it does");
    }
    return result;
  } finally {
    region[Symbol.dispose]();
  }
}

/** Whether operations are being cast. */
export function isAutocastEnabled(): boolean {
  return autocastContext() !== undefined;
}

/** The low type of the region; undefined outside. */
export function autocastDtype(): LowDType | undefined {
  return autocastContext()?.dtype;
}

/**
 * Gives a function of tensors a policy of its own (PyTorch's `custom_fwd`): inside a region its tensors are cast, also those in arrays and plain
 * objects, and its body sees nothing of autocast.
 *
 * ```ts
 * import { autocastPolicy, type Tensor } from "@pta/core";
 *
 * const distance = autocastPolicy("float32", (a: Tensor, b: Tensor) => a.sub(b).square().sum().sqrt());
 * ```
 *
 * @param policy `low`, `float32`, `promote`, `input` (float32 inside, the result in the type of the first tensor) or `asIs`
 * @param fn The function
 * @returns A function of the same type
 */
export function autocastPolicy<A extends unknown[], R>(
  policy: Policy,
  fn: (...args: A) => R,
): (...args: A) => R {
  const row: PolicyRow = { gpu: policy, cpu: policy };
  return (...args) =>
    autocastContext() === undefined
      ? fn(...args)
      : runUnder(row, fn as (...args: never[]) => unknown, undefined, args) as R;
}

/** Options of {@linkcode autocastForward}. */
export interface AutocastForwardOptions extends AutocastOptions {
  /** Whether float results become float32, so that losses outside start from full precision; true by default. */
  readonly outputsFloat32?: boolean;
}

/** A model as {@linkcode autocastForward} changes it. */
export interface Forwardable {
  /** What the model computes. */
  // `any` is the only type that every model's own signature is assignable to.
  // deno-lint-ignore no-explicit-any
  forward(...inputs: any[]): any;
}

/**
 * Makes every `forward` of a model an autocast region of its own.
 *
 * @param model Changed in place
 * @param options As of {@linkcode autocast}, and whether results become float32
 * @returns `remove` gives the model its old `forward` back
 */
export function autocastForward(
  model: Forwardable,
  options: AutocastForwardOptions = {},
): { remove(): void } {
  const { outputsFloat32 = true, ...region } = options,
    own = Object.getOwnPropertyDescriptor(
      model,
      "forward",
    );
  const { forward } = model;
  const value = (...inputs: unknown[]) => {
    const output = autocast(region, () => forward.apply(model, inputs));
    return outputsFloat32 ? toFloat32(output) : output;
  };
  Object.defineProperty(model, "forward", {
    value,
    writable: true,
    configurable: true,
    enumerable: false,
  });
  return {
    remove: () => {
      if (model.forward !== value) return;
      if (own === undefined) delete (model as Partial<Forwardable>).forward;
      else Object.defineProperty(model, "forward", own);
    },
  };
}
