/** Parametrized parameters: PyTorch's numbers and keys, gradients, captured steps, and the way back. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  backendOf,
  capture,
  type Captured,
  linalg,
  manualSeed,
  nn,
  ones,
  optim,
  type Parameter,
  randn,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/accelerated";
import { closeNumbers, numbers } from "./assert.ts";
import golden from "./golden/parametrizations.json" with { type: "json" };

const { parametrize, parametrizations } = nn;

interface Packed {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
const unpack = ({ shape, data }: Packed) => tensor([...data], { shape });
const layers: Record<string, () => nn.Module> = {
  Linear: () => new nn.Linear(3, 2),
  Conv2d: () => new nn.Conv2d(2, 3, 2),
  ConvTranspose2d: () => new nn.ConvTranspose2d(2, 3, 2),
};

golden.forEach((sample, i) => {
  Deno.test(`${sample.norm} of ${sample.layer} as PyTorch has it, case ${i}`, () => {
    const module = layers[sample.layer](), { options } = sample;
    if (sample.norm === "weight_norm") {
      parametrizations.weightNorm(module, "weight", options);
    } else {
      const nPowerIterations = options.n_power_iterations;
      parametrizations.spectralNorm(module, "weight", { nPowerIterations });
    }
    const state = Object.entries(sample.state as unknown as Record<string, Packed>);
    assertEquals(Object.keys(module.stateDict()), state.map(([key]) => key));
    module.loadStateDict(Object.fromEntries(state.map(([key, p]) => [key, unpack(p)])));
    const y: Tensor = module.forward(unpack(sample.x));
    y.square().sum().backward();
    closeNumbers(numbers(y), sample.y.data, { rtol: 1e-5, atol: 1e-6 }, "output");
    const parameters = new Map(module.namedParameters()), buffers = new Map(module.namedBuffers());
    for (const [key, p] of Object.entries(sample.grads as unknown as Record<string, Packed>)) {
      const mine = numbers(parameters.get(key)!.grad!);
      closeNumbers(mine, p.data, { rtol: 1e-5, atol: 2e-5 }, `gradient of ${key}`);
    }
    for (const [key, p] of Object.entries(sample.after as unknown as Record<string, Packed>)) {
      closeNumbers(numbers(buffers.get(key)!), p.data, { rtol: 1e-5, atol: 1e-6 }, key);
    }
  });
});

const weightOf = (module: nn.Module) => (module as nn.Linear).weight;
/** The first original behind the weight. */
const original = (module: nn.Module) =>
  module.namedParameters().find(([name]) => name.includes("original"))![1];

Deno.test("the norm at first is the weight as it was, and stays where it is wanted", () => {
  manualSeed(1);
  const layer = new nn.Linear(6, 4), before = numbers(layer.weight);
  parametrizations.weightNorm(layer);
  closeNumbers(numbers(layer.weight), before);
  const spectral = parametrizations.spectralNorm(new nn.Linear(6, 4), "weight", {
    nPowerIterations: 50,
  });
  closeNumbers([Number(linalg.matrixNorm(spectral.weight, 2).item())], [1], { atol: 1e-4 });
  // At rest nothing moves.
  spectral.eval();
  const u = numbers(spectral.stateDict()["parametrizations.weight.0._u"]);
  spectral.forward(ones([2, 6])).realize();
  assertEquals(numbers(spectral.stateDict()["parametrizations.weight.0._u"]), u);
  assertEquals(numbers(spectral.weight), numbers(spectral.weight));
});

Deno.test("two passes before one gradient, values read in between", () => {
  const make = () => {
    manualSeed(2);
    return parametrizations.spectralNorm(new nn.Linear(5, 3));
  };
  const a = randn([4, 5]), b = randn([4, 5]);
  const run = (isRead: boolean) => {
    const layer = make();
    using _scope = stepScope();
    const first = layer.forward(a).square().sum();
    if (isRead) first.item();
    const second = layer.forward(b).square().sum();
    if (isRead) second.item();
    first.sub(second).backward();
    return numbers(original(layer).grad!);
  };
  closeNumbers(run(true), run(false));
});

for (const norm of ["weightNorm", "spectralNorm"] as const) {
  Deno.test(`captured training steps under ${norm} are the plain ones`, () => {
    const run = (isCaptured: boolean) => {
      manualSeed(3);
      const model = new nn.Sequential(new nn.Linear(5, 8), new nn.Tanh(), new nn.Linear(8, 2));
      parametrizations[norm](model.at(0));
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
      const x = randn([6, 5]), t = randn([6, 2]);
      const plain = () => {
        optimizer.zeroGrad();
        const loss = nn.functional.mseLoss(model.forward(x), t);
        loss.backward();
        optimizer.step();
        return loss;
      };
      const step = isCaptured ? capture(plain) : plain, losses: number[] = [], bytes: number[] = [];
      for (let i = 0; i < 8; i++) {
        bytes.push(backendOf("cpu").stats.bytesAlive);
        using _scope = stepScope();
        losses.push(step().item());
      }
      const state = Object.values(model.stateDict()).flatMap(numbers);
      return {
        losses,
        state,
        replays: step === plain ? 0 : (step as Captured<[], Tensor>).replays,
        bytes,
      };
    };
    const plain = run(false), captured = run(true);
    assert(captured.replays > 0 && plain.replays === 0, `${captured.replays} replays`);
    assertEquals(plain.bytes.slice(3), Array(5).fill(plain.bytes[3]));
    assert(plain.losses[7] < plain.losses[0], `${plain.losses}`);
    closeNumbers(captured.losses, plain.losses, { rtol: 1e-6 });
    closeNumbers(captured.state, plain.state, { rtol: 1e-5, atol: 1e-6 });
  });
}

class Symmetric extends nn.Module {
  override forward(x: Tensor): Tensor {
    return x.triu().add(x.triu(1).mT);
  }
  rightInverse(x: Tensor): Tensor {
    return x.triu();
  }
}
class Doubled extends nn.Module {
  calls = 0;
  override forward(x: Tensor): Tensor {
    this.calls++;
    return x.mul(2);
  }
  rightInverse(x: Tensor): Tensor {
    return x.mul(0.5);
  }
}

Deno.test("own parametrizations, one after the other; values set and removed again", () => {
  const layer = new nn.Linear(2, 2, { bias: false });
  parametrize.registerParametrization(layer, "weight", new Symmetric());
  parametrize.registerParametrization(layer, "weight", new Doubled());
  assert(parametrize.isParametrized(layer, "weight") && !parametrize.isParametrized(layer, "bias"));
  assertEquals(Object.keys(layer.stateDict()), ["parametrizations.weight.original"]);
  (layer as { weight: Tensor }).weight = tensor([[2, 4], [4, 6]]);
  assertEquals(original(layer).toArray(), [[1, 2], [0, 3]]);
  assertEquals(layer.weight.toArray(), [[2, 4], [4, 6]]);
  layer.forward(tensor([[1, 0]])).sum().backward();
  // y sums the first column, 2 w00 + 2 w01.
  assertEquals(original(layer).grad!.toArray(), [[2, 2], [0, 0]]);
  const own = original(layer);
  parametrize.removeParametrizations(layer, "weight");
  assert(weightOf(layer) === own && !parametrize.isParametrized(layer));
  assertEquals(Object.keys(layer.stateDict()), ["weight"]);
  assertEquals(layer.weight.toArray(), [[2, 4], [4, 6]]);
});

Deno.test("what is removed keeps its value, or its original", () => {
  manualSeed(4);
  const normed = parametrizations.weightNorm(new nn.Linear(3, 2)), value = numbers(normed.weight);
  parametrize.removeParametrizations(normed, "weight");
  closeNumbers(numbers(normed.weight), value);
  assert((normed.weight as Parameter).isLeaf && normed.weight.requiresGrad);
  const layer = new nn.Linear(3, 2), before = numbers(layer.weight), parameter = layer.weight;
  parametrize.registerParametrization(layer, "weight", new Doubled());
  parametrize.removeParametrizations(layer, "weight", { leaveParametrized: false });
  closeNumbers(numbers(layer.weight), before.map((x) => x / 2));
  assertEquals(layer.weight.shape, parameter.shape);
});

Deno.test("inside cached every parameter is computed once", () => {
  const layer = new nn.Linear(2, 2), doubled = new Doubled();
  parametrize.registerParametrization(layer, "weight", doubled);
  doubled.calls = 0;
  parametrize.cached(() => assert(layer.weight === layer.weight));
  assertEquals(doubled.calls, 1);
  assert(layer.weight !== layer.weight);
});

Deno.test("casts and modes reach what is behind a parameter", () => {
  const model = new nn.Sequential(parametrizations.spectralNorm(new nn.Linear(3, 2)));
  model.to("float64").eval();
  const list = Object.values(model.stateDict());
  assert(list.every((t) => t.dtype === "float64") && weightOf(model.at(0)).dtype === "float64");
  assert(model.modules().every((m) => !m.training));
});

Deno.test("what cannot be parametrized", () => {
  const layer = new nn.Linear(3, 2),
    { registerParametrization, removeParametrizations } = parametrize;
  class Taller extends nn.Module {
    override forward(x: Tensor): Tensor {
      return x.unsqueeze(0);
    }
  }
  const before = layer.weight;
  assertThrows(
    () => registerParametrization(layer, "weight", new Taller()),
    TypeError,
    "Cannot parametrize float32 [2, 3] by Taller: it gives float32 [1, 2, 3]",
  );
  assert(layer.weight === before);
  assertThrows(
    () => registerParametrization(layer, "weights", new Doubled()),
    TypeError,
    'Cannot parametrize "weights" of Linear: it is not there',
  );
  assertThrows(
    () => registerParametrization(layer, "inFeatures", new Doubled()),
    TypeError,
    "no Parameter",
  );
  assertThrows(
    () => removeParametrizations(layer, "weight"),
    TypeError,
    'Cannot remove the parametrization of "weight" of Linear: it has none',
  );
  assertThrows(
    () => parametrizations.weightNorm(layer, "weight", { dim: 2 }),
    RangeError,
    "dim 2: it is [2, 3]",
  );
  assertThrows(
    () => parametrizations.spectralNorm(layer, "weight", { nPowerIterations: 0 }),
    RangeError,
    "nPowerIterations 0",
  );
  const normed = parametrizations.weightNorm(new nn.Linear(3, 2));
  assertThrows(
    () => removeParametrizations(normed, "weight", { leaveParametrized: false }),
    TypeError,
    "it has 2",
  );
  assertThrows(
    () => new nn.Sequential(normed).loadStateDict({ "0.weight": ones([2, 3]) }),
    TypeError,
    "0.parametrizations.weight.original0",
  );
});
