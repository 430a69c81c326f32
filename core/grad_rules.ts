/** Gradient rules. Each returns graph nodes made of the same primitives, so gradients fuse, run everywhere and can be differentiated again. */
import { isFloat } from "./dtype.ts";
import {
  constNode,
  type Movement,
  type Node,
  type NodeKind,
  type NodeOf,
  viewParts,
} from "./node.ts";
import type { OpName, ReduceOp } from "./ops.ts";
import type { Shape } from "./shape.ts";
import { wrap } from "./tensor/base.ts";
import { layDiagonal } from "./tensor/diagonals.ts";
import { assembleNode } from "./tensor/movement.ts";
import { ramp } from "./tensor/ramp.ts";
import type { Tensor } from "./tensor/tensor.ts";

/** Gradients of the sources, or undefined where none flows. */
type Flows = readonly (Tensor | undefined)[];

/** Gradient of a primitive from that of its result `g`, its result `y` and its sources. */
type OpRule = (g: Tensor, y: Tensor, ...x: Tensor[]) => Flows;

const none: OpRule = () => [];
/** Where both are equal a maximum or minimum is shared; beside NaN nothing loses and both get all of it. */
const extreme = (loses: (x: Tensor, other: Tensor) => Tensor): OpRule => (g, _, a, b) => {
  const share = g.mul(a.eq(b).where(0.5, 1));
  return [loses(a, b).where(0, share), loses(b, a).where(0, share)];
};

/** One rule for each primitive. */
export const opRules: Readonly<Record<OpName, OpRule>> = {
  neg: (g) => [g.neg()],
  abs: (g, _, x) => [g.mul(x.sign())],
  exp: (g, y) => [g.mul(y)],
  log: (g, _, x) => [g.div(x)],
  sqrt: (g, y) => [g.div(y.mul(2))],
  sin: (g, _, x) => [g.mul(x.cos())],
  cos: (g, _, x) => [g.mul(x.sin()).neg()],
  tanh: (g, y) => [g.mul(y.mul(y).neg().add(1))],
  erf: (g, _, x) => [g.mul(x.mul(x).neg().exp().mul(2 / Math.sqrt(Math.PI)))],
  floor: none,
  round: none,
  trunc: none,
  not: none,
  cast: (g, _, x) => [isFloat(x.dtype) ? g.to(x.dtype) : undefined],
  add: (g) => [g, g],
  sub: (g) => [g, g.neg()],
  mul: (g, _, a, b) => [g.mul(b), g.mul(a)],
  div: (g, y, _, b) => {
    const ga = g.div(b);
    return [ga, ga.mul(y).neg()];
  },
  pow: (g, y, a, b) => {
    // x ** 0 has slope 0 even at 0, and 0 ** b does not change with b > 0.
    const da = b.eq(0).where(0, g.mul(b).mul(a.pow(b.sub(1))));
    const flat = a.eq(0).logicalAnd(b.ge(0));
    return [da, flat.where(0, g.mul(y).mul(flat.where(1, a).log()))];
  },
  mod: (g, _, a, b) => [g, g.mul(a.floorDivide(b)).neg()],
  max: extreme((x, other) => x.lt(other)),
  min: extreme((x, other) => x.gt(other)),
  lt: none,
  le: none,
  eq: none,
  and: none,
  or: none,
  xor: none,
  shl: none,
  shr: none,
  where: (g, _, c) => [undefined, c.where(g, 0), c.where(0, g)],
  randomBits: none,
};

/** Equal extremes share the gradient evenly, as PyTorch's amax does. */
const extremeReduce = (g: Tensor, y: Tensor, x: Tensor, dims: readonly number[]): Tensor => {
  const hit = x.eq(y);
  const count = hit.to(x.dtype).sum(dims, true);
  return hit.where(g.div(count), 0);
};

const reduceRules: Readonly<
  Record<ReduceOp, (g: Tensor, y: Tensor, x: Tensor, dims: readonly number[]) => Tensor>
> = {
  sum: (g, _, x) => g.expand(x.shape),
  prod: (g, _, x, dims) => {
    // The product of the others: with one zero in a row only that element has one, with two none has.
    const zero = x.eq(0), zeros = zero.to(x.dtype).sum(dims, true);
    const rest = zero.where(1, x);
    const product = rest.prod(dims, true);
    const others = zeros.eq(0).where(
      product.div(rest),
      zero.logicalAnd(zeros.eq(1)).where(product, 0),
    );
    return g.mul(others);
  },
  max: extremeReduce,
  min: extremeReduce,
};

type MovementRule<K extends Movement["kind"]> = (
  g: Tensor,
  parent: Tensor,
  movement: Extract<Movement, { kind: K }>,
) => Tensor | undefined;

const movementRules: { readonly [K in Exclude<Movement["kind"], "custom">]: MovementRule<K> } = {
  reshape: (g, parent) => g.reshape(parent.shape),
  permute: (g, _, m) => {
    const back = m.dims.map((_, d) => m.dims.indexOf(d));
    return g.permute(back);
  },
  expand: (g, parent) => {
    const lead = g.ndim - parent.ndim;
    const dims = g.shape.flatMap((s, d) =>
      d < lead || (parent.shape[d - lead] === 1 && s !== 1) ? [d] : []
    );
    return g.sum(dims, true).reshape(parent.shape);
  },
  slice: (g, parent, m) => {
    // Gaps of a step are opened by laying each element at the front of a run of that length.
    let wide = g;
    m.steps.forEach((step, d) => {
      if (step === 1) return;
      const n = wide.shape[d];
      const runs = wide.unsqueeze(d + 1).pad([
        ...new Array<number>(2 * (wide.ndim - d - 1)).fill(0),
        0,
        step - 1,
      ]);
      const flat = runs.reshape(wide.shape.map((s, i) => i === d ? n * step : s));
      wide = flat.slice(d, 0, Math.min(n * step, parent.shape[d] - m.starts[d]));
    });
    return wrap(assembleNode([wide.node], [m.starts], parent.shape));
  },
  flip: (g, _, m) => g.flip(m.dims),
  unfold: (g, parent, m) => foldWindows(g, parent.shape, m.dim, m.step),
  diagonal: (g, parent, m) => {
    const [rows, columns] = m.dims.map((d) => parent.shape[d]);
    return layDiagonal(g, rows, columns, m.offset, m.dims);
  },
  alias: (g, _, m) => m.stop ? undefined : g,
};

/** More overlapping runs than this are added up by scattering. */
const mostRuns = 16;

/** The sum of windows (last dimension) at every `step` of `dim`, of the given shape. */
function foldWindows(g: Tensor, shape: Shape, dim: number, step: number): Tensor {
  const count = g.shape[dim], size = g.shape[g.ndim - 1], rest = g.movedim(-1, dim + 1);
  const runs = Math.ceil(size / step);
  if (runs > mostRuns) {
    const places = ramp(count, g.device).mul(step).unsqueeze(1).add(ramp(size, g.device));
    const flat = shape.map((s, d) => d === dim ? count * size : s);
    const index = places.reshape(flat.map((s, d) => d === dim ? s : 1)).expand(flat);
    const zeros = wrap(constNode(0, shape, g.dtype, g.device));
    return zeros.scatterAdd(dim, index, rest.reshape(flat));
  }
  // Places q * step to (q + 1) * step - 1 of all windows lie side by side: one run for each q.
  const after = 2 * (shape.length - dim - 1), length = shape[dim];
  let sum: Tensor | undefined;
  for (let q = 0; q < runs; q++) {
    const width = Math.min(step, size - q * step);
    const blocks = rest.narrow(dim + 1, q * step, width);
    const wide = blocks.pad([...new Array<number>(after).fill(0), 0, step - width]);
    const run = wide.reshape(shape.map((s, d) => d === dim ? count * step : s));
    const end = length - q * step - count * step;
    const placed = run.pad([...new Array<number>(after).fill(0), q * step, end]);
    sum = sum === undefined ? placed : sum.add(placed);
  }
  return sum ?? wrap(constNode(0, shape, g.dtype, g.device));
}

/** Gradients of the parents of a node, by its kind. */
export const nodeRules: {
  readonly [K in NodeKind]: (node: NodeOf<K>, g: Tensor) => readonly (Node | undefined)[];
} = {
  buffer: () => [],
  const: () => [],
  index: () => [],
  op: (n, g) => opRules[n.arg.op](g, wrap(n as Node), ...n.src.map(wrap)).map((t) => t?.node),
  reduce: (n, g) => {
    const x = wrap(n.src[0]);
    return [reduceRules[n.arg.op](g, wrap(n as Node), x, n.arg.dims).node];
  },
  view: (n, g) => {
    const { movement, parent } = n.arg;
    if (movement.kind === "custom") return movement.rule(g.node, n as Node);
    const rule = movementRules[movement.kind] as MovementRule<Movement["kind"]>;
    return [rule(g, wrap(parent), movement as never)?.node];
  },
  gather: (n, g) => {
    const [base, index] = n.src;
    const zeros = wrap(constNode(0, base.shape, base.dtype, base.device));
    return [zeros.scatterAdd(n.arg.dim, wrap(index), g).node];
  },
  scatter: (n, g) => {
    const [, index] = n.src;
    return [g.node, undefined, g.gather(n.arg.dim, wrap(index)).node];
  },
  assemble: (n, g) =>
    n.src.map((part, i) =>
      part.shape.reduce((t, size, d) => t.narrow(d, n.arg.starts[i][d], size), g).node
    ),
  routine: (n, g) => {
    if (n.arg.name !== "matmul") {
      throw new Error(`Cannot differentiate the routine ${n.arg.name}: its caller gives no rule`);
    }
    const [a, b] = n.src.map(wrap);
    // A transposed operand gets its gradient transposed too, so that undoing the view gives rows in order without a copy.
    const ga = () => columnMajor(a.node) ? b.matmul(g.mT).mT : g.matmul(b.mT);
    const gb = () => columnMajor(b.node) ? g.mT.matmul(a).mT : a.mT.matmul(g);
    return [
      a.node.needsGrad ? ga().node : undefined,
      b.node.needsGrad ? gb().node : undefined,
    ];
  },
  assign: (n, g) => [undefined, g.node].slice(0, n.src.length),
};

/** Whether the last two dimensions of a node lie transposed in memory. */
function columnMajor(node: Node): boolean {
  const [row, column] = viewParts(node).strides.slice(-2);
  return row < column;
}

/** Nodes that the gradients of {@linkcode nodeRules} belong to. */
export function gradientParents(node: Node): readonly Node[] {
  if (node.kind !== "view") return node.src;
  const { movement, parent } = node.arg;
  return movement.kind === "custom" ? movement.inputs : [parent];
}
