/** Every primitive beside a direct formula. */
import { rand, where } from "@pta/core";
import { erf, meaning } from "../core/meaning.ts";
import type { OpName } from "../core/ops.ts";
import { binary, type Case, flat, floorMod, ints, positive, truth, unary, usual } from "./case.ts";

/** The row that proves each primitive. A primitive without one does not compile. */
export const primitiveCases: Readonly<Record<OpName, Case>> = {
  neg: unary("neg", (x) => x.neg(), (x) => -x),
  abs: unary("abs", (x) => x.abs(), Math.abs),
  exp: unary("exp", (x) => x.exp(), Math.exp),
  log: unary("log", (x) => x.log(), Math.log, { domains: [positive] }),
  sqrt: unary("sqrt", (x) => x.sqrt(), Math.sqrt, { domains: [positive] }),
  sin: unary("sin", (x) => x.sin(), Math.sin, { domains: [[-9, 9]] }),
  cos: unary("cos", (x) => x.cos(), Math.cos, { domains: [[-9, 9]] }),
  tanh: unary("tanh", (x) => x.tanh(), Math.tanh),
  erf: unary("erf", (x) => x.erf(), erf),
  floor: unary("floor", (x) => x.floor(), Math.floor, { ...flat, domains: [[-9, 9]] }),
  round: unary("round", (x) => x.mul(0.5).round(), (x) => meaning.round("float64", x * 0.5), {
    ...ints,
    kind: "float",
    domains: [[-9, 9]],
    ...flat,
  }),
  trunc: unary("trunc", (x) => x.trunc(), Math.trunc, { ...flat, domains: [[-9, 9]] }),
  not: unary("bitwiseNot", (x) => x.bitwiseNot(), (x) => ~x, { kind: "int", domains: [[-9, 9]] }),
  cast: unary("to", (x) => x.to("int32").to(x.dtype), Math.trunc, {
    ...flat,
    domains: [[-9, 9]],
    covers: ["to", "int"],
  }),
  add: binary("add", (a, b) => a.add(b, { alpha: 3 }), (a, b) => a + 3 * b),
  sub: binary("sub", (a, b) => a.sub(b, { alpha: 2 }), (a, b) => a - 2 * b),
  mul: binary("mul", (a, b) => a.mul(b), (a, b) => a * b),
  div: binary("div", (a, b) => a.div(b), (a, b) => a / b, { domains: [usual, positive] }),
  pow: binary("pow", (a, b) => a.pow(b), Math.pow, { domains: [positive, usual] }),
  mod: binary("remainder", (a, b) => a.remainder(b), floorMod, { domains: [[0.1, 0.9], [1.1, 3]] }),
  max: binary("maximum", (a, b) => a.maximum(b), Math.max),
  min: binary("minimum", (a, b) => a.minimum(b), Math.min),
  lt: binary("lt", (a, b) => a.lt(b), (a, b) => truth(a < b), flat),
  le: binary("le", (a, b) => a.le(b), (a, b) => truth(a <= b), { ...ints }),
  eq: binary("eq", (a, b) => a.eq(b), (a, b) => truth(a === b), {
    ...ints,
    domains: [[0, 3], [0, 3]],
  }),
  and: binary("bitwiseAnd", (a, b) => a.bitwiseAnd(b), (a, b) => a & b, ints),
  or: binary("bitwiseOr", (a, b) => a.bitwiseOr(b), (a, b) => a | b, ints),
  xor: binary("bitwiseXor", (a, b) => a.bitwiseXor(b), (a, b) => a ^ b, ints),
  shl: binary("bitwiseLeftShift", (a, b) => a.bitwiseLeftShift(b), (a, b) => a << b, {
    kind: "int",
    domains: [[-9, 9], [0, 5]],
  }),
  shr: binary("bitwiseRightShift", (a, b) => a.bitwiseRightShift(b), (a, b) => a >> b, {
    kind: "int",
    domains: [[-99, 99], [0, 5]],
  }),
  where: binary("where", (a, b) => where(a.lt(b), a.mul(2), b), (a, b) => a < b ? 2 * a : b),
  // The numbers themselves are held against published vectors in rng_test.ts; here: nothing outside [0, 1).
  randomBits: unary(
    "rand",
    (x) => {
      const r = rand(x.shape, { device: x.device });
      return r.ge(0).logicalAnd(r.lt(1)).to(x.dtype);
    },
    () => 1,
    { ...flat, covers: [] },
  ),
};
