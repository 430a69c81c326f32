/** What special functions are made of: evaluation in float64, ratios of polynomials, sums over a few terms. */
import { type DType, isFloat } from "../../dtype.ts";
import { constNode, makeNode } from "../../node.ts";
import { broadcastShapes } from "../../shape.ts";
import { castNode, choiceDtype, expandNode, hostNode, type Numeric, wrap } from "../base.ts";
import type { Tensor } from "../tensor.ts";

/** A ratio of two polynomials, highest coefficients first. */
export interface Ratio {
  /** Coefficients above the line. */
  readonly numerator: readonly number[];
  /** Coefficients below the line. */
  readonly denominator: readonly number[];
}

/** Ones beside `x`. */
export function onesBeside(x: Tensor): Tensor {
  return wrap(constNode(1, x.shape, x.dtype, x.device));
}

/** A polynomial at `x`, highest coefficient first, by Horner's rule; at least two coefficients. */
export function polynomial(x: Tensor, [first, second, ...rest]: readonly number[]): Tensor {
  return rest.reduce((sum, c) => sum.mul(x).add(c), x.mul(first).add(second));
}

/** A ratio of polynomials at `x`. */
export function ratio(x: Tensor, { numerator, denominator }: Ratio): Tensor {
  const top = polynomial(x, numerator);
  return denominator.length === 1 ? top : top.div(polynomial(x, denominator));
}

/** `1 / x` to a whole power, by repeated squaring: far cheaper than `pow`. */
export function reciprocalPower(x: Tensor, power: number): Tensor {
  let square = x.reciprocal(), out: Tensor | undefined;
  for (let rest = power; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) out = out === undefined ? square : out.mul(square);
    if (rest > 1) square = square.mul(square);
  }
  return out!;
}

/** `0, 1, ..., n - 1` as float64, to stand along a new last dimension. */
export function counts(n: number, device: string): Tensor {
  return wrap(castNode(makeNode("index", null, [], [n], "int32", device), "float64"));
}

/** A few float64 numbers, to stand along a new last dimension. */
export function row(values: readonly number[], device: string): Tensor {
  return wrap(hostNode(Float64Array.from(values), [values.length], "float64", device));
}

/** Gradient of one input: from that of the result `g`, the result `y` and the inputs. `null`: there is none to be had. */
export type Slope = ((y: Tensor, ...x: Tensor[]) => Tensor) | null;

/**
 * A function computed in float64, whatever the dtype of its inputs, and rounded once: no formula here has to save digits.
 *
 * @param name What the function is called in messages
 * @param inputs Operands, the first a tensor; they broadcast and promote, integers to float32
 * @param value The function, of float64 tensors of one shape
 * @param slopes Derivative by each input, in the dtype of the result; without them the formula itself is differentiated
 * @returns The values in the promoted dtype
 */
export function inDouble(
  name: string,
  inputs: readonly [Tensor, ...Numeric[]],
  value: (...x: Tensor[]) => Tensor,
  slopes?: readonly Slope[],
): Tensor {
  const [first] = inputs;
  const given = inputs.map((x) => operandOf(name, x, first));
  const promoted = given.slice(1).reduce<DType>(
    (dtype, x, i) => typeof inputs[i + 1] === "number" ? dtype : choiceDtype(first.to(dtype), x),
    first.dtype,
  );
  const dtype = isFloat(promoted) ? promoted : "float32";
  const shape = given.slice(1).reduce(
    (s, x) => broadcastShapes(s, x.shape, `take ${name} of`),
    first.shape,
  );
  const operands = given.map((x) => wrap(expandNode(castNode(x.node, dtype), shape)));
  if (slopes === undefined) return value(...operands.map((x) => x.to("float64"))).to(dtype);
  const doubles = operands.map((x) => x.detach().to("float64"));
  return value(...doubles).to(dtype).withGradient(
    operands,
    (g, y) =>
      slopes.map((slope, i) => {
        if (!operands[i].requiresGrad) return undefined;
        if (slope === null) {
          throw new TypeError(`Cannot differentiate ${name} by its argument ${i}: detach it`);
        }
        return g.mul(slope(y, ...operands));
      }),
  );
}

function operandOf(name: string, x: Numeric, beside: Tensor): Tensor {
  if (typeof x === "number") return wrap(constNode(x, [], "float64", beside.device));
  if (x === undefined || x === null || x.node === undefined) {
    throw new TypeError(`Cannot take ${name} of ${String(x)}: a tensor or a number is needed`);
  }
  if (x.device !== beside.device && x.node.kind !== "const") {
    throw new TypeError(
      `Cannot take ${name} of tensors on ${beside.device} and ${x.device}: move one with to("${beside.device}")`,
    );
  }
  return x;
}
