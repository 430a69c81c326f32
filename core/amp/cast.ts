/** Casts of operands, and the cache of casts of parameters. */
import { type DType, isFloat, promote } from "../dtype.ts";
import { isGradEnabled, type Node } from "../node.ts";
import { activeRecorder, type Recorder } from "../realize.ts";
import { castNode, TensorBase, wrap } from "../tensor/base.ts";
import { functionPolicies, type Policy, type PolicyFunction, type PolicyRow } from "./policies.ts";
import { type AutocastContext, autocastContext, setAutocastContext } from "./state.ts";

const cache: Map<DType, Map<Node, Node>> = new Map();
let cacheRecorder: Recorder | undefined;

/** Forgets the casts of parameters: at the end of the outermost region. */
export function clearCastCache(): void {
  cache.clear();
  cacheRecorder = undefined;
}

/**
 * A cast; that of a float32 leaf which collects gradients is made once. A leaf that is changed in place gets another node, so old casts are never
 * found again; a captured step must not use a cast from outside, which its replays would not make again.
 */
function cached(node: Node, dtype: DType, context: AutocastContext): Node {
  const isWeight = node.leaf !== undefined && node.needsGrad && node.dtype === "float32" &&
    isGradEnabled() && context.cacheEnabled;
  if (!isWeight) return castNode(node, dtype);
  if (cacheRecorder !== activeRecorder()) clearCastCache();
  cacheRecorder = activeRecorder();
  let casts = cache.get(dtype);
  if (casts === undefined) cache.set(dtype, casts = new Map());
  let cast = casts.get(node);
  if (cast === undefined || cast.storage?.freed) casts.set(node, cast = castNode(node, dtype));
  return cast;
}

/** Whether autocast may touch it: float64 is somebody's decision. */
const isEligible = (x: unknown): x is TensorBase =>
  x instanceof TensorBase && isFloat(x.dtype) && x.dtype !== "float64";

/** Replaces the tensors in arrays and plain objects; whatever has none stays the same object. */
function mapTensors(value: unknown, f: (x: TensorBase) => unknown): unknown {
  if (value instanceof TensorBase) return f(value);
  if (Array.isArray(value)) {
    const mapped = value.map((x) => mapTensors(x, f));
    return mapped.every((x, i) => x === value[i]) ? value : mapped;
  }
  if (
    value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype
  ) {
    const entries = Object.entries(value).map(([k, x]) => [k, mapTensors(x, f)] as const);
    return entries.every(([k, x]) => x === (value as Record<string, unknown>)[k])
      ? value
      : Object.fromEntries(entries);
  }
  return value;
}

const targets: Readonly<
  Record<Policy, ((args: readonly unknown[], context: AutocastContext) => DType) | undefined>
> = {
  low: (_, { dtype }) => dtype,
  float32: () => "float32",
  input: () => "float32",
  promote: (args) => {
    let widest: DType | undefined;
    mapTensors(args, (x) => {
      if (isEligible(x)) widest = widest === undefined ? x.dtype : promote(widest, x.dtype);
      return x;
    });
    return widest ?? "float32";
  },
  asIs: undefined,
};

const floatsTo = (value: unknown, dtype: DType): unknown =>
  mapTensors(value, (x) => isEligible(x) && x.dtype !== dtype ? wrap(castNode(x.node, dtype)) : x);

/** Casts `self` and the arguments as the policy says, and runs `fn` with autocast suspended. The caller has found a region open. */
export function runUnder(
  row: PolicyRow,
  fn: (...args: never[]) => unknown,
  self: unknown,
  args: ArrayLike<unknown>,
): unknown {
  const context = autocastContext()!, policy = row[context.list];
  const given = Array.from(args);
  const dtype = targets[policy]?.([self, given], context);
  setAutocastContext(undefined);
  try {
    if (dtype === undefined) return fn.apply(self, given as never[]);
    const cast = (value: unknown) =>
      mapTensors(
        value,
        (x) => isEligible(x) && x.dtype !== dtype ? wrap(cached(x.node, dtype, context)) : x,
      );
    const result = fn.apply(cast(self), cast(given) as never[]);
    if (policy !== "input") return result;
    const first = [self, ...given].find((x) => x instanceof TensorBase) as TensorBase | undefined;
    return first === undefined ? result : floatsTo(result, first.dtype);
  } finally {
    setAutocastContext(context);
  }
}

/** Whether a region is open; functions ask before anything else. */
export function isAutocasting(): boolean {
  return autocastContext() !== undefined;
}

/**
 * Runs a function again under its policy: the first line of every function that has one is
 * `if (isAutocasting()) return underPolicy("linear", linear, arguments)`.
 */
export function underPolicy<F extends (...args: never[]) => unknown>(
  name: PolicyFunction,
  fn: F,
  args: ArrayLike<unknown>,
): ReturnType<F> {
  return runUnder(functionPolicies[name], fn, undefined, args) as ReturnType<F>;
}

/** Every float tensor of less than 64 bits in a result, in nested arrays and plain objects, as float32. */
export function toFloat32<T>(value: T): T {
  return floatsTo(value, "float32") as T;
}
