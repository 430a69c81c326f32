/** Ten steps of two networks must follow PyTorch's, from `tests/golden`, captured and not. */
import { assert, assertAlmostEquals } from "@std/assert";
import {
  capture,
  nn,
  optim,
  type Parameter,
  philox4x32,
  setDefaultDevice,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/accelerated";
import { GPT, mlp } from "../bench/models.ts";
import gptGolden from "./golden/gpt.json" with { type: "json" };
import mlpGolden from "./golden/mlp.json" with { type: "json" };

interface GoldenParameter {
  name: string;
  shape: number[];
  number: number;
  center: number;
  k: number;
  gradientNorm: number;
  gradient: number[];
  gradientAt?: number[];
}

interface Golden {
  seed: number;
  losses: number[];
  parameters: GoldenParameter[];
}

const word = (seed: number, number: number, i: number) =>
  philox4x32([i, 0, 0, 0], [seed, number])[0];

/** Real numbers as `tests/golden/README.md` defines them. */
function reals(
  seed: number,
  number: number,
  count: number,
  center: number,
  k: number,
): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, i) => center + k * (2 * ((word(seed, number, i) >>> 8) * 2 ** -24) - 1),
  );
}

/** Integers below `n`, as `tests/golden/README.md` defines them. */
function integers(seed: number, number: number, count: number, n: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => word(seed, number, i) % n);
}

/** Replaces the weights of a model by the golden ones. */
function loadWeights(model: nn.Module, golden: Golden): Map<string, Parameter> {
  const parameters = new Map(model.namedParameters());
  for (const { name, shape, number, center, k } of golden.parameters) {
    const p = parameters.get(name);
    assert(p !== undefined, `the model has no parameter ${name}`);
    assert(`${p.shape}` === `${shape}`, `${name} has shape ${p.shape}, not ${shape}`);
    p.copy_(reals(golden.seed, number, p.numel, center, k));
  }
  assert(parameters.size === golden.parameters.length, "the model has more parameters");
  return parameters;
}

/** Every recorded entry within 1e-4, relative to itself and to the usual size of an entry of its tensor. */
function checkGradients(parameters: Map<string, Parameter>, golden: Golden): void {
  for (const { name, gradientNorm, gradient, gradientAt } of golden.parameters) {
    const found = parameters.get(name)!.grad!.data() as Float32Array;
    const usual = gradientNorm / Math.sqrt(found.length);
    gradient.forEach((wanted, i) => {
      const got = found[gradientAt?.[i] ?? i];
      assert(
        Math.abs(got - wanted) <= 1e-4 * (usual + Math.abs(wanted)),
        `gradient ${i} of ${name} is ${got}, PyTorch's ${wanted}`,
      );
    });
    const norm = Math.hypot(...Array.from(found.length < 50000 ? found : [gradientNorm]));
    assertAlmostEquals(norm, gradientNorm, 1e-4 * gradientNorm);
  }
}

interface Run {
  model: nn.Module;
  golden: Golden;
  optimizer: (parameters: Parameter[]) => optim.Optimizer;
  batch: (step: number) => [Tensor, Tensor];
  loss: (x: Tensor, y: Tensor) => Tensor;
}

function follow({ model, golden, optimizer: make, batch, loss }: Run, captured: boolean): void {
  const parameters = loadWeights(model, golden);
  const optimizer = make(model.parameters());
  const body = (x: Tensor, y: Tensor): Tensor => {
    optimizer.zeroGrad();
    const l = loss(x, y);
    l.backward();
    optimizer.step();
    return l;
  };
  const step = captured ? capture(body) : body;
  golden.losses.forEach((wanted, s) => {
    using _scope = stepScope();
    const [x, y] = batch(s);
    const got = step(x, y).item();
    assert(Math.abs(got - wanted) <= 1e-5 * wanted, `loss ${s} is ${got}, PyTorch's ${wanted}`);
    if (s === 0) checkGradients(parameters, golden);
  });
  if (captured) {
    assert((step as unknown as { replays: number }).replays === golden.losses.length - 2);
  }
}

for (const captured of [false, true]) {
  const how = captured ? "captured" : "uncaptured";

  Deno.test(`the MLP follows PyTorch for ten steps, ${how}`, () => {
    setDefaultDevice("cpu");
    const model = mlp(), { seed } = mlpGolden;
    follow({
      model,
      golden: mlpGolden,
      optimizer: (p) => new optim.SGD(p, { lr: 0.01, momentum: 0.9 }),
      batch: (s) => [
        tensor(reals(seed, 1000 + s, 32 * 784, 0.5, 0.5), { shape: [32, 784] }),
        tensor(integers(seed, 2000 + s, 32, 10)),
      ],
      loss: (x, y) => nn.functional.crossEntropy(model.forward(x), y),
    }, captured);
  });

  Deno.test(`the gpt follows PyTorch for ten steps, ${how}`, () => {
    setDefaultDevice("cpu");
    const model = new GPT(), { seed } = gptGolden;
    follow({
      model,
      golden: gptGolden,
      optimizer: (p) => new optim.AdamW(p, { lr: 3e-4, betas: [0.9, 0.95], weightDecay: 0.1 }),
      batch: (s) => {
        const rows = tensor(integers(seed, 1000 + s, 16 * 65, 96), { shape: [16, 65] });
        return [
          rows.slice(1, 0, 64).contiguous().realize(),
          rows.slice(1, 1, 65).contiguous().realize(),
        ];
      },
      loss: (x, y) => nn.functional.crossEntropy(model.forward(x).reshape(-1, 96), y.reshape(-1)),
    }, captured);
  });
}
