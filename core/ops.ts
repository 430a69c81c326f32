/**
 * The scalar primitives. Everything pointwise is composed of these; each has one row in every table keyed by
 * {@linkcode OpName}: the facts here, the gradient, the meaning in float64 and the printed form of each backend.
 */
export type OpName =
  | "neg"
  | "abs"
  | "exp"
  | "log"
  | "sqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "erf"
  | "floor"
  | "round"
  | "trunc"
  | "not"
  | "cast"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "pow"
  | "mod"
  | "max"
  | "min"
  | "lt"
  | "le"
  | "eq"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "shr"
  | "where"
  | "randomBits";

/** Reductions that a kernel can end rows with. */
export type ReduceOp = "sum" | "prod" | "max" | "min";

/** What shared code may ask of a primitive. */
export interface OpFacts {
  /** Number of operands. */
  readonly arity: 1 | 2 | 3 | 4;
  /**
   * Result dtype: `same` as the (equal) operands, `bool`, the operands 1 and 2 of `where`, the argument of `cast`, or
   * 32 random bits as `int32`.
   */
  readonly result: "same" | "bool" | "branch" | "given" | "int32";
  /** Operand kinds that make sense. */
  readonly kinds: "float" | "number" | "integral" | "any";
  /** Rough cost in additions, which decides between computing twice and storing. */
  readonly cost: number;
  /** Interval that tests draw operands from; open intervals avoid poles and kinks. */
  readonly domain: readonly [number, number];
}

const fact = (
  arity: OpFacts["arity"],
  result: OpFacts["result"],
  kinds: OpFacts["kinds"],
  cost: number,
  domain: readonly [number, number] = [-2, 2],
): OpFacts => ({ arity, result, kinds, cost, domain });

/**
 * Facts of every primitive. Semantics worth stating: `max`, `min` pass NaN on; `mod` has the sign of the divisor
 * (Python's %); integer `div` truncates and by zero gives 0; `round` is to nearest, ties to even; `not` is logical on bool, bitwise on
 * integers; `shr` is arithmetic; `where(c, a, b)` takes a bool first; `randomBits(counter, seedLow, seedHigh, offset)` is the
 * first word of Philox 4x32-10 for counter words (counter, offset, 0, 0) and key (seedLow, seedHigh), all int32.
 */
export const ops: Readonly<Record<OpName, OpFacts>> = {
  neg: fact(1, "same", "number", 1),
  abs: fact(1, "same", "number", 1),
  exp: fact(1, "same", "float", 15),
  log: fact(1, "same", "float", 25, [0.1, 3]),
  sqrt: fact(1, "same", "float", 6, [0.1, 3]),
  sin: fact(1, "same", "float", 25),
  cos: fact(1, "same", "float", 25),
  tanh: fact(1, "same", "float", 20),
  erf: fact(1, "same", "float", 20),
  floor: fact(1, "same", "float", 1),
  round: fact(1, "same", "float", 1),
  trunc: fact(1, "same", "float", 1),
  not: fact(1, "same", "integral", 1),
  cast: fact(1, "given", "any", 1),
  add: fact(2, "same", "number", 1),
  sub: fact(2, "same", "number", 1),
  mul: fact(2, "same", "number", 1),
  div: fact(2, "same", "number", 5, [0.5, 2]),
  pow: fact(2, "same", "float", 50, [0.5, 2]),
  mod: fact(2, "same", "number", 8, [0.5, 2]),
  max: fact(2, "same", "any", 1),
  min: fact(2, "same", "any", 1),
  lt: fact(2, "bool", "any", 1),
  le: fact(2, "bool", "any", 1),
  eq: fact(2, "bool", "any", 1),
  and: fact(2, "same", "integral", 1),
  or: fact(2, "same", "integral", 1),
  xor: fact(2, "same", "integral", 1),
  shl: fact(2, "same", "integral", 1, [0, 4]),
  shr: fact(2, "same", "integral", 1, [0, 4]),
  where: fact(3, "branch", "any", 1),
  randomBits: fact(4, "int32", "integral", 60, [0, 1000]),
};
