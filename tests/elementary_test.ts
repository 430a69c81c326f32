/** Elementary functions, arithmetic and comparison: wide ranges, edges, kinks, integers, 16-bit floats, errors. */
import { type DType, grad, gradcheck, type Tensor, tensor, zeros } from "@pta/core";
import { assertEquals } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

type Unary = readonly [
  name: string,
  fn: (x: Tensor) => Tensor,
  formula: (x: number) => number,
  domain: readonly [number, number],
  edges?: readonly number[],
];

const everywhere = [0, Infinity, -Infinity, NaN, 1e-30, -1e-30, 1e-5, -1e-5];
const sinc = (x: number) => x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);

const unary: readonly Unary[] = [
  ["acos", (x) => x.acos(), Math.acos, [-1, 1], [...everywhere, 1, -1, 1.5, -2]],
  ["acosh", (x) => x.acosh(), Math.acosh, [1.01, 50], [1, 1e12, 1e25, 0.5, -3, -1e30, Infinity]],
  ["asin", (x) => x.asin(), Math.asin, [-1, 1], [...everywhere, 1, -1, 1.5]],
  ["asinh", (x) => x.asinh(), Math.asinh, [-50, 50], [...everywhere, 1e12, -1e25]],
  ["atan", (x) => x.atan(), Math.atan, [-5, 5], [...everywhere, 1e12, -1e12]],
  ["atanh", (x) => x.atanh(), Math.atanh, [-0.99, 0.99], [...everywhere, 1, -1, 2]],
  ["cosh", (x) => x.cosh(), Math.cosh, [-9, 9], [...everywhere, 89.2, -89.2]],
  ["deg2rad", (x) => x.deg2rad(), (x) => x * Math.PI / 180, [-400, 400]],
  ["exp2", (x) => x.exp2(), (x) => 2 ** x, [-20, 20], [...everywhere, 127, -140]],
  ["expm1", (x) => x.expm1(), Math.expm1, [-5, 5], [...everywhere, 88, 200, -200]],
  ["frac", (x) => x.frac(), (x) => x - Math.trunc(x), [-9, 9]],
  ["log10", (x) => x.log10(), Math.log10, [0.1, 1000], everywhere],
  ["log1p", (x) => x.log1p(), Math.log1p, [-0.99, 50], [...everywhere, -1, -2, 1e30]],
  ["logit", (x) => x.logit(), (x) => Math.log(x / (1 - x)), [0.01, 0.45], [0, 1, -1]],
  ["rad2deg", (x) => x.rad2deg(), (x) => x * 180 / Math.PI, [-7, 7]],
  ["sigmoid", (x) => x.sigmoid(), (x) => 1 / (1 + Math.exp(-x)), [-20, 20], everywhere],
  ["sinc", (x) => x.sinc(), sinc, [0.1, 3], [0, 1e-30, NaN]],
  ["sinh", (x) => x.sinh(), Math.sinh, [-9, 9], [...everywhere, 89.2, -89.2, 0.999]],
  ["tan", (x) => x.tan(), Math.tan, [-1.4, 1.4], [0, 1e-30, NaN, Infinity]],
];

type Binary = readonly [
  name: string,
  fn: (a: Tensor, b: Tensor) => Tensor,
  formula: (a: number, b: number) => number,
  differentiable: boolean,
];

const logaddexp = (a: number, b: number) =>
  a === b ? a + Math.LN2 : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
const binary: readonly Binary[] = [
  ["addcmul", (a, b) => a.addcmul(a, b, { value: 3 }), (a, b) => a + 3 * a * b, true],
  ["addcdiv", (a, b) => a.addcdiv(a, b, { value: 3 }), (a, b) => a + 3 * (a / b), true],
  ["atan2", (a, b) => a.atan2(b), Math.atan2, true],
  ["copysign", (a, b) => a.copysign(b), (a, b) => Math.abs(a) * (b < 0 ? -1 : 1), true],
  ["floorDivide", (a, b) => a.floorDivide(b), (a, b) => Math.floor(a / b), false],
  ["fmax", (a, b) => a.fmax(b), Math.max, true],
  ["fmin", (a, b) => a.fmin(b), Math.min, true],
  ["fmod", (a, b) => a.fmod(b), (a, b) => a % b, true],
  [
    "floor of a quotient",
    (a, b) => a.div(b, { roundingMode: "floor" }),
    (a, b) => Math.floor(a / b),
    false,
  ],
  [
    "whole part of a quotient",
    (a, b) => a.div(b, { roundingMode: "trunc" }),
    (a, b) => Math.trunc(a / b),
    false,
  ],
  ["hypot", (a, b) => a.hypot(b), Math.hypot, true],
  ["ldexp", (a, b) => a.ldexp(b), (a, b) => a * 2 ** b, true],
  ["lerp", (a, b) => a.lerp(b, a), (a, b) => a + a * (b - a), true],
  ["logaddexp", (a, b) => a.logaddexp(b), logaddexp, true],
  ["logaddexp2", (a, b) => a.logaddexp2(b), (a, b) => Math.log2(2 ** a + 2 ** b), true],
  ["rsub", (a, b) => a.rsub(b, { alpha: 2 }), (a, b) => b - 2 * a, true],
  ["xlogy", (a, b) => a.xlogy(b.abs()), (a, b) => a * Math.log(Math.abs(b)), true],
];

// Irrational steps, so that no value is a tie or a pole.
const spread = (n: number, low: number, high: number, step = 0.6180339887) =>
  Float64Array.from({ length: n }, (_, i) => low + (high - low) * ((i + 1) * step % 1));
const tolerance = { float32: { atol: 1e-40, rtol: 1e-6 }, float64: { atol: 0, rtol: 2e-15 } };
/** Terms of opposite sign may leave little: absolute errors then. */
const cancelling = { float32: { atol: 2e-6, rtol: 2e-6 }, float64: { atol: 1e-14, rtol: 1e-13 } };

eachDevice("functions hold over their ranges and at their edges", () => {
  for (const dtype of ["float32", "float64"] as const) {
    for (const [name, fn, formula, domain, edges = []] of unary) {
      const x = tensor(Float64Array.of(...spread(97, ...domain), ...edges), { dtype });
      const wanted = numbers(x).map(formula);
      const exact = name !== "logit" && name !== "log10" && name !== "frac";
      closeNumbers(numbers(fn(x)), dtype === "float32" ? wanted.map(Math.fround) : wanted, {
        ...(exact ? tolerance : cancelling)[dtype],
        // Where the slope is steep the rounding of pi counts many times over.
        ...(name === "tan" || name === "sinc" ? cancelling[dtype] : {}),
      }, `${name} in ${dtype}`);
    }
    const a = tensor(spread(90, -4, 4), { dtype }),
      b = tensor(spread(90, -3, 3, 0.7548), { dtype });
    for (const [name, fn, formula] of binary) {
      const p = numbers(a), q = numbers(b);
      closeNumbers(
        numbers(fn(a, b)),
        p.map((x, i) => formula(x, q[i])),
        cancelling[dtype],
        `${name} in ${dtype}`,
      );
    }
  }
});

Deno.test("gradients agree with finite differences", () =>
  on("ref", () => {
    const leaf = (low: number, high: number, step?: number) =>
      tensor(spread(12, low, high, step), { dtype: "float64", requiresGrad: true });
    for (const [name, fn, , [low, high]] of unary) {
      const inside = (high - low) * 0.02;
      const x = leaf(low + inside, high - inside);
      try {
        gradcheck(fn, [x], { atol: 1e-5, rtol: 1e-5 });
      } catch (error) {
        throw new Error(name, { cause: error });
      }
    }
    for (const [name, fn, , differentiable] of binary) {
      const inputs = [leaf(0.3, 4), leaf(0.2, 3, 0.7548)];
      if (!differentiable) continue;
      try {
        gradcheck(fn, inputs, { atol: 1e-5, rtol: 1e-5 });
      } catch (error) {
        throw new Error(name, { cause: error });
      }
    }
    // The rules are differentiable in turn.
    const second: readonly (readonly [(x: Tensor) => Tensor, (x: number) => number])[] = [
      [(x) => x.asin(), (x) => x / (1 - x * x) ** 1.5],
      [(x) => x.atan(), (x) => -2 * x / (1 + x * x) ** 2],
      [(x) => x.sinh(), Math.sinh],
      [(x) => x.sigmoid(), (x) => -Math.tanh(x / 2) / 4 / Math.cosh(x / 2) ** 2],
    ];
    for (const [f, formula] of second) {
      const x = leaf(-0.9, 0.9);
      const [slope] = grad(f(x).sum(), [x], { createGraph: true });
      const wanted = numbers(x).map(formula);
      closeNumbers(numbers(grad(slope.sum(), [x])[0]), wanted, { atol: 1e-13, rtol: 1e-12 });
    }
  }));

/** The gradients of `fn(a, b)` at `a` and `b`. */
function slopes(fn: (a: Tensor, b: Tensor) => Tensor, a: number[], b: number[]): number[][] {
  const leaves = [a, b].map((x) => tensor(x, { requiresGrad: true }));
  return grad(fn(leaves[0], leaves[1]).sum(), leaves).map(numbers);
}

eachDevice("gradients at kinks are PyTorch's", () => {
  assertEquals(slopes((a, b) => a.maximum(b), [1, 2, 0], [1, 1, 3]), [[0.5, 1, 0], [0.5, 0, 1]]);
  assertEquals(slopes((a, b) => a.minimum(b), [1, NaN], [1, 1]), [[0.5, 1], [0.5, 1]]);
  assertEquals(slopes((a, b) => a.fmax(b), [1, NaN, 1], [1, 1, NaN]), [[1, 0, 1], [0, 1, 0]]);
  assertEquals(slopes((a, b) => a.fmin(b), [1, NaN, 1], [1, 1, NaN]), [[1, 0, 1], [0, 1, 0]]);
  assertEquals(slopes((a, b) => a.clamp(b, 2), [0, 1, 2, 3], [1, 1, 1, 1]), [
    [0, 1, 1, 0],
    [1, 0, 0, 0],
  ]);
  assertEquals(slopes((a, b) => a.abs().add(b.sgn()), [0, -1], [0, 1]), [[0, -1], [0, 0]]);
  assertEquals(slopes((a, b) => a.atan2(b), [0], [0]), [[0], [0]]);
  assertEquals(slopes((a, b) => a.pow(b), [0, 0], [0, 2]), [[0, 0], [0, 0]]);
  assertEquals(slopes((a, b) => a.xlogy(b), [0, 0], [1, 0]), [[0, 0], [0, NaN]]);
  const x = tensor([NaN, Infinity, -Infinity, 2], { requiresGrad: true });
  assertEquals(numbers(grad(x.nanToNum().sum(), [x])[0]), [0, 0, 0, 1]);
  const far = tensor([-200, 200], { requiresGrad: true });
  assertEquals(numbers(grad(far.sigmoid().sum(), [far])[0]), [0, 0]);
  const wild = tensor([0.5, 2, -1], { requiresGrad: true });
  assertEquals(numbers(grad(wild.logit(0.1).sum(), [wild])[0]), [4, 0, 0]);
  assertEquals(numbers(grad(wild.logit().sum(), [wild])[0]), [4, NaN, NaN]);
});

const listed = (t: Tensor) => [t.dtype, ...numbers(t)] as const;
const int = (x: number[], dtype: DType = "int64") => tensor(x, { dtype });

eachDevice("integers stay integers", () => {
  const a = [-7, 7, -7, 7, 6, 0], b = [2, 2, -2, -2, 4, 5];
  for (const dtype of ["int32", "int64"] as const) {
    const x = int(a, dtype), y = int(b, dtype);
    assertEquals(listed(x.floorDivide(y)), [dtype, -4, 3, 3, -4, 1, 0]);
    assertEquals(listed(x.div(y, { roundingMode: "trunc" })), [dtype, -3, 3, 3, -3, 1, 0]);
    assertEquals(listed(x.fmod(y).add(0)), [dtype, -1, 1, -1, 1, 2, 0]);
    assertEquals(listed(x.gcd(y)), [dtype, 1, 1, 1, 1, 2, 5]);
    assertEquals(listed(x.lcm(y)), [dtype, 14, 14, 14, 14, 12, 0]);
    assertEquals(listed(x.pow(3)), [dtype, -343, 343, -343, 343, 216, 0]);
    assertEquals(listed(int([2, -2, 3, 1, -1, 2], dtype).pow(int([10, 3, 0, -5, -5, -1], dtype))), [
      dtype,
      1024,
      -8,
      1,
      1,
      -1,
      0,
    ]);
    assertEquals(listed(x.clamp(-1, 3)), [dtype, -1, 3, -1, 3, 3, 0]);
    assertEquals(listed(x.signbit()), ["bool", 1, 0, 1, 0, 0, 0]);
  }
  // Consecutive Fibonacci numbers take most divisions.
  assertEquals(listed(int([1836311903], "int32").gcd(int([1134903170], "int32"))), ["int32", 1]);
  assertEquals(listed(int([233], "uint8").gcd(int([144], "uint8"))), ["uint8", 1]);
  assertEquals(listed(int([2, 3]).div(2)), ["float32", 1, 1.5]);
  assertEquals(listed(int([2, 3]).pow(0.5).square().round()), ["float32", 2, 3]);
  assertEquals(listed(tensor([true, false]).pow(2)), ["int64", 1, 0]);
  assertEquals(listed(int([1, 2]).sinh().isfinite()), ["bool", 1, 1]);
  assertEquals(listed(int([0, 2]).logicalAnd(1)), ["bool", 0, 1]);
  assertEquals(listed(int([0, 2]).isnan()), ["bool", 0, 0]);
  assertEquals(listed(int([-1, 2]).angle()), ["float32", Math.fround(Math.PI), 0]);
  assertEquals(listed(tensor([2.5, -8.5]).byte()), ["uint8", 2, 248]);
});

eachDevice("floor division follows the exact quotient", () => {
  // 1 / 0.1 rounds to 10, though ten times 0.1 in binary is more than 1.
  const x = tensor([1, 1, -1, 1, Infinity, -1, 0], { dtype: "float64" });
  const y = tensor([0.1, 0, 0, -Infinity, 1, 3, 2], { dtype: "float64" });
  assertEquals(numbers(x.floorDivide(y)), [9, Infinity, -Infinity, -1, NaN, -1, 0]);
});

eachDevice("floats come apart", () => {
  for (const dtype of ["float32", "float64", "float16", "bfloat16"] as const) {
    const x = tensor([0, 1, -0.75, 8, 3, Infinity, NaN], { dtype });
    const { mantissa, exponent } = x.frexp();
    assertEquals(listed(mantissa), [dtype, 0, 0.5, -0.75, 0.5, 0.75, Infinity, NaN]);
    assertEquals(listed(exponent), ["int32", 0, 1, 0, 4, 2, 0, 0]);
  }
  const ulp = { float32: 2 ** -23, float64: 2 ** -52, float16: 2 ** -10, bfloat16: 2 ** -7 };
  const least = { float32: 2 ** -149, float64: 5e-324, float16: 2 ** -24, bfloat16: 2 ** -133 };
  for (const dtype of ["float32", "float64", "float16", "bfloat16"] as const) {
    const x = tensor([1, 1, -1, -1, 0, 0, 3], { dtype }),
      y = tensor([2, 0, 0, -2, 1, -1, 3], { dtype });
    const e = ulp[dtype];
    assertEquals(
      numbers(x.nextafter(y)),
      [1 + e, 1 - e / 2, -1 + e / 2, -1 - e, least[dtype], -least[dtype], 3],
    );
  }
  const top = tensor([Infinity, 3.4028234663852886e38]).nextafter(tensor([0, Infinity]));
  assertEquals(numbers(top), [3.4028234663852886e38, Infinity]);
});

eachDevice("values are told apart", () => {
  const x = tensor([NaN, Infinity, -Infinity, 0, -2]);
  assertEquals(numbers(x.isposinf()), [0, 1, 0, 0, 0]);
  assertEquals(numbers(x.isneginf()), [0, 0, 1, 0, 0]);
  assertEquals(numbers(x.isreal()), [1, 1, 1, 1, 1]);
  assertEquals(numbers(tensor([0, -0, -1]).signbit()), [0, 1, 1]);
  assertEquals(numbers(x.nanToNum({ nan: 7, posinf: 8, neginf: 9 })), [7, 8, 9, 0, -2]);
  assertEquals(numbers(tensor([Infinity], { dtype: "float16" }).nanToNum()), [65504]);
  assertEquals(numbers(x.heaviside(0.5)), [0, 1, 0, 0.5, 0]);
  assertEquals(numbers(x.isin([0, Infinity])), [0, 1, 0, 1, 0]);
  assertEquals(numbers(x.isin(tensor([-2, 0]), { invert: true })), [1, 1, 1, 0, 0]);
  assertEquals(numbers(x.isin(zeros([0]))), [0, 0, 0, 0, 0]);
  assertEquals(numbers(x.isclose(x)), [0, 1, 1, 1, 1]);
  assertEquals(numbers(x.isclose(x, { equalNan: true })), [1, 1, 1, 1, 1]);
  assertEquals(x.allclose(x, { equalNan: true }), true);
  assertEquals([x.equal(x), zeros([2]).equal(zeros([2])), zeros([2]).equal(zeros([1, 2]))], [
    false,
    true,
    false,
  ]);
  assertEquals(numbers(tensor([1234.5678, -0.5]).round({ decimals: -2 })), [1200, 0]);
  assertEquals(numbers(tensor([NaN, 1, 5]).clamp(tensor([0, NaN, 0]), 3)), [NaN, NaN, 3]);
  assertEquals(numbers(tensor([1, 5]).clamp({ min: 4, max: 2 })), [2, 2]);
});

eachDevice("16-bit floats are computed wide and rounded once", () => {
  const x = Float64Array.from({ length: 60 }, (_, i) => Math.f16round(0.98 * Math.sin(i)));
  const half = tensor(x, { dtype: "float16" });
  const rows: readonly (readonly [Tensor, (x: number) => number])[] = [
    [half.asin(), Math.asin],
    [half.sinh(), Math.sinh],
    [half.log1p(), Math.log1p],
    [half.expm1(), Math.expm1],
  ];
  for (const [y, f] of rows) {
    assertEquals(y.dtype, "float16");
    // Half a unit in the last place of float16, and a little.
    closeNumbers(numbers(y), Array.from(x, f), { atol: 3e-8, rtol: 2 ** -11 * 1.002 });
  }
  assertEquals([half.half().dtype, half.bfloat16().dtype, half.double().dtype], [
    "float16",
    "bfloat16",
    "float64",
  ]);
});

Deno.test("a gradient crosses devices", () => {
  const x = tensor([1, 2], { device: "ref", requiresGrad: true });
  const [g] = grad(x.mul(x).to("cpu", "float64").mul(3).sum(), [x]);
  assertEquals([g.device, ...numbers(g)], ["ref", 6, 12]);
  const like = zeros([1], { device: "cpu", dtype: "float16" });
  assertEquals([x.to(like).device, x.to(like).dtype], ["cpu", "float16"]);
});

Deno.test("bad calls say what is wrong", () =>
  on("ref", () => {
    const m = zeros([2, 3]), n = zeros([2], { dtype: "int64" }), t = tensor([true]);
    const rows: readonly (readonly [() => unknown, new (m: string) => Error, string])[] = [
      [
        () => m.atan2(zeros([2])),
        TypeError,
        "Cannot take the angle of [2, 3] and [2]: sizes differ at dim 1",
      ],
      [
        () => m.hypot("3" as never),
        TypeError,
        "Cannot take the hypotenuse of a tensor and 3: a tensor or number is needed",
      ],
      [() => m.clamp(), TypeError, "Cannot clamp: give min, max or both"],
      [
        () => m.div(1, { roundingMode: "up" as never }),
        RangeError,
        "Cannot divide with rounding mode up: it must be trunc or floor",
      ],
      [
        () => n.pow(-1),
        RangeError,
        "Cannot raise int64 tensors to -1: cast to a float dtype first",
      ],
      [() => m.gcd(2), TypeError, "Cannot take the gcd of float32 tensors: integers are needed"],
      [() => n.frexp(), TypeError, "Cannot take int64 tensors apart: floats are needed"],
      [() => n.nextafter(1), TypeError, "Cannot step between int64 tensors: floats are needed"],
      [() => m.fill(m), TypeError, "Cannot fill with [2, 3] float32 on ref: a scalar is needed"],
      [() => t.positive(), TypeError, "Cannot take +x of bool tensors"],
      [
        () => m.isclose(m, { rtol: -1 }),
        RangeError,
        "Cannot compare with rtol -1 and atol 1e-8: both must be at least 0",
      ],
      [
        () => m.xlogy(zeros([1], { device: "cpu" }).clone().realize()),
        TypeError,
        'Cannot multiply tensors on ref and cpu: move one with to("ref")',
      ],
    ];
    for (const [call, type, message] of rows) throwsExactly(call, type, message);
  }));
