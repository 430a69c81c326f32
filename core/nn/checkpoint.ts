/** Activation checkpointing: values inside a function are computed again for the backward pass instead of being kept. */
import { clearCastCache } from "../amp/cast.ts";
import { autocastContext, setAutocastContext } from "../amp/state.ts";
import { recordDraws, replayDraws } from "../draws.ts";
import { walk } from "../grad.ts";
import { gradientParents } from "../grad_rules.ts";
import { constNode, isGradEnabled, type Node } from "../node.ts";
import { wrap } from "../tensor/base.ts";
import { enableGrad, type Tensor } from "../tensor/mod.ts";
import type { Module } from "./module.ts";

/** Whether a node is a cast, whose leaf stands for it: the cast of a parameter may be shared. */
const isCast = (node: Node): boolean => node.kind === "op" && node.arg.op === "cast";

/** The nodes from before `start` through which a result gets its gradient, and leaves. */
function boundary(roots: readonly Node[], start: number, inputs: ReadonlySet<Node>): Node[] {
  const found = new Set<Node>(), seen = new Set<Node>(), stack = [...roots];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node) || !node.needsGrad || inputs.has(node)) continue;
    seen.add(node);
    if (node.leaf !== undefined || (node.id < start && !isCast(node))) found.add(node);
    else stack.push(...gradientParents(node));
  }
  return [...found];
}

/**
 * The same values, to be had only when `gradient` is: otherwise the repeated computation, which needs nothing but the inputs, might run early and
 * stay in memory.
 */
function after(x: Tensor, gradient: Tensor): Tensor {
  const first = gradient.detach().reshape(-1).narrow(0, 0, 1);
  // Always true, whatever the number is; NaN differs from itself.
  const isThere = first.eq(first).logicalOr(first.ne(first));
  const late = isThere.reshape(new Array<number>(x.ndim).fill(1)).where(x.detach(), 0).to(x.dtype);
  return late.requiresGrad || !x.requiresGrad ? late : late.withGradient([x], (g) => [g]);
}

/**
 * Runs a function without keeping what it computes inside: the backward pass computes that again from the inputs. Costs one more forward pass of the
 * function, saves all its intermediate values.
 *
 * The second pass has the same random numbers (dropout), the same autocast region and does not track batch statistics again. Works inside captured
 * steps. Parameters that `fn` uses get their gradients as usual; so do computed tensors that it uses beside its inputs.
 *
 * ```ts
 * import { nn, ones } from "@pta/core";
 * import "@pta/core/backend";
 *
 * const block = new nn.Sequential(new nn.Linear(4, 16), new nn.GELU(), new nn.Linear(16, 4));
 * const y = nn.checkpoint((x) => block.forward(x), ones([2, 4]));
 * y.sum().backward();
 * ```
 *
 * @param fn Computes a tensor, or several in an array, and changes nothing but batch statistics
 * @param inputs What it is called with
 * @returns What `fn` returns
 */
export function checkpoint<A extends readonly Tensor[], R extends Tensor | readonly Tensor[]>(
  fn: (...inputs: A) => R,
  ...inputs: A
): R {
  if (!isGradEnabled()) return fn(...inputs);
  const region = autocastContext(), { device } = inputs[0] ?? {};
  const start = constNode(0, [], "float32", device ?? "cpu").id;
  const { result, draws } = recordDraws(() => fn(...inputs));
  const outputs: readonly Tensor[] = Array.isArray(result) ? result : [result as Tensor];
  const inputNodes = inputs.map((x) => x.node);
  const outer = boundary(outputs.map((y) => y.node), start, new Set(inputNodes));
  let again: { outputs: readonly Tensor[]; inputs: readonly Tensor[] } | undefined;

  const repeat = (g: Tensor) => {
    if (again !== undefined) return again;
    const before = setAutocastContext(region);
    try {
      return again = enableGrad(() => {
        const late = setAutocastContext(undefined);
        const fresh = inputs.map((x) => after(x, g));
        setAutocastContext(late);
        const repeated = replayDraws(draws, () => fn(...fresh as unknown as A));
        const list = Array.isArray(repeated) ? repeated : [repeated as Tensor];
        return { outputs: list, inputs: fresh };
      });
    } finally {
      setAutocastContext(before);
      clearCastCache();
    }
  };

  const made = outputs.map((y, i) => {
    if (!y.requiresGrad) return y;
    const parents = [...inputs, ...outer.map((n) => wrap(n))];
    return y.detach().withGradient(parents, (g) => {
      const second = repeat(g);
      const wanted = [...second.inputs.map((x) => x.node), ...outer];
      const gradients = walk([second.outputs[i].node], [g.node], isGradEnabled(), new Set(wanted));
      return wanted.map((node) => {
        const found = gradients.get(node);
        return found === undefined ? undefined : wrap(found);
      });
    });
  });
  return (Array.isArray(result) ? made : made[0]) as unknown as R;
}

/**
 * Runs modules one after the other in segments, each of them a {@linkcode checkpoint} but the last, whose values are needed at once.
 *
 * @param modules In order
 * @param segments Number of segments, about equally long
 * @param input Of the first module
 * @returns What the last module returns
 * @throws {RangeError} When `segments` is no whole number from 1 to the number of modules
 */
export function checkpointSequential(
  modules: Iterable<Module | ((x: Tensor) => Tensor)>,
  segments: number,
  input: Tensor,
): Tensor {
  const list = [...modules], count = list.length;
  if (!Number.isInteger(segments) || segments < 1 || segments > count) {
    throw new RangeError(
      `Cannot checkpoint ${count} modules in ${segments} segments: it must be a whole number from 1 to ${count}`,
    );
  }
  const run = (from: number, to: number) => (x: Tensor): Tensor =>
    list.slice(from, to).reduce<Tensor>(
      (y, module) => typeof module === "function" ? module(y) : module.forward(y),
      x,
    );
  const size = Math.floor(count / segments);
  let x = input;
  for (let s = 0; s < segments - 1; s++) x = checkpoint(run(s * size, (s + 1) * size), x);
  return run((segments - 1) * size, count)(x);
}
