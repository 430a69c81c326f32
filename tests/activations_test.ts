/** Activations and dropouts: values and slopes at kinks and far out, gradients, printing, refusals. */
import { grad, gradcheck, manualSeed, nn, type Tensor, tensor } from "@pta/core";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const F = nn.functional;
type Fn = (x: Tensor) => Tensor;

const functions: Readonly<Record<string, Fn>> = {
  relu: F.relu,
  relu6: F.relu6,
  hardtanh: (x) => F.hardtanh(x),
  hardsigmoid: F.hardsigmoid,
  hardswish: F.hardswish,
  leakyRelu: (x) => F.leakyRelu(x),
  prelu: (x) => F.prelu(x, tensor([0.25]).to(x.dtype)),
  hardshrink: (x) => F.hardshrink(x),
  softshrink: (x) => F.softshrink(x),
  elu: (x) => F.elu(x),
  celu: (x) => F.celu(x, 2),
  selu: F.selu,
  threshold: (x) => F.threshold(x, 1, 5),
  logsigmoid: F.logsigmoid,
  softplus: (x) => F.softplus(x),
  sigmoid: F.sigmoid,
  silu: F.silu,
  mish: F.mish,
  softsign: F.softsign,
  tanhshrink: F.tanhshrink,
  gelu: (x) => F.gelu(x),
  geluTanh: (x) => F.gelu(x, { approximate: "tanh" }),
};

// Inputs, values and slopes by PyTorch 2.13 in float64: kinks, and where exponentials leave the range of float32.
const table: readonly (readonly [string, number[], number[], number[]])[] = [
  ["relu", [-1, 0, 2], [0, 0, 2], [0, 0, 1]],
  ["relu6", [-1, 0, 3, 6, 7], [0, 0, 3, 6, 6], [0, 0, 1, 0, 0]],
  ["hardtanh", [-2, -1, 0.5, 1, 2], [-1, -1, 0.5, 1, 1], [0, 0, 1, 0, 0]],
  ["hardsigmoid", [-4, -3, 0, 3, 4], [0, 0, 0.5, 1, 1], [0, 0, 1 / 6, 0, 0]],
  ["hardswish", [-4, -3, -1, 3, 4], [0, 0, -0.333333333, 3, 4], [0, 0, 0.166666667, 1, 1]],
  ["leakyRelu", [-1, 0, 2], [-0.01, 0, 2], [0.01, 0.01, 1]],
  ["prelu", [-1, 0, 2], [-0.25, 0, 2], [0.25, 0.25, 1]],
  ["hardshrink", [-1, -0.5, 0, 0.5, 1], [-1, 0, 0, 0, 1], [1, 0, 0, 0, 1]],
  ["softshrink", [-1, -0.5, 0, 0.5, 1], [-0.5, 0, 0, 0, 0.5], [1, 0, 0, 0, 1]],
  ["elu", [-1, 0, 1], [-0.632120559, 0, 1], [0.367879441, 1, 1]],
  ["celu", [-1, 0, 1], [-0.786938681, 0, 1], [0.60653066, 1, 1]],
  ["selu", [-1, 0, 1], [-1.11133074, 0, 1.05070099], [0.646768603, 1.75809934, 1.05070099]],
  ["threshold", [0, 1, 2], [5, 5, 2], [0, 0, 1]],
  [
    "logsigmoid",
    [-200, -1, 0, 1, 200],
    [-200, -1.31326169, -0.693147181, -0.313261688, 0],
    [1, 0.731058579, 0.5, 0.268941421, 0],
  ],
  [
    "softplus",
    [-200, -1, 0, 20, 21, 200],
    [0, 0.313261688, 0.693147181, 20, 21, 200],
    [0, 0.268941421, 0.5, 0.999999998, 1, 1],
  ],
  [
    "sigmoid",
    [-200, -1, 0, 1, 200],
    [0, 0.268941421, 0.5, 0.731058579, 1],
    [0, 0.196611933, 0.25, 0.196611933, 0],
  ],
  [
    "silu",
    [-200, -1, 0, 1, 200],
    [0, -0.268941421, 0, 0.731058579, 200],
    [0, 0.0723294881, 0.5, 0.927670512, 1],
  ],
  [
    "mish",
    [-200, -1, 0, 1, 200],
    [0, -0.303401461, 0, 0.865098388, 200],
    [0, 0.0592167559, 0.6, 1.04903622, 1],
  ],
  ["softsign", [-1, 0, 3], [-0.5, 0, 0.75], [0.25, 1, 0.0625]],
  ["tanhshrink", [-1, 0, 3], [-0.238405844, 0, 2.00494525], [0.580025658, 0, 0.990133963]],
  ["gelu", [-1, 0, 2], [-0.158655254, 0, 1.95449974], [-0.0833154706, 0.5, 1.0852318]],
  ["geluTanh", [-1, 0, 2], [-0.158808009, 0, 1.95459769], [-0.0829640838, 0.5, 1.08609926]],
];

eachDevice("activation: values and slopes are PyTorch's, at kinks and far out", () => {
  assertEquals(table.map(([name]) => name).toSorted(), Object.keys(functions).toSorted());
  for (const dtype of ["float32", "float64"] as const) {
    for (const [name, inputs, values, slopes] of table) {
      const x = tensor(inputs, { dtype }).requiresGrad_();
      const y = functions[name](x);
      assertEquals(y.dtype, dtype);
      closeNumbers(numbers(y), values, { atol: 1e-6 }, `${name} ${dtype}`);
      closeNumbers(numbers(grad(y.sum(), [x])[0]), slopes, { atol: 1e-6 }, `slope of ${name}`);
    }
  }
});

eachDevice("activation: gradients agree with finite differences", () => {
  for (const [name, fn] of Object.entries(functions)) {
    const x = tensor([-4.3, -2.2, -0.7, 0.3, 0.8, 1.7, 5.1], { dtype: "float64" }).requiresGrad_();
    assert(gradcheck(fn, [x]), name);
  }
  const x = tensor([[0.3, -1.2, 0.5], [1.1, 0.2, -0.4]], { dtype: "float64" }).requiresGrad_();
  const w = tensor([0.1, -0.3, 0.7], { dtype: "float64" }).requiresGrad_();
  gradcheck((x, w) => F.prelu(x, w), [x, w]);
  gradcheck((x) => F.glu(x, 0), [x]);
});

Deno.test("activation: modules print their arguments and do what the functions do", () => {
  on("ref", () => {
    const x = tensor([[-2, -0.3, 0.2, 4]]), square = tensor([[[-1, 2], [0.5, 1]]]);
    const cases: readonly (readonly [nn.Module, string, Tensor, Tensor])[] = [
      [new nn.ELU(2), "ELU(alpha=2)", x, F.elu(x, 2)],
      [new nn.CELU(2), "CELU(alpha=2)", x, F.celu(x, 2)],
      [new nn.SELU(), "SELU()", x, F.selu(x)],
      [new nn.ReLU(), "ReLU()", x, F.relu(x)],
      [new nn.ReLU6(), "ReLU6()", x, F.relu6(x)],
      [new nn.LeakyReLU(0.2), "LeakyReLU(negativeSlope=0.2)", x, F.leakyRelu(x, 0.2)],
      [new nn.PReLU(), "PReLU(numParameters=1)", x, F.leakyRelu(x, 0.25)],
      [new nn.RReLU(0.1, 0.3).eval(), "RReLU(lower=0.1, upper=0.3)", x, F.leakyRelu(x, 0.2)],
      [new nn.Hardtanh(-0.5, 2), "Hardtanh(minVal=-0.5, maxVal=2)", x, F.hardtanh(x, -0.5, 2)],
      [new nn.Hardsigmoid(), "Hardsigmoid()", x, F.hardsigmoid(x)],
      [new nn.Hardswish(), "Hardswish()", x, F.hardswish(x)],
      [new nn.Hardshrink(0.25), "Hardshrink(lambd=0.25)", x, F.hardshrink(x, 0.25)],
      [new nn.Softshrink(0.25), "Softshrink(lambd=0.25)", x, F.softshrink(x, 0.25)],
      [new nn.Threshold(0.1, 7), "Threshold(threshold=0.1, value=7)", x, F.threshold(x, 0.1, 7)],
      [new nn.Sigmoid(), "Sigmoid()", x, x.sigmoid()],
      [new nn.LogSigmoid(), "LogSigmoid()", x, x.sigmoid().log()],
      [new nn.SiLU(), "SiLU()", x, x.mul(x.sigmoid())],
      [new nn.Mish(), "Mish()", x, F.mish(x)],
      [new nn.GELU(), "GELU(approximate=none)", x, x.gelu()],
      [new nn.Softplus(2), "Softplus(beta=2, threshold=20)", x, F.softplus(x, { beta: 2 })],
      [new nn.Softsign(), "Softsign()", x, F.softsign(x)],
      [new nn.Tanh(), "Tanh()", x, x.tanh()],
      [new nn.Tanhshrink(), "Tanhshrink()", x, x.sub(x.tanh())],
      [new nn.GLU(), "GLU(dim=-1)", x, F.glu(x)],
      [new nn.Softmax(1), "Softmax(dim=1)", x, x.softmax(1)],
      [new nn.Softmin(1), "Softmin(dim=1)", x, x.neg().softmax(1)],
      [new nn.LogSoftmax(1), "LogSoftmax(dim=1)", x, x.softmax(1).log()],
      [new nn.Softmax2d(), "Softmax2d()", square, square.softmax(0)],
    ];
    for (const [module, printed, input, expected] of cases) {
      assertEquals(`${module}`, printed);
      closeNumbers(numbers(module.forward(input)), numbers(expected), {}, printed);
    }
    assertEquals(Object.keys(new nn.PReLU(3).stateDict()), ["weight"]);
  });
});

eachDevice("rrelu: slopes are random within the limits while training", () => {
  manualSeed(3);
  const x = tensor(new Float32Array(4000).fill(-1));
  const slopes = numbers(F.rrelu(x, { lower: 0.1, upper: 0.3, training: true })).map((y) => -y);
  assert(slopes.every((s) => s >= 0.1 && s <= 0.3 + 1e-6));
  closeNumbers([slopes.reduce((a, b) => a + b) / 4000], [0.2], { atol: 0.005 });
});

const sum = (x: readonly number[]) => x.reduce((a, b) => a + b, 0);

eachDevice("dropout: elements or whole channels, scaled, only while training", () => {
  manualSeed(5);
  const x = tensor(new Float32Array(20 * 30 * 4).fill(1)).reshape(20, 30, 4);
  const kept = (y: Tensor) => sum(numbers(y.ne(0)));
  for (const fn of [F.dropout, F.dropout1d, F.dropout2d]) {
    const y = fn(x, { p: 0.25 });
    assert(numbers(y).every((v) => v === 0 || Math.abs(v - 4 / 3) < 1e-6), fn.name);
    closeNumbers([kept(y) / 2400], [0.75], { atol: 0.06 }, fn.name);
    assertStrictEquals(fn(x, { p: 0.25, training: false }), x);
    assertStrictEquals(fn(x, { p: 0 }), x);
    assertEquals(kept(fn(x, { p: 1 })), 0);
  }
  // A channel goes as a whole: its sum is 0 or all of it.
  const volume = x.reshape(20, 30, 2, 2, 1);
  const layers: [Tensor, number[]][] = [
    [new nn.Dropout1d().forward(x), [2]],
    [new nn.Dropout2d().forward(x.reshape(20, 30, 2, 2)), [2, 3]],
    [new nn.Dropout3d().forward(volume), [2, 3, 4]],
    [new nn.Dropout3d().forward(volume.select(0, 0)), [1, 2, 3]],
    [new nn.Dropout1d().forward(x.select(0, 0)), [1]],
  ];
  for (const [y, dims] of layers) {
    assert(numbers(y.sum(dims)).every((v) => v === 0 || v === 8), `${y.shape}`);
  }
});

eachDevice("alphaDropout: mean 0 and variance 1 stay", () => {
  manualSeed(7);
  // Plus and minus 1 in turn: mean 0, variance 1.
  const x = tensor(Float32Array.from({ length: 40000 }, (_, i) => i % 2 * 2 - 1));
  const moments = (y: Tensor) => [y.mean().item(), y.var().item()];
  const y = new nn.AlphaDropout(0.3).forward(x);
  closeNumbers(moments(y), [0, 1], { atol: 0.03 });
  assertEquals(new Set(numbers(y).map((v) => v.toFixed(4))).size, 3);
  const channels = x.reshape(200, 100, 2), z = new nn.FeatureAlphaDropout(0.3).forward(channels);
  closeNumbers(moments(z), [0, 1], { atol: 0.05 });
  const dropped = numbers(z.select(2, 0).eq(z.select(2, 1)));
  closeNumbers([sum(dropped) / dropped.length], [0.3], { atol: 0.02 });
  assertStrictEquals(F.alphaDropout(x), x);
  assertStrictEquals(new nn.AlphaDropout().eval().forward(x), x);
});

Deno.test("activation and dropout: bad arguments are refused", () => {
  on("ref", () => {
    const x = tensor([[1, 2, 3], [4, 5, 6]]);
    // deno-lint-ignore no-explicit-any -- what a caller without types might pass
    const untyped = (v: unknown) => v as any;
    const range = (fn: () => unknown, message: string) => throwsExactly(fn, RangeError, message);
    const type = (fn: () => unknown, message: string) => throwsExactly(fn, TypeError, message);
    type(() => F.glu(x), "Cannot gate [2, 3] along dim -1: its size 3 must be even");
    type(() => F.glu(x, 2), "Cannot gate [2, 3] along dim 2: there is no such dim");
    type(
      () => F.prelu(x, tensor([1, 2])),
      "Cannot apply prelu to [2, 3] with weight [2]: it must have 1 or 3 elements",
    );
    type(
      () => F.logsigmoid(x.int()),
      "Cannot take the log-sigmoid of int32: cast to a float dtype first",
    );
    type(
      () => new nn.Softmax2d().forward(x),
      "Cannot apply Softmax2d to [2, 3]: it must be [N, C, H, W] or [C, H, W]",
    );
    type(
      () => F.dropout3d(x),
      "Cannot apply dropout3d to [2, 3]: it must have 4 or 5 dimensions",
    );
    type(
      () => new nn.Dropout1d().forward(tensor([1])),
      "Cannot apply dropout1d to [1]: it must have 2 or 3 dimensions",
    );
    type(
      () => new nn.FeatureAlphaDropout().forward(tensor([1])),
      "Cannot apply featureAlphaDropout to [1]: it must have at least 2 dimensions",
    );
    range(
      () => new nn.Dropout2d(1.5),
      "Cannot make Dropout2d with p 1.5: it must be between 0 and 1",
    );
    range(
      () => F.alphaDropout(x, { p: -1 }),
      "Cannot drop out with p -1: it must be between 0 and 1",
    );
    range(
      () => new nn.Hardtanh(1, 0),
      "Cannot make Hardtanh with minVal 1 and maxVal 0: minVal must not be above maxVal",
    );
    range(
      () => new nn.RReLU(1, 0),
      "Cannot make RReLU with lower 1 and upper 0: lower must not be above upper",
    );
    range(
      () => new nn.Softshrink(-1),
      "Cannot make Softshrink with lambd -1: it must be at least 0",
    );
    range(() => new nn.CELU(0), "Cannot make CELU with alpha 0: it must not be 0");
    range(
      () => new nn.PReLU(0),
      "Cannot make PReLU with numParameters 0: it must be a whole number of at least 1",
    );
    range(
      () => new nn.GELU({ approximate: untyped("erf") }),
      'Cannot make GELU with approximate "erf": it must be "none" or "tanh"',
    );
  });
});
