/** Modules: discovery of parameters and buffers, state, modes, printing. */
import {
  isFloat,
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
import { numbers, throwsExactly } from "./assert.ts";
import { onRef } from "./devices.ts";
import { floats, ints } from "./tensors.ts";

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
