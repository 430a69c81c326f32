/** Conversions between the vector forms of the dtypes: float32 lanes for every float, int32 lanes for integers, masks for bool. */
import type { DType } from "../../dtype.ts";
import type { Code } from "./assembler.ts";
import { f32x4, i32, i32x4, v128 } from "./instructions.ts";
import type { Kit } from "./kit.ts";

/** How a dtype is held in four lanes (or one): float32, int32 or a mask. */
export type Form = "float" | "int" | "bool";

/** Form of every dtype. */
export const forms: Readonly<Record<DType, Form>> = {
  float32: "float",
  float64: "float",
  float16: "float",
  bfloat16: "float",
  int32: "int",
  int64: "int",
  uint8: "int",
  bool: "bool",
};

/** float16 bits in the low halves of lanes to float32. */
export function fromFloat16(k: Kit, bits: Code): Code {
  const shifted = k.vec(i32x4.shl(v128.and(bits, k.i(0x7fff)), i32.const(13)));
  // A multiplication moves the exponent, subnormals included.
  const finite = f32x4.mul(shifted, k.i(0x77800000));
  const special = v128.and(i32x4.geS(shifted, k.i(0x0f800000)), k.i(0x7f800000));
  const sign = i32x4.shl(v128.and(bits, k.i(0x8000)), i32.const(16));
  return v128.or(v128.or(finite, special), sign);
}

/** float32 to float16 bits in the low halves of lanes, to nearest, ties to even. */
export function toFloat16(k: Kit, x: Code): Code {
  const sign = k.vec(v128.and(x, k.i(0x80000000)));
  const size = k.vec(v128.xor(x, sign));
  const odd = v128.and(i32x4.shrU(size, i32.const(13)), k.i(1));
  const rebias = k.i(((15 - 127) << 23) + 0xfff);
  const normal = k.vec(i32x4.shrU(i32x4.add(i32x4.add(size, rebias), odd), i32.const(13)));
  // Adding 0.5 shifts a small number's bits to where a subnormal half has them, and rounds.
  const small = i32x4.sub(f32x4.add(size, k.f(0.5)), k.i(126 << 23));
  const ordinary = k.vec(v128.bitselect(small, normal, i32x4.ltS(size, k.i(113 << 23))));
  const nan = v128.and(i32x4.gtS(size, k.i(0x7f800000)), k.i(0x0200));
  const special = v128.or(k.i(0x7c00), nan);
  const bits = v128.bitselect(special, ordinary, i32x4.geS(size, k.i(0x47800000)));
  return v128.or(bits, i32x4.shrU(sign, i32.const(16)));
}

/** bfloat16 bits in the low halves of lanes to float32. */
export function fromBfloat16(_k: Kit, bits: Code): Code {
  return i32x4.shl(bits, i32.const(16));
}

/** float32 to bfloat16 bits in the low halves of lanes, to nearest, ties to even. */
export function toBfloat16(k: Kit, x: Code): Code {
  const odd = v128.and(i32x4.shrU(x, i32.const(16)), k.i(1));
  const rounded = i32x4.shrU(i32x4.add(i32x4.add(x, k.i(0x7fff)), odd), i32.const(16));
  return v128.bitselect(k.i(0x7fc0), rounded, f32x4.ne(x, x));
}

/** Rounds float32 lanes to what a float dtype can hold. */
export function roundFloat(k: Kit, dtype: DType, x: Code): Code {
  if (dtype === "float16") return fromFloat16(k, k.vec(toFloat16(k, x)));
  if (dtype === "bfloat16") return fromBfloat16(k, k.vec(toBfloat16(k, x)));
  return x;
}

/** Keeps the integer lanes of a narrow dtype in range. */
export function wrapInt(k: Kit, dtype: DType, x: Code): Code {
  return dtype === "uint8" ? v128.and(x, k.i(255)) : x;
}

type Cast = (k: Kit, x: Code, to: DType) => Code;

const casts: Readonly<Record<Form, Readonly<Record<Form, Cast>>>> = {
  float: {
    float: (k, x, to) => roundFloat(k, to, x),
    int: (k, x, to) => wrapInt(k, to, i32x4.truncSatF32x4S(x)),
    bool: (k, x) => f32x4.ne(x, k.f(0)),
  },
  int: {
    float: (k, x, to) => roundFloat(k, to, k.vec(f32x4.convertI32x4S(x))),
    int: (k, x, to) => wrapInt(k, to, x),
    bool: (k, x) => i32x4.ne(x, k.i(0)),
  },
  bool: {
    float: (k, x) => v128.and(x, k.f(1)),
    int: (k, x) => v128.and(x, k.i(1)),
    bool: (_, x) => x,
  },
};

/** Converts lanes from one dtype to another. */
export function castLanes(k: Kit, x: Code, from: DType, to: DType): Code {
  return casts[forms[from]][forms[to]](k, x, to);
}
