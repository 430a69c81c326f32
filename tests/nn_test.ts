/** Modules: discovery of parameters and buffers, state, modes, printing, initialisation, checks. */
import {
  grad,
  isFloat,
  manualSeed,
  nn,
  noGrad,
  optim,
  Parameter,
  stepScope,
  type Tensor,
  tensor,
  zeros,
} from "@pta/core";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const F = nn.functional;
const ints = (values: number[], shape: number[] = [values.length]) =>
  tensor(Int32Array.from(values), { shape });
const floats = (values: number[], shape: number[] = [values.length]) =>
  tensor(Float32Array.from(values), { shape });
// deno-lint-ignore no-explicit-any -- what a caller without types might pass
const untyped = (x: unknown) => x as any;
const onRef = (name: string, fn: () => void) => Deno.test(name, () => on("ref", fn));

class Block extends nn.Module {
  fc = new nn.Linear(3, 3, { bias: false });
  scale = new Parameter(tensor([1, 2, 3]));
  mean = this.registerBuffer("mean", zeros([3]));
  scratch = this.registerBuffer("scratch", zeros([3]), { persistent: false });
  note = zeros([2]);
  override forward(x: Tensor): Tensor {
    return this.fc.forward(x).mul(this.scale).sub(this.mean);
  }
}

class Net extends nn.Module {
  blocks = [new Block(), new Block()];
  tables = new nn.ModuleList([new nn.Embedding(4, 3)]);
  extra = [[new Parameter(tensor([1])), new Parameter(tensor([2]))]];
  head: nn.Linear;
  tied: Parameter;
  constructor() {
    super();
    this.head = new nn.Linear(3, 4);
    this.tied = this.tables.at(0).weight;
  }
  override forward(x: Tensor): Tensor {
    return this.head.forward(this.blocks.reduce((y, b) => b.forward(y), x));
  }
}

onRef("module: parameters, buffers and children are found in fields, arrays and containers", () => {
  const net = new Net();
  assertEquals(Object.keys(net.stateDict()), [
    "extra.0.0",
    "extra.0.1",
    "tied",
    "blocks.0.scale",
    "blocks.0.mean",
    "blocks.0.fc.weight",
    "blocks.1.scale",
    "blocks.1.mean",
    "blocks.1.fc.weight",
    "tables.0.weight",
    "head.weight",
    "head.bias",
  ]);
  // What is shared counts once, under its first name.
  assertEquals(net.namedParameters().map(([name]) => name), [
    "extra.0.0",
    "extra.0.1",
    "tied",
    "blocks.0.scale",
    "blocks.0.fc.weight",
    "blocks.1.scale",
    "blocks.1.fc.weight",
    "head.weight",
    "head.bias",
  ]);
  assertEquals(net.namedBuffers().map(([name]) => name), [
    "blocks.0.mean",
    "blocks.0.scratch",
    "blocks.1.mean",
    "blocks.1.scratch",
  ]);
  assertEquals(net.namedModules().map(([name]) => name), [
    "",
    "blocks.0",
    "blocks.0.fc",
    "blocks.1",
    "blocks.1.fc",
    "tables",
    "tables.0",
    "head",
  ]);
  assertEquals(net.children().length, 4);
  assertEquals(net.parameters().length, 9);
});

onRef("module: a module that refers to its parent ends the search there", () => {
  class Child extends nn.Module {
    weight = new Parameter(tensor([1]));
    constructor(readonly parent: nn.Module) {
      super();
    }
    override forward(x: Tensor): Tensor {
      return x;
    }
  }
  class Parent extends nn.Module {
    child = new Child(this);
    override forward(x: Tensor): Tensor {
      return x;
    }
  }
  assertEquals(Object.keys(new Parent().stateDict()), ["child.weight"]);
  assertEquals(new Parent().parameters().length, 1);
});

onRef("module: Sequential has PyTorch's keys and passes its input through", () => {
  const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU(), new nn.Linear(3, 1));
  assertEquals(Object.keys(model.stateDict()), ["0.weight", "0.bias", "2.weight", "2.bias"]);
  model.loadStateDict({
    "0.weight": floats([1, 0, 0, 1, -1, -1], [3, 2]),
    "0.bias": floats([0, 0, 0.5]),
    "2.weight": floats([1, 2, 3], [1, 3]),
    "2.bias": floats([10]),
  });
  assertEquals(model.forward(floats([2, 3], [1, 2])).toArray(), [[18]]);
  assertEquals(model.call(floats([-1, -1], [1, 2])).toArray(), [[17.5]]);
  assertEquals([model.length, model.at(-1).parameters().length], [3, 2]);
  throwsExactly(() => model.at(3), RangeError, "Cannot take module 3 of Sequential: it has 3");
});

onRef("module: printing shows the tree", () => {
  const model = new nn.Sequential(
    new nn.Sequential(new nn.Linear(2, 3, { bias: false }), new nn.GELU({ approximate: "tanh" })),
    new nn.Dropout(0.1),
    new nn.LayerNorm([3]),
    new nn.Embedding(5, 2, { paddingIdx: -1 }),
  );
  const tree = `Sequential(
  (0): Sequential(
    (0): Linear(inFeatures=2, outFeatures=3, bias=false)
    (1): GELU(approximate=tanh)
  )
  (1): Dropout(p=0.1)
  (2): LayerNorm([3], eps=0.00001, elementwiseAffine=true)
  (3): Embedding(5, 2, paddingIdx=4)
)`;
  assertEquals(String(model), tree);
  assertEquals(Deno.inspect(model), tree);
});

onRef("module: train, eval, apply, requiresGrad_, zeroGrad reach everything below", () => {
  const net = new Net();
  net.eval();
  assert(net.modules().every((m) => !m.training));
  net.train();
  assert(net.modules().every((m) => m.training));
  const seen: string[] = [];
  net.apply((m) => void seen.push(m.constructor.name));
  assertEquals(seen.length, 8);
  assertEquals([seen[0], seen.at(-1)], ["Linear", "Net"]);
  net.requiresGrad_(false);
  assert(net.parameters().every((p) => !p.requiresGrad));
  net.requiresGrad_();
  net.forward(floats([1, 2, 3], [1, 3])).sum().backward();
  assert(net.head.weight.grad !== undefined);
  net.zeroGrad(false);
  assertEquals(numbers(net.head.bias!.grad!), [0, 0, 0, 0]);
  net.zeroGrad();
  assert(net.parameters().every((p) => p.grad === undefined));
});

onRef("module: to(dtype) casts floats and keeps what is shared shared", () => {
  const net = new Net();
  const before = numbers(net.head.weight);
  net.blocks[0].registerBuffer("count", ints([3]));
  net.to("float64");
  assert(
    Object.values(net.stateDict()).filter((t) => isFloat(t.dtype)).every((t) =>
      t.dtype === "float64"
    ),
  );
  assertEquals(net.stateDict()["blocks.0.count"].dtype, "int32");
  assertEquals(numbers(net.head.weight), before);
  assertStrictEquals(net.tied, net.tables.at(0).weight);
  assert(net.head.weight instanceof Parameter && net.head.weight.requiresGrad);
  throwsExactly(
    () => net.to("int32"),
    TypeError,
    "Cannot cast a module to int32: it must be a floating dtype",
  );
});

onRef("state: loading copies, casts, and survives the scope of the source", () => {
  const model = new nn.Linear(2, 1);
  const { weight } = model;
  {
    using _scope = stepScope();
    model.loadStateDict({
      weight: tensor(Float64Array.of(1, 2), { shape: [1, 2] }),
      bias: floats([3]).mul(2),
    });
  }
  assertStrictEquals(model.weight, weight);
  assertEquals([numbers(model.weight), numbers(model.bias!)], [[1, 2], [6]]);
  assertEquals(model.weight.dtype, "float32");
  assert(model.weight.requiresGrad);
});

onRef("state: what does not match is listed, and nothing is changed", () => {
  const model = new nn.Sequential(new nn.Linear(2, 1), new nn.Linear(1, 3));
  const before = Object.values(model.stateDict()).map(numbers);
  const state = {
    "0.weight": zeros([1, 2]),
    "0.bias": zeros([2]),
    "1.weight": zeros([]),
    "fc.weight": zeros([1]),
  };
  throwsExactly(
    () => model.loadStateDict(state),
    TypeError,
    "Cannot load the state into Sequential: missing keys: 1.bias; unexpected keys: fc.weight; mismatched shapes: " +
      "0.bias is [2] in the state and [1] here, 1.weight is [] in the state and [3, 1] here",
  );
  assertEquals(Object.values(model.stateDict()).map(numbers), before);
  const { missingKeys, unexpectedKeys } = model.loadStateDict(
    { "0.weight": floats([4, 5], [1, 2]), other: zeros([1]) },
    { strict: false },
  );
  assertEquals(missingKeys, ["0.bias", "1.weight", "1.bias"]);
  assertEquals(unexpectedKeys, ["other"]);
  assertEquals(numbers(model.stateDict()["0.weight"]), [4, 5]);
  // Shapes matter even then.
  assertThrows(
    () => model.loadStateDict({ "0.bias": zeros([2]) }, { strict: false }),
    TypeError,
    "0.bias",
  );
});

/** Mean and deviation of many numbers, and their range. */
function moments(t: Tensor): { mean: number; std: number; low: number; high: number } {
  const x = numbers(t), mean = x.reduce((a, b) => a + b, 0) / x.length;
  const std = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length);
  return { mean, std, low: Math.min(...x), high: Math.max(...x) };
}

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

onRef("init: layers start as PyTorch's do", () => {
  manualSeed(3);
  const linear = new nn.Linear(100, 200), bound = 1 / Math.sqrt(100);
  for (const p of [linear.weight, linear.bias!]) {
    const { mean, std, low, high } = moments(p);
    assert(low >= -bound && high <= bound && high > 0.9 * bound && low < -0.9 * bound);
    near(mean, 0, 5 * bound / Math.sqrt(p.numel), "mean");
    near(std, bound / Math.sqrt(3), 0.1 * bound, "std");
  }
  const { mean, std } = moments(new nn.Embedding(200, 50).weight);
  near(mean, 0, 0.05, "embedding mean");
  near(std, 1, 0.05, "embedding std");
  const padded = new nn.Embedding(3, 4, { paddingIdx: 1 }).weight;
  assertEquals(numbers(padded.select(0, 1)), [0, 0, 0, 0]);
  assert(numbers(padded.select(0, 0)).every((x) => x !== 0));
  const norm = new nn.LayerNorm([2, 2]);
  assertEquals([numbers(norm.weight!), numbers(norm.bias!)], [[1, 1, 1, 1], [0, 0, 0, 0]]);
});

onRef("init: spreads follow the fans and the gain", () => {
  manualSeed(4);
  const [out, into] = [80, 120];
  const cases: [string, (t: Tensor) => Tensor, number][] = [
    ["xavierUniform_", (t) => nn.init.xavierUniform_(t), Math.sqrt(2 / (out + into))],
    [
      "xavierNormal_",
      (t) => nn.init.xavierNormal_(t, { gain: 2 }),
      2 * Math.sqrt(2 / (out + into)),
    ],
    [
      "kaimingUniform_",
      (t) => nn.init.kaimingUniform_(t, { nonlinearity: "relu" }),
      Math.sqrt(2 / into),
    ],
    ["kaimingNormal_", (t) => nn.init.kaimingNormal_(t, { mode: "fanOut" }), Math.sqrt(2 / out)],
    [
      "kaimingNormal_ tanh",
      (t) => nn.init.kaimingNormal_(t, { nonlinearity: "tanh" }),
      5 / 3 / Math.sqrt(into),
    ],
    ["normal_", (t) => nn.init.normal_(t, 0, 0.02), 0.02],
  ];
  for (const [name, init, wanted] of cases) {
    const { mean, std } = moments(init(zeros([out, into])));
    near(std, wanted, 0.04 * wanted, name);
    near(mean, 0, 5 * wanted / Math.sqrt(out * into), `mean of ${name}`);
  }
  const cut = moments(nn.init.truncNormal_(zeros([2000]), { mean: 1, std: 2, low: 0, high: 2 }));
  assert(cut.low >= 0 && cut.high <= 2 && cut.high - cut.low > 1.9);
  near(cut.mean, 1, 0.05, "mean of truncNormal_");
  assertEquals(numbers(nn.init.constant_(zeros([2]), 7)), [7, 7]);
  assertEquals(nn.init.fans(zeros([4, 3, 2, 2])), { fanIn: 12, fanOut: 16 });
});

eachDevice("dropout: keeps the expectation, is the identity in evaluation", () => {
  manualSeed(5);
  const x = tensor(new Float32Array(4000).fill(1)), layer = new nn.Dropout(0.25);
  const y = numbers(layer.forward(x)), scale = Math.fround(1 / 0.75);
  assert(y.every((v) => v === 0 || Math.abs(v - scale) < 1e-6));
  near(y.filter((v) => v === 0).length / y.length, 0.25, 0.03, "share of zeros");
  assert(`${numbers(layer.forward(x))}` !== `${y}`, "each call draws its own mask");
  assertStrictEquals(layer.eval().forward(x), x);
  assertEquals(numbers(F.dropout(floats([1, 2]), { p: 1 })), [0, 0]);
  // The gradient sees the mask of the forward pass.
  const w = floats([1, 1, 1, 1, 1, 1, 1, 1]).requiresGrad_();
  const out = F.dropout(w, { p: 0.5 });
  const [g] = grad([out.sum()], [w]);
  assertEquals(numbers(g), numbers(out));
});

eachDevice("crossEntropy: an impossible class is an error, an ignored one nothing", () => {
  const logits = floats([1, 2, 3, 1, 0, 2], [2, 3]).requiresGrad_();
  for (const bad of [3, -1]) {
    assertThrows(() => F.crossEntropy(logits, ints([0, bad])).item(), RangeError, `holds ${bad}`);
  }
  const alone = F.crossEntropy(logits.narrow(0, 0, 1), ints([0])).item();
  closeNumbers([F.crossEntropy(logits, ints([0, -100])).item()], [alone]);
  closeNumbers([F.crossEntropy(logits, ints([0, 2]), { ignoreIndex: 2 }).item()], [alone]);
  // Without any class left, PyTorch's mean is NaN and its sum 0.
  assert(Number.isNaN(F.crossEntropy(logits, ints([-100, -100])).item()));
  assertEquals(F.crossEntropy(logits, ints([-100, -100]), { reduction: "sum" }).item(), 0);
});

eachDevice("losses: modules give what the functions give, int64 or int32", () => {
  const x = floats([1, 2, 3, 1, 0, 2], [2, 3]), weight = floats([1, 2, 0.5]), t = ints([2, 0]);
  const options = { weight, labelSmoothing: 0.1, reduction: "sum" } as const;
  const expected = F.crossEntropy(x, t, options).item();
  closeNumbers([new nn.CrossEntropyLoss(options).forward(x, t).item()], [expected]);
  closeNumbers([new nn.CrossEntropyLoss(options).forward(x, t.to("int64")).item()], [expected]);
  closeNumbers([new nn.NLLLoss().forward(x, t).item()], [-(3 + 1) / 2]);
  closeNumbers([new nn.MSELoss().forward(x, x.add(2)).item()], [4]);
  closeNumbers(
    numbers(new nn.MSELoss({ reduction: "none" }).forward(floats([1, 2]), floats([3, 2]))),
    [4, 0],
  );
  assertEquals(Object.keys(new nn.CrossEntropyLoss({ weight }).stateDict()), ["weight"]);
});

eachDevice("attention: masked positions have no influence, empty rows give zeros", () => {
  manualSeed(6);
  const make = () => nn.init.normal_(zeros([2, 3, 4]));
  const [q, k, v] = [make(), make(), make()];
  const causal = F.scaledDotProductAttention(q, k, v, { isCausal: true });
  const lower = tensor([[true, false, false], [true, true, false], [true, true, true]]);
  closeNumbers(numbers(F.scaledDotProductAttention(q, k, v, { attnMask: lower })), numbers(causal));
  closeNumbers(
    numbers(causal.select(1, 0)),
    numbers(v.select(1, 0)),
    {},
    "the first sees itself only",
  );
  const none = tensor([[false, false, false], [true, true, true], [true, true, true]]);
  const input = q.detach().requiresGrad_();
  const out = F.scaledDotProductAttention(input, k, v, { attnMask: none });
  assertEquals(numbers(out.select(1, 0)), new Array(8).fill(0));
  const [g] = grad([out.square().sum()], [input]);
  assert(numbers(g).every(Number.isFinite));
  // Two query heads for each key head.
  const heads = (n: number) => nn.init.normal_(zeros([1, n, 3, 4]));
  const [q4, k2, v2] = [heads(4), heads(2), heads(2)];
  const wide = (t: Tensor) => t.unsqueeze(2).expand([1, 2, 2, 3, 4]).reshape([1, 4, 3, 4]);
  closeNumbers(
    numbers(F.scaledDotProductAttention(q4, k2, v2, { enableGqa: true })),
    numbers(F.scaledDotProductAttention(q4, wide(k2), wide(v2))),
  );
});

eachDevice("embedding: the padding row gets no gradient", () => {
  const table = new nn.Embedding(4, 2, { paddingIdx: 0 });
  table.forward(ints([0, 1, 1, 3], [2, 2])).sum().backward();
  assertEquals(numbers(table.weight.grad!), [0, 0, 2, 2, 0, 0, 1, 1]);
});

Deno.test("nn: bad arguments are errors at the call", () =>
  on("ref", () => {
    const x = zeros([2, 3]);
    const cases: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
      [
        () => new nn.Linear(0, 2),
        RangeError,
        "Cannot make Linear with inFeatures 0: it must be a whole number of at least 1",
      ],
      [
        () => new nn.Linear(2, 1.5),
        RangeError,
        "Cannot make Linear with outFeatures 1.5: it must be a whole number of at least 1",
      ],
      [
        () => new nn.Linear(4, 2).forward(x),
        TypeError,
        "Cannot apply a linear layer to [2, 3]: its weight is [2, 4], so the last size must be 4",
      ],
      [
        () => new nn.Dropout(1.5),
        RangeError,
        "Cannot make Dropout with p 1.5: it must be between 0 and 1",
      ],
      [
        () => F.dropout(x, { p: -1 }),
        RangeError,
        "Cannot drop out with p -1: it must be between 0 and 1",
      ],
      [
        () => new nn.Embedding(3, 2, { paddingIdx: 3 }),
        RangeError,
        "Cannot make Embedding with paddingIdx 3: the table has 3 rows, so it must be from -3 to 2",
      ],
      [
        () => new nn.Embedding(3, 2).forward(x),
        TypeError,
        "Cannot look up an embedding by float32: indices must be int32 or int64",
      ],
      [
        () => new nn.LayerNorm([4]).forward(x),
        TypeError,
        "Cannot normalise [2, 3]: its last sizes must be [4]",
      ],
      [
        () => new nn.LayerNorm([]),
        RangeError,
        "Cannot make LayerNorm with normalizedShape []: at least one dimension is needed",
      ],
      [
        () => F.crossEntropy(x, ints([0, 1, 2])),
        TypeError,
        "Cannot take the cross entropy of [2, 3] and target [3]: classes must be [2]",
      ],
      [
        () => F.crossEntropy(x, zeros([2])),
        TypeError,
        'Cannot take the cross entropy of a float32 target [2]: classes must be int32 or int64; cast with .to("int32")',
      ],
      [
        () => F.crossEntropy(x, ints([0, 1]), { weight: zeros([2]) }),
        TypeError,
        "Cannot weight 3 classes by [2]: it must be [3]",
      ],
      [
        () => F.crossEntropy(x, ints([0, 1]), { labelSmoothing: 2 }),
        RangeError,
        "Cannot take the cross entropy with labelSmoothing 2: it must be between 0 and 1",
      ],
      [
        () => F.nllLoss(zeros([]), zeros([])),
        TypeError,
        "Cannot take the negative log likelihood of [] and target []: classes must be []",
      ],
      [
        () => new nn.MSELoss({ reduction: untyped("avg") }),
        RangeError,
        'Cannot reduce a loss by "avg": it must be "mean", "sum" or "none"',
      ],
      [
        () => F.scaledDotProductAttention(zeros([3, 4]), zeros([3, 5]), zeros([3, 4])),
        TypeError,
        "Cannot attend with query [3, 4], key [3, 5], value [3, 4]: they must be [..., L, E], [..., S, E], [..., S, Ev]",
      ],
      [
        () => F.scaledDotProductAttention(x, x, x, { isCausal: true, attnMask: x }),
        TypeError,
        "Cannot attend with both attnMask and isCausal: put the causal part into the mask",
      ],
      [
        () => nn.init.kaimingUniform_(zeros([3])),
        TypeError,
        "Cannot find the fan of [3]: it must have 2 dimensions or more",
      ],
      [
        () => nn.init.calculateGain(untyped("mish")),
        RangeError,
        'Cannot find a gain for "mish": it must be one of linear, conv1d, conv2d, conv3d, sigmoid, tanh, relu, leakyRelu, selu',
      ],
      [
        () => nn.init.truncNormal_(zeros([1]), { low: 50, high: 51 }),
        RangeError,
        "Cannot draw from a normal distribution of mean 0 and std 1 inside [50, 51]",
      ],
      [
        () => new nn.Sequential(untyped(nn.ReLU)),
        TypeError,
        "Cannot use item 0 as a layer: it is the class or function ReLU, not a Module",
      ],
      [
        () => new nn.ModuleList().forward(),
        TypeError,
        "Cannot call a ModuleList: loop over it in the forward of the module that holds it",
      ],
      [
        () => new nn.Identity().registerBuffer("a.b", x),
        TypeError,
        'Cannot register the buffer "a.b": a name is not empty and has no dot',
      ],
    ];
    for (const [call, type, message] of cases) throwsExactly(call, type as never, message);
  }));

onRef("module: a model that is trained keeps its memory over scopes", () => {
  const model = new nn.Sequential(new nn.Linear(2, 4), new nn.Tanh(), new nn.Linear(4, 1));
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.05 });
  const x = floats([0, 0, 0, 1, 1, 0, 1, 1], [4, 2]), y = floats([0, 1, 1, 2], [4, 1]);
  const losses: number[] = [];
  for (let i = 0; i < 60; i++) {
    using _scope = stepScope();
    const loss = new nn.MSELoss().forward(model.forward(x), y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    losses.push(loss.item());
  }
  assert(losses[59] < 0.1 * losses[0], `${losses[0]} to ${losses[59]}`);
  assert(noGrad(() => numbers(model.forward(x))).every(Number.isFinite));
});
