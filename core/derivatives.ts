/** Derivatives of functions: products with the Jacobian from either side, whole Jacobians and Hessians. */
import { enableGrad, grad } from "./grad.ts";
import { sameShape, shapeText } from "./shape.ts";
import { stack, type Tensor, zeros } from "./tensor/mod.ts";

/** A function of tensors. */
export type TensorFunction = (...inputs: Tensor[]) => Tensor;

/** Options of {@linkcode jacobian} and its like. */
export interface DerivativeOptions {
  /** Whether the result can be differentiated again, also with respect to the inputs given; false by default. */
  readonly createGraph?: boolean;
}

/** What {@linkcode vjp} and {@linkcode jvp} give. */
export interface DerivativeResult<T> {
  /** Value of the function. */
  readonly output: Tensor;
  /** The product. */
  readonly product: T;
}

/** The function's inputs as leaves of their own, unless the graph goes on beyond them. */
function leaves(inputs: readonly Tensor[], createGraph: boolean): Tensor[] {
  return inputs.map((x) =>
    createGraph && x.requiresGrad ? x : x.detach().clone().detach().requiresGrad_()
  );
}

const zerosLike = ({ shape, dtype, device }: Tensor): Tensor => zeros(shape, { dtype, device });

/** Gradients of `outputs`, zeros where nothing flows at all. */
function gradients(
  output: Tensor,
  inputs: readonly Tensor[],
  gradOutput: Tensor | undefined,
  createGraph: boolean,
): Tensor[] {
  if (!output.requiresGrad) return inputs.map(zerosLike);
  return grad(output, inputs, { ...(gradOutput && { gradOutputs: [gradOutput] }), createGraph });
}

function checkShape(action: string, got: Tensor, wanted: Tensor): void {
  if (sameShape(got.shape, wanted.shape)) return;
  throw new TypeError(
    `Cannot take the ${action} with ${shapeText(got.shape)}: it must be ${shapeText(wanted.shape)}`,
  );
}

/**
 * A row vector times the Jacobian: one backward pass.
 *
 * @param fn The function
 * @param inputs Where
 * @param vector In the shape of the function's value; 1 when that is a scalar and none is given
 * @returns The value, and a product for each input, in its shape
 * @throws {TypeError} When the vector has another shape
 */
export function vjp(
  fn: TensorFunction,
  inputs: readonly Tensor[],
  vector?: Tensor,
  { createGraph = false }: DerivativeOptions = {},
): DerivativeResult<Tensor[]> {
  return enableGrad(() => {
    const x = leaves(inputs, createGraph), output = fn(...x);
    if (vector !== undefined) checkShape("vjp", vector, output);
    return { output, product: gradients(output, x, vector, createGraph) };
  });
}

/**
 * The Jacobian times a column vector: two backward passes, the second through the first, which is linear in its seed.
 *
 * @param fn The function
 * @param inputs Where
 * @param vectors One for each input, in its shape
 * @returns The value, and the product in its shape
 * @throws {TypeError} When a vector is missing or has another shape
 */
export function jvp(
  fn: TensorFunction,
  inputs: readonly Tensor[],
  vectors: readonly Tensor[],
  { createGraph = false }: DerivativeOptions = {},
): DerivativeResult<Tensor> {
  if (vectors.length !== inputs.length) {
    throw new TypeError(
      `Cannot take the jvp with ${vectors.length} vectors: there are ${inputs.length} inputs`,
    );
  }
  vectors.forEach((v, i) => checkShape("jvp", v, inputs[i]));
  return enableGrad(() => {
    const x = leaves(inputs, createGraph), output = fn(...x);
    const seed = zerosLike(output).requiresGrad_();
    const flows = gradients(output, x, seed, true);
    const used = flows.flatMap((g, i) => g.requiresGrad ? [i] : []);
    if (used.length === 0) return { output, product: zerosLike(output) };
    const gradOutputs = used.map((i) => vectors[i]);
    const [product] = grad(used.map((i) => flows[i]), [seed], { gradOutputs, createGraph });
    return { output, product };
  });
}

/** Gradients of each element of `y`: for each input `[...y.shape, ...x.shape]`. One backward pass an element. */
function rows(y: Tensor, x: readonly Tensor[], createGraph: boolean): Tensor[] {
  const flat = y.reshape(-1), parts: Tensor[][] = x.map(() => []);
  for (let i = 0; i < flat.numel; i++) {
    gradients(flat.select(0, i), x, undefined, createGraph).forEach((g, k) => parts[k].push(g));
  }
  return x.map((t, k) =>
    parts[k].length === 0
      ? zeros([...y.shape, ...t.shape], { dtype: t.dtype, device: t.device })
      : stack(parts[k]).reshape([...y.shape, ...t.shape])
  );
}

/**
 * All derivatives of a function's value by its inputs: one backward pass for each element of the value.
 *
 * @param fn The function
 * @param inputs Where
 * @returns For each input `[...output.shape, ...input.shape]`
 */
export function jacobian(
  fn: TensorFunction,
  inputs: readonly Tensor[],
  { createGraph = false }: DerivativeOptions = {},
): Tensor[] {
  return enableGrad(() => {
    const x = leaves(inputs, createGraph);
    return rows(fn(...x), x, createGraph);
  });
}

/**
 * All second derivatives of a scalar function.
 *
 * @param fn The function; its value has one element
 * @param inputs Where
 * @returns `result[i][j]` is `[...inputs[i].shape, ...inputs[j].shape]`
 * @throws {TypeError} When the value has more elements
 */
export function hessian(
  fn: TensorFunction,
  inputs: readonly Tensor[],
  { createGraph = false }: DerivativeOptions = {},
): Tensor[][] {
  return enableGrad(() => {
    const x = leaves(inputs, createGraph), y = fn(...x);
    if (y.numel !== 1) {
      throw new TypeError(
        `Cannot take the hessian of a function whose value is ${
          shapeText(y.shape)
        }: it must have one element`,
      );
    }
    return gradients(y.reshape([]), x, undefined, true).map((g) => rows(g, x, createGraph));
  });
}
