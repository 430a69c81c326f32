/** How each dtype is held, and each primitive written, in CUDA C. */
import type { DType } from "../../dtype.ts";
import { reduceStart } from "../../meaning.ts";
import type { OpName, ReduceOp } from "../../ops.ts";

/** How an element lies in memory and in a register. */
export interface TypeText {
  /** Type of an element in memory. */
  readonly memory: string;
  /** Type in a register; 16-bit floats are held as float, small integers as int. */
  readonly register: "float" | "double" | "int" | "i64";
  /** From an element in memory to a register. */
  readonly read: (x: string) => string;
  /** From a register, already rounded to the dtype, to an element in memory. */
  readonly write: (x: string) => string;
  /** Brings the result of arithmetic on registers into the range of the dtype. */
  readonly round: (x: string) => string;
  /** A statement that adds a register to an element in memory. */
  readonly add: (pointer: string, x: string) => string;
}

const same = (x: string) => x;
const plainAdd = (pointer: string, x: string) => `addTo(${pointer}, ${x});`;

/** Text of every dtype. */
export const typeTexts: Readonly<Record<DType, TypeText>> = {
  float32: {
    memory: "float",
    register: "float",
    read: same,
    write: same,
    round: same,
    add: plainAdd,
  },
  float64: {
    memory: "double",
    register: "double",
    read: same,
    write: same,
    round: same,
    add: plainAdd,
  },
  float16: {
    memory: "u16",
    register: "float",
    read: (x) => `f16Read(${x})`,
    write: (x) => `f16Bits(${x})`,
    round: (x) => `f16Round(${x})`,
    add: (pointer, x) => `addToF16(${pointer}, ${x});`,
  },
  bfloat16: {
    memory: "u16",
    register: "float",
    read: (x) => `bf16Read(${x})`,
    write: (x) => `bf16Bits(${x})`,
    round: (x) => `bf16Round(${x})`,
    add: (pointer, x) => `addToBf16(${pointer}, ${x});`,
  },
  int32: { memory: "int", register: "int", read: same, write: same, round: same, add: plainAdd },
  int64: { memory: "i64", register: "i64", read: same, write: same, round: same, add: plainAdd },
  uint8: {
    memory: "u8",
    register: "int",
    read: (x) => `(int)${x}`,
    write: (x) => `(u8)${x}`,
    round: (x) => `((${x}) & 255)`,
    add: (pointer, x) => `addToByte(${pointer}, ${x}, false);`,
  },
  bool: {
    memory: "u8",
    register: "int",
    read: (x) => `(int)${x}`,
    write: (x) => `(u8)${x}`,
    round: (x) => `(int)((${x}) != 0)`,
    add: (pointer, x) => `addToByte(${pointer}, ${x}, true);`,
  },
};

const bits32 = new DataView(new ArrayBuffer(8));
const hex = (x: number) => x.toString(16).padStart(8, "0");

/** A float literal of exactly this value. */
function floatText(x: number): string {
  const f = Math.fround(x);
  if (!Number.isFinite(f)) {
    bits32.setFloat32(0, f);
    return `__int_as_float(0x${hex(bits32.getUint32(0))})`;
  }
  return signed(f, "f");
}

function doubleText(x: number): string {
  if (Number.isFinite(x)) return signed(x);
  bits32.setFloat64(0, x);
  return `__longlong_as_double(0x${hex(bits32.getUint32(0))}${hex(bits32.getUint32(4))}ll)`;
}

/** Digits that read back as the same number, with a point or an exponent. */
function signed(x: number, suffix = ""): string {
  const digits = Object.is(x, -0) ? "-0" : `${x}`;
  const text = `${/[.e]/.test(digits) ? digits : `${digits}.0`}${suffix}`;
  return x < 0 || Object.is(x, -0) ? `(${text})` : text;
}

/** Least integers have no literal of their own: the minus sign is an operator. */
function intText(x: number): string {
  if (x === -(2 ** 31)) return "(-2147483647 - 1)";
  return x < 0 ? `(${x})` : `${x}`;
}

function longText(x: number): string {
  const whole = BigInt.asIntN(64, BigInt(x));
  if (whole === -(2n ** 63n)) return "(-9223372036854775807ll - 1)";
  return whole < 0n ? `(${whole}ll)` : `${whole}ll`;
}

/** A constant that has been rounded to its dtype, as a literal of its register type. */
export function constantText(dtype: DType, value: number): string {
  return {
    float: floatText,
    double: doubleText,
    int: intText,
    i64: longText,
  }[typeTexts[dtype].register](value);
}

/** What a row of the table is given besides its operands. */
export interface OpContext {
  /** Dtype of the operands (of the branches, for `where`). */
  readonly operand: DType;
  /** Dtype of the result. */
  readonly result: DType;
}

/** Writes one primitive as an expression; operands are names or literals, so they may be repeated. */
export type OpText = (c: OpContext, ...x: string[]) => string;

type Kind = "float" | "double" | "int" | "i64" | "bool";
type Forms = Partial<Record<Kind, (...x: string[]) => string>>;

const kindOf = (dtype: DType): Kind => dtype === "bool" ? "bool" : typeTexts[dtype].register;

/** A primitive by the kind of its operands, rounded to the dtype of its result. */
const byKind = (name: string, forms: Forms): OpText => (c, ...x) => {
  const form = forms[kindOf(c.operand)];
  if (form === undefined) throw new TypeError(`Cannot print ${name} for ${c.operand}`);
  // Of truth values these forms make truth values.
  return c.result === "bool" ? form(...x) : typeTexts[c.result].round(form(...x));
};

/** A function of the device library: `f` with a suffix for float. */
const libraryFunction = (name: string, f = name): OpText =>
  byKind(name, {
    float: (...x) => `${f}f(${x.join(", ")})`,
    double: (...x) => `${f}(${x.join(", ")})`,
  });

const calls = (f: string) => (...x: string[]) => `${f}(${x.join(", ")})`;
const infix = (op: string) => (x: string, y: string) => `${x} ${op} ${y}`;
const first = (x: string) => x;

const arithmetic = (name: string, op: string, whole: string, bool: string): OpText =>
  byKind(name, {
    float: infix(op),
    double: infix(op),
    int: calls(whole),
    i64: calls(whole),
    bool: infix(bool),
  });

const bitwise = (name: string, op: string): OpText =>
  byKind(name, { int: infix(op), i64: infix(op), bool: infix(op) });

const compare = (op: string): OpText => (_, x, y) => `(int)(${x} ${op} ${y})`;

const extreme = (name: string, f: string, bool: string): OpText =>
  byKind(name, {
    float: calls(f),
    double: calls(f),
    int: calls(f),
    i64: calls(f),
    bool: infix(bool),
  });

function castText({ operand, result }: OpContext, x: string): string {
  const from = typeTexts[operand], to = typeTexts[result];
  if (operand === result) return x;
  if (result === "bool") return `(int)(${x} != 0)`;
  if (result === "float16" && from.register === "double") return `f16Narrow(${x})`;
  if (operand === "bool" && to.register === "int") return x;
  const same = from.register === to.register;
  return to.round(same ? x : `(${to.register})${x}`);
}

/** Text of every primitive. */
export const opTexts: Readonly<Record<OpName, OpText>> = {
  neg: byKind("neg", {
    float: (x) => `-${x}`,
    double: (x) => `-${x}`,
    int: (x) => `subInt(0, ${x})`,
    i64: (x) => `subInt((i64)0, ${x})`,
    bool: first,
  }),
  abs: byKind("abs", {
    float: calls("fabsf"),
    double: calls("fabs"),
    int: (x) => `${x} < 0 ? subInt(0, ${x}) : ${x}`,
    i64: (x) => `${x} < 0 ? subInt((i64)0, ${x}) : ${x}`,
    bool: first,
  }),
  exp: libraryFunction("exp"),
  log: libraryFunction("log"),
  sqrt: libraryFunction("sqrt"),
  sin: libraryFunction("sin"),
  cos: libraryFunction("cos"),
  tanh: libraryFunction("tanh"),
  erf: libraryFunction("erf"),
  floor: libraryFunction("floor"),
  round: libraryFunction("round", "rint"),
  trunc: libraryFunction("trunc"),
  not: byKind("not", { int: (x) => `~${x}`, i64: (x) => `~${x}`, bool: (x) => `${x} == 0` }),
  cast: castText,
  add: arithmetic("add", "+", "addInt", "|"),
  sub: arithmetic("sub", "-", "subInt", "^"),
  mul: arithmetic("mul", "*", "mulInt", "&"),
  div: byKind("div", {
    float: infix("/"),
    double: infix("/"),
    int: calls("divInt"),
    i64: calls("divInt"),
    bool: infix("&"),
  }),
  pow: libraryFunction("pow"),
  mod: byKind("mod", {
    float: calls("modFloat"),
    double: calls("modFloat"),
    int: calls("modInt"),
    i64: calls("modInt"),
    bool: () => "0",
  }),
  max: extreme("max", "most", "|"),
  min: extreme("min", "least", "&"),
  lt: compare("<"),
  le: compare("<="),
  eq: compare("=="),
  and: bitwise("and", "&"),
  or: bitwise("or", "|"),
  xor: bitwise("xor", "^"),
  shl: byKind("shl", { int: calls("shiftLeft"), i64: calls("shiftLeft") }),
  shr: byKind("shr", { int: calls("shiftRight"), i64: calls("shiftRight") }),
  where: (_, c, x, y) => `${c} != 0 ? ${x} : ${y}`,
  randomBits: (_, ...x) => `randomBits(${x.join(", ")})`,
};

/** The type of the prelude that joins two values of a reduction. */
export const joinTexts: Readonly<Record<ReduceOp, string>> = {
  sum: "Sum",
  prod: "Prod",
  max: "Max",
  min: "Min",
};

/** What a reduction starts from, as a literal of its register type. */
export function startText(op: ReduceOp, dtype: DType): string {
  if (dtype !== "int64" || op === "sum" || op === "prod") {
    return constantText(dtype, reduceStart(op, dtype));
  }
  // The reference stops at the integers that float64 holds; memory here holds all of them.
  return op === "max" ? longText(-(2 ** 63)) : "9223372036854775807ll";
}
