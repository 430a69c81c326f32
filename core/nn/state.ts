/** Loading named tensors into named tensors. */
import { noGrad, realize, Tensor } from "../tensor/mod.ts";

/** How `loadStateDict()` treats keys that do not match. */
export interface LoadStateOptions {
  /** Whether missing and unexpected keys are errors; true by default. */
  readonly strict?: boolean;
}

/** Keys that did not match. */
export interface LoadStateResult {
  /** In the module, not in the state given. */
  readonly missingKeys: string[];
  /** In the state given, not in the module. */
  readonly unexpectedKeys: string[];
}

/**
 * Copies `state` into `own`, casting to the dtypes there.
 *
 * @param name Who loads, for errors
 * @throws {TypeError} When keys or shapes do not match; nothing is changed then
 */
export function loadState(
  name: string,
  own: Readonly<Record<string, Tensor>>,
  state: Readonly<Record<string, Tensor>>,
  options: LoadStateOptions,
): LoadStateResult {
  if (typeof state !== "object" || state === null) {
    throw new TypeError(
      `Cannot load the state into ${name}: it is ${
        state === null ? "null" : typeof state
      }, not tensors by name`,
    );
  }
  const missingKeys = Object.keys(own).filter((key) => !Object.hasOwn(state, key));
  const unexpectedKeys = Object.keys(state).filter((key) => !Object.hasOwn(own, key));
  const shared = Object.keys(own).filter((key) => Object.hasOwn(state, key));
  const values = shared.filter((key) => !(state[key] instanceof Tensor));
  if (values.length > 0) {
    throw new TypeError(
      `Cannot load the state into ${name}: no Tensor under ${values.join(", ")}`,
    );
  }
  const mismatched = shared.filter((key) => `${own[key].shape}` !== `${state[key].shape}`);
  const faults: string[] = [];
  if (options.strict ?? true) {
    if (missingKeys.length > 0) faults.push(`missing keys: ${missingKeys.join(", ")}`);
    if (unexpectedKeys.length > 0) faults.push(`unexpected keys: ${unexpectedKeys.join(", ")}`);
  }
  if (mismatched.length > 0) {
    const list = mismatched.map((key) =>
      `${key} is [${state[key].shape.join(", ")}] in the state and [${
        own[key].shape.join(", ")
      }] here`
    );
    faults.push(`mismatched shapes: ${list.join(", ")}`);
  }
  if (faults.length > 0) {
    throw new TypeError(`Cannot load the state into ${name}: ${faults.join("; ")}`);
  }
  noGrad(() => {
    for (const key of shared) if (own[key] !== state[key]) own[key].copy_(state[key]);
    realize(...shared.map((key) => own[key]));
  });
  return { missingKeys, unexpectedKeys };
}
