/** WebAssembly instructions as functions that compose {@linkcode Code}; groups and names follow the text format, in camelCase. */
import type { Code, FuncRef, Local, Writer } from "./assembler.ts";

/** An instruction of one operand. */
export type Unary = (a: Code) => Code;
/** An instruction of two operands. */
export type Binary = (a: Code, b: Code) => Code;
/** An instruction of three operands. */
export type Ternary = (a: Code, b: Code, c: Code) => Code;
/** A load from `pointer + offset` (bytes). */
export type Load = (pointer: Code, offset?: number) => Code;
/** A store to `pointer + offset` (bytes). */
export type Store = (pointer: Code, value: Code, offset?: number) => Code;

const unary = (op: number): Unary => (a) => (w) => {
  a(w);
  w.byte(op);
};
const binary = (op: number): Binary => (a, b) => (w) => {
  a(w);
  b(w);
  w.byte(op);
};
const load = (op: number, align: number): Load => (pointer, offset = 0) => (w) => {
  pointer(w);
  w.byte(op);
  w.byte(align);
  w.unsigned(offset);
};
const store = (op: number, align: number): Store => (pointer, value, offset = 0) => (w) => {
  pointer(w);
  value(w);
  w.byte(op);
  w.byte(align);
  w.unsigned(offset);
};
const saturating = (op: number): Unary => (a) => (w) => {
  a(w);
  w.byte(0xfc);
  w.byte(op);
};

const simd = (w: Writer, op: number): void => {
  w.byte(0xfd);
  w.unsigned(op);
};
const vUnary = (op: number): Unary => (a) => (w) => {
  a(w);
  simd(w, op);
};
const vBinary = (op: number): Binary => (a, b) => (w) => {
  a(w);
  b(w);
  simd(w, op);
};
const vTernary = (op: number): Ternary => (a, b, c) => (w) => {
  a(w);
  b(w);
  c(w);
  simd(w, op);
};
const vLoad = (op: number, align: number): Load => (pointer, offset = 0) => (w) => {
  pointer(w);
  simd(w, op);
  w.byte(align);
  w.unsigned(offset);
};
const vStore = (op: number, align: number): Store => (pointer, value, offset = 0) => (w) => {
  pointer(w);
  value(w);
  simd(w, op);
  w.byte(align);
  w.unsigned(offset);
};
const laneAccess =
  (op: number, align: number) =>
  (lane: number, pointer: Code, vector: Code, offset = 0): Code =>
  (w) => {
    pointer(w);
    vector(w);
    simd(w, op);
    w.byte(align);
    w.unsigned(offset);
    w.byte(lane);
  };
const extract = (op: number) => (lane: number, a: Code): Code => (w) => {
  a(w);
  simd(w, op);
  w.byte(lane);
};
const replace = (op: number) => (lane: number, a: Code, x: Code): Code => (w) => {
  a(w);
  x(w);
  simd(w, op);
  w.byte(lane);
};

/** 32-bit integers; comparisons of every type give one. */
export const i32 = {
  const: (n: number): Code => (w) => {
    w.byte(0x41);
    w.signed(n);
  },
  load: load(0x28, 2),
  load8U: load(0x2d, 0),
  load16U: load(0x2f, 1),
  store: store(0x36, 2),
  store8: store(0x3a, 0),
  store16: store(0x3b, 1),
  eqz: unary(0x45),
  eq: binary(0x46),
  ne: binary(0x47),
  ltS: binary(0x48),
  ltU: binary(0x49),
  gtS: binary(0x4a),
  gtU: binary(0x4b),
  leS: binary(0x4c),
  leU: binary(0x4d),
  geS: binary(0x4e),
  geU: binary(0x4f),
  clz: unary(0x67),
  ctz: unary(0x68),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  divS: binary(0x6d),
  divU: binary(0x6e),
  remS: binary(0x6f),
  remU: binary(0x70),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shrS: binary(0x75),
  shrU: binary(0x76),
  wrapI64: unary(0xa7),
  reinterpretF32: unary(0xbc),
  truncSatF32S: saturating(0),
  truncSatF64S: saturating(2),
};

/** 64-bit integers. */
export const i64 = {
  const: (n: bigint): Code => (w) => {
    w.byte(0x42);
    w.signed64(n);
  },
  load: load(0x29, 3),
  load32S: load(0x34, 2),
  load32U: load(0x35, 2),
  store: store(0x37, 3),
  eqz: unary(0x50),
  eq: binary(0x51),
  ne: binary(0x52),
  ltS: binary(0x53),
  gtS: binary(0x55),
  leS: binary(0x57),
  geS: binary(0x59),
  add: binary(0x7c),
  sub: binary(0x7d),
  mul: binary(0x7e),
  divS: binary(0x7f),
  remS: binary(0x81),
  and: binary(0x83),
  or: binary(0x84),
  xor: binary(0x85),
  shl: binary(0x86),
  shrS: binary(0x87),
  shrU: binary(0x88),
  extendI32S: unary(0xac),
  extendI32U: unary(0xad),
  reinterpretF64: unary(0xbd),
  truncSatF32S: saturating(4),
  truncSatF64S: saturating(6),
};

/** Scalar float32. */
export const f32 = {
  const: (x: number): Code => (w) => {
    w.byte(0x43);
    w.float32(x);
  },
  load: load(0x2a, 2),
  store: store(0x38, 2),
  eq: binary(0x5b),
  ne: binary(0x5c),
  lt: binary(0x5d),
  gt: binary(0x5e),
  le: binary(0x5f),
  ge: binary(0x60),
  abs: unary(0x8b),
  neg: unary(0x8c),
  floor: unary(0x8e),
  trunc: unary(0x8f),
  nearest: unary(0x90),
  sqrt: unary(0x91),
  add: binary(0x92),
  sub: binary(0x93),
  mul: binary(0x94),
  div: binary(0x95),
  min: binary(0x96),
  max: binary(0x97),
  convertI32S: unary(0xb2),
  convertI64S: unary(0xb4),
  demoteF64: unary(0xb6),
  reinterpretI32: unary(0xbe),
};

/** Scalar float64. */
export const f64 = {
  const: (x: number): Code => (w) => {
    w.byte(0x44);
    w.float64(x);
  },
  load: load(0x2b, 3),
  store: store(0x39, 3),
  eq: binary(0x61),
  ne: binary(0x62),
  lt: binary(0x63),
  gt: binary(0x64),
  le: binary(0x65),
  ge: binary(0x66),
  abs: unary(0x99),
  neg: unary(0x9a),
  floor: unary(0x9c),
  trunc: unary(0x9d),
  nearest: unary(0x9e),
  sqrt: unary(0x9f),
  add: binary(0xa0),
  sub: binary(0xa1),
  mul: binary(0xa2),
  div: binary(0xa3),
  min: binary(0xa4),
  max: binary(0xa5),
  copysign: binary(0xa6),
  convertI32S: unary(0xb7),
  convertI64S: unary(0xb9),
  promoteF32: unary(0xbb),
  reinterpretI64: unary(0xbf),
};

/** Whole vectors of 128 bits. */
export const v128 = {
  load: vLoad(0, 4),
  load8x8U: vLoad(2, 3),
  load16x4U: vLoad(4, 3),
  load8Splat: vLoad(7, 0),
  load16Splat: vLoad(8, 1),
  load32Splat: vLoad(9, 2),
  load64Splat: vLoad(10, 3),
  load32Zero: vLoad(92, 2),
  load64Zero: vLoad(93, 3),
  store: vStore(11, 4),
  load8Lane: laneAccess(84, 0),
  load16Lane: laneAccess(85, 1),
  load32Lane: laneAccess(86, 2),
  load64Lane: laneAccess(87, 3),
  store8Lane: laneAccess(88, 0),
  store16Lane: laneAccess(89, 1),
  store32Lane: laneAccess(90, 2),
  store64Lane: laneAccess(91, 3),
  not: vUnary(77),
  and: vBinary(78),
  /** `a & ~b`. */
  andnot: vBinary(79),
  or: vBinary(80),
  xor: vBinary(81),
  /** `bitselect(a, b, mask)`: bits of `a` where the mask is 1. */
  bitselect: vTernary(82),
  anyTrue: vUnary(83),
};

/** Sixteen bytes. */
export const i8x16 = {
  splat: vUnary(15),
  /** Bytes `lanes[i]` of `a` followed by `b`. */
  shuffle: (a: Code, b: Code, lanes: readonly number[]): Code => (w) => {
    a(w);
    b(w);
    simd(w, 13);
    w.raw(lanes);
  },
  swizzle: vBinary(14),
  bitmask: vUnary(100),
  narrowI16x8U: vBinary(102),
  add: vBinary(110),
  sub: vBinary(113),
};

/** Eight 16-bit integers. */
export const i16x8 = {
  splat: vUnary(16),
  narrowI32x4S: vBinary(133),
  narrowI32x4U: vBinary(134),
  extendLowI8x16U: vUnary(137),
  shl: vBinary(139),
  shrU: vBinary(141),
  add: vBinary(142),
};

/** Four 32-bit integers; comparisons of vectors give masks of all ones. */
export const i32x4 = {
  const: (n: number): Code => (w) => {
    simd(w, 12);
    for (let lane = 0; lane < 4; lane++) w.int32(n);
  },
  lanes: (a: number, b: number, c: number, d: number): Code => (w) => {
    simd(w, 12);
    for (const n of [a, b, c, d]) w.int32(n);
  },
  splat: vUnary(17),
  extractLane: extract(27),
  replaceLane: replace(28),
  /** 32-bit lanes `lanes[i]` (0..7) of `a` followed by `b`. */
  shuffle: (a: Code, b: Code, lanes: readonly [number, number, number, number]): Code =>
    i8x16.shuffle(a, b, lanes.flatMap((l) => [4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3])),
  eq: vBinary(55),
  ne: vBinary(56),
  ltS: vBinary(57),
  ltU: vBinary(58),
  gtS: vBinary(59),
  gtU: vBinary(60),
  leS: vBinary(61),
  leU: vBinary(62),
  geS: vBinary(63),
  geU: vBinary(64),
  abs: vUnary(160),
  neg: vUnary(161),
  allTrue: vUnary(163),
  bitmask: vUnary(164),
  extendLowI16x8U: vUnary(169),
  /** Shift by a scalar i32, modulo 32. */
  shl: vBinary(171),
  shrS: vBinary(172),
  shrU: vBinary(173),
  add: vBinary(174),
  sub: vBinary(177),
  mul: vBinary(181),
  minS: vBinary(182),
  minU: vBinary(183),
  maxS: vBinary(184),
  maxU: vBinary(185),
  truncSatF32x4S: vUnary(248),
  truncSatF64x2SZero: vUnary(252),
  relaxedTruncF32x4S: vUnary(0x101),
  relaxedLaneselect: vTernary(0x10b),
};

/** Two 64-bit integers. */
export const i64x2 = {
  splat: vUnary(18),
  extractLane: extract(29),
  add: vBinary(206),
  sub: vBinary(209),
  mul: vBinary(213),
  shl: vBinary(203),
  shrU: vBinary(205),
  extmulLowI32x4U: vBinary(222),
  extmulHighI32x4U: vBinary(223),
};

/** Four float32. */
export const f32x4 = {
  const: (x: number): Code => (w) => {
    simd(w, 12);
    for (let lane = 0; lane < 4; lane++) w.float32(x);
  },
  splat: vUnary(19),
  extractLane: extract(31),
  replaceLane: replace(32),
  eq: vBinary(65),
  ne: vBinary(66),
  lt: vBinary(67),
  gt: vBinary(68),
  le: vBinary(69),
  ge: vBinary(70),
  ceil: vUnary(103),
  floor: vUnary(104),
  trunc: vUnary(105),
  nearest: vUnary(106),
  abs: vUnary(224),
  neg: vUnary(225),
  sqrt: vUnary(227),
  add: vBinary(228),
  sub: vBinary(229),
  mul: vBinary(230),
  div: vBinary(231),
  /** NaN passes; slower than `pmin` on x64. */
  min: vBinary(232),
  max: vBinary(233),
  /** `b < a ? b : a`, one instruction. */
  pmin: vBinary(234),
  /** `a < b ? b : a`, one instruction. */
  pmax: vBinary(235),
  convertI32x4S: vUnary(250),
  convertI32x4U: vUnary(251),
  demoteF64x2Zero: vUnary(94),
  /** `a * b + c`, fused where the machine can. */
  relaxedMadd: vTernary(0x105),
  /** `c - a * b`, fused where the machine can. */
  relaxedNmadd: vTernary(0x106),
};

/** Two float64. */
export const f64x2 = {
  const: (x: number): Code => (w) => {
    simd(w, 12);
    w.float64(x);
    w.float64(x);
  },
  splat: vUnary(20),
  extractLane: extract(33),
  replaceLane: replace(34),
  add: vBinary(240),
  sub: vBinary(241),
  mul: vBinary(242),
  div: vBinary(243),
  sqrt: vUnary(239),
  nearest: vUnary(148),
  promoteLowF32x4: vUnary(95),
  convertLowI32x4S: vUnary(254),
  relaxedMadd: vTernary(0x107),
};

/** Reads a local. */
export const get = (local: Local): Code => (w) => {
  w.byte(0x20);
  w.unsigned(local);
};

/** Sets a local. */
export const set = (local: Local, value: Code): Code => (w) => {
  value(w);
  w.byte(0x21);
  w.unsigned(local);
};

/** Sets a local and leaves the value. */
export const tee = (local: Local, value: Code): Code => (w) => {
  value(w);
  w.byte(0x22);
  w.unsigned(local);
};

/** Several pieces of code in order. */
export const seq = (...code: Code[]): Code => (w) => {
  for (const c of code) c(w);
};

/** `condition ? a : b` of scalars or vectors; both sides are computed. */
export const select = (a: Code, b: Code, condition: Code): Code => (w) => {
  a(w);
  b(w);
  condition(w);
  w.byte(0x1b);
};

/** Drops a value. */
export const drop = (a: Code): Code => (w) => {
  a(w);
  w.byte(0x1a);
};

/** A block that branches leave at its end. */
export const block = (...body: Code[]): Code => (w) => {
  w.raw([0x02, 0x40]);
  for (const c of body) c(w);
  w.byte(0x0b);
};

/** A block that branches start again. */
export const loop = (...body: Code[]): Code => (w) => {
  w.raw([0x03, 0x40]);
  for (const c of body) c(w);
  w.byte(0x0b);
};

/** Branches `depth` blocks out. */
export const br = (depth: number): Code => (w) => {
  w.byte(0x0c);
  w.unsigned(depth);
};

/** Branches when the condition is not 0. */
export const brIf = (depth: number, condition: Code): Code => (w) => {
  condition(w);
  w.byte(0x0d);
  w.unsigned(depth);
};

/** `if (condition) { then } else { otherwise }`, without a result. */
export const ifElse = (condition: Code, then: Code, otherwise?: Code): Code => (w) => {
  condition(w);
  w.raw([0x04, 0x40]);
  then(w);
  if (otherwise !== undefined) {
    w.byte(0x05);
    otherwise(w);
  }
  w.byte(0x0b);
};

/** Calls a function. */
export const call = (f: FuncRef, ...args: Code[]): Code => (w) => {
  for (const a of args) a(w);
  w.byte(0x10);
  w.unsigned(f.index);
};

/** Returns from the function. */
export const ret: Code = (w) => w.byte(0x0f);

/** `while (condition) { body }`. */
export const whileLoop = (condition: Code, ...body: Code[]): Code =>
  block(loop(brIf(1, i32.eqz(condition)), ...body, br(0)));

/** `do { body } while (condition)`. */
export const doWhile = (condition: Code, ...body: Code[]): Code =>
  loop(...body, brIf(0, condition));

/** `local += step`. */
export const increment = (local: Local, step: Code): Code => set(local, i32.add(get(local), step));

/** `for (local = from; local < to; local += step) { body }`, unsigned. */
export const forLoop = (local: Local, from: Code, to: Code, step: Code, ...body: Code[]): Code =>
  seq(set(local, from), whileLoop(i32.ltU(get(local), to), ...body, increment(local, step)));
