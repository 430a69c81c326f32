/** What surrounds every `forward`: hooks, and errors that say in which module of the model they arose. */
import { Tensor } from "../tensor/mod.ts";
import { setPlace } from "../origin.ts";
import type { Module } from "./module.ts";

/** Takes a hook away again. */
export interface HookHandle {
  /** The hook is not called from now on. */
  remove(): void;
}

/** Runs before `forward`; returns other inputs (an array, or the only one), or nothing. */
export type ForwardPreHook = (module: Module, inputs: readonly unknown[]) => unknown;

/** Runs after `forward`; returns another output, or nothing. */
export type ForwardHook = (module: Module, inputs: readonly unknown[], output: unknown) => unknown;

/**
 * Runs in a backward pass with the gradients of the inputs and of the outputs, undefined where none flows; both are lazy like all tensors. For
 * a module of one tensor it may return the gradient to be used instead.
 */
export type BackwardHook = (
  module: Module,
  gradInput: readonly (Tensor | undefined)[],
  gradOutput: readonly (Tensor | undefined)[],
) => Tensor | void;

/** The hooks of one module, in the order of registration. */
export class Hooks {
  /** Before `forward`. */
  readonly pre: Set<ForwardPreHook> = new Set();
  /** After `forward`. */
  readonly post: Set<ForwardHook> = new Set();
  /** In the backward pass. */
  readonly backward: Set<BackwardHook> = new Set();

  /** Adds a hook to one of the sets. */
  static add<T>(set: Set<T>, hook: T): HookHandle {
    set.add(hook);
    return { remove: () => void set.delete(hook) };
  }
}

/** Modules whose `forward` runs now, outermost first. */
const running: Module[] = [];
/** Where an error on its way out arose. */
const origins = new WeakMap<Error, Module>();

/** Where in `root` a module is, as the beginning of a message; nothing for the root itself. */
function placeOf(module: Module | undefined, root: Module | undefined): string {
  const found = root?.namedModules().find(([, m]) => m === module);
  return found === undefined || found[0] === ""
    ? ""
    : `In ${found[0]} (${found[1].constructor.name}): `;
}

setPlace(() => {
  const module = running.at(-1), root = running[0];
  return () => placeOf(module, root);
});

/** Says in the message of an error where in `root` it arose. */
function locate(error: Error, root: Module): void {
  const where = placeOf(origins.get(error), root);
  if (where === "") return;
  const before = error.message;
  error.message = where + before;
  error.stack = error.stack?.replace(before, error.message);
}

/** Watches the gradients of a module's inputs and outputs. */
function watchBackward(
  module: Module,
  hooks: Hooks,
  inputs: readonly unknown[],
): { inputs: readonly unknown[]; output: (output: unknown) => unknown } {
  const places = inputs.flatMap((x, i) => x instanceof Tensor && x.requiresGrad ? [i] : []);
  const gradInput: (Tensor | undefined)[] = inputs.map(() => undefined);
  let gradOutput: (Tensor | undefined)[] = [], waiting = places.length;
  const call = () => {
    const results = [...hooks.backward].map((hook) => hook(module, gradInput, gradOutput));
    return results.findLast((r) => r instanceof Tensor) as Tensor | undefined;
  };
  const watched = inputs.map((x, i) =>
    !places.includes(i) ? x : (x as Tensor).clone().withGradient([x as Tensor], (g) => {
      gradInput[i] = g;
      if (--waiting > 0) return [g];
      waiting = places.length;
      const instead = call();
      return [places.length === 1 ? instead ?? g : g];
    })
  );
  const watchOutput = (output: unknown): unknown => {
    const list = Array.isArray(output) ? output : [output];
    gradOutput = list.map(() => undefined);
    const made = list.map((y, i) =>
      !(y instanceof Tensor) || !y.requiresGrad ? y : y.clone().withGradient([y], (g) => {
        gradOutput[i] = g;
        // Without an input that takes a gradient this is the last that is heard of the pass.
        if (places.length === 0) call();
        return [g];
      })
    );
    return Array.isArray(output) ? made : made[0];
  };
  return { inputs: watched, output: watchOutput };
}

/** Runs `forward` of a module with its hooks around it. */
export function runForward(
  module: Module,
  hooks: Hooks,
  forward: (...inputs: never[]) => unknown,
  inputs: readonly unknown[],
): unknown {
  running.push(module);
  try {
    for (const hook of hooks.pre) {
      const instead = hook(module, inputs);
      if (instead !== undefined) inputs = Array.isArray(instead) ? instead : [instead];
    }
    const watch = hooks.backward.size > 0 ? watchBackward(module, hooks, inputs) : undefined;
    let output = forward.apply(module, [...watch?.inputs ?? inputs] as never[]);
    if (watch !== undefined) output = watch.output(output);
    for (const hook of hooks.post) output = hook(module, inputs, output) ?? output;
    return output;
  } catch (error) {
    if (error instanceof Error) {
      if (!origins.has(error)) origins.set(error, module);
      if (running.length === 1) locate(error, module);
    }
    throw error;
  } finally {
    running.pop();
  }
}
