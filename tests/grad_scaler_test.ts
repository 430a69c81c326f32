/** The loss scaler: PyTorch's runs of 100 steps with planted overflows, and its own contract. */
import "@pta/core/backend";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  amp,
  capture,
  type Module,
  nn,
  noGrad,
  ones,
  optim,
  type Parameter,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/core";
import {
  differences,
  followScaledRun,
  precisionFixture,
  scaledModel,
  type ScaledResult,
} from "./precision_support.ts";

const root = new URL("..", import.meta.url);
const fixture = await precisionFixture();

/** The mean over all ranks, when this process computed them all. */
const meanOf = (ranks: number) => (parameters: Parameter[]) => {
  for (const p of parameters) p.grad = noGrad(() => p.grad!.div(ranks));
};

for (const run of fixture.scaling) {
  const name =
    `${run.optimizer}, ${run.ranks} ranks in one process, accumulation ${run.accumulation}`;
  Deno.test(`GradScaler follows PyTorch through 100 steps: ${name}`, () => {
    const ranks = Array.from({ length: run.ranks }, (_, r) => r);
    const plain = followScaledRun(run, ranks, false, meanOf(run.ranks));
    assertEquals(differences(run, plain), []);
    assert(run.skipped.reduce((a, b) => a + b) > 6, "some overflows are not planted");
    const captured = followScaledRun(run, ranks, true, meanOf(run.ranks));
    assertEquals(captured.replays, 98);
    assertEquals({ ...captured, replays: 0 }, plain);
  });
}

Deno.test("GradScaler: two ranks skip together and follow PyTorch", async () => {
  const folder = await Deno.makeTempDir();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "launch/launch.ts",
      "--cpu",
      "--num-processes",
      "2",
      "tests/fixtures/scaler_rank.ts",
      folder,
    ],
    cwd: root,
    stdin: "null",
  }).output();
  assert(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
  for (const rank of [0, 1]) {
    const found: Record<string, ScaledResult> = JSON.parse(
      Deno.readTextFileSync(`${folder}/${rank}.json`),
    );
    assertEquals(Object.keys(found).length, 8);
    const lone = JSON.parse(Deno.readTextFileSync(`${folder}/lone.${rank}.json`));
    assertEquals(lone, [false, true, false]);
    for (const [key, result] of Object.entries(found)) {
      const [index, captured] = key.split(" ");
      assertEquals(differences(fixture.scaling[Number(index)], result), [], `rank ${rank}, ${key}`);
      assertEquals(result.replays, captured === "true" ? 98 : 0);
    }
  }
  await Deno.remove(folder, { recursive: true });
});

/** Parameters and everything that the optimizer remembers, as numbers. */
function everything(model: Module, optimizer: optim.Optimizer): number[][] {
  const state = [...optimizer.state.values()].flatMap((s) => Object.values(s));
  return [...model.parameters(), ...state].map((t) => Array.from(t.data() as Float32Array, Number));
}

const optimizers: Readonly<Record<string, (p: Parameter[]) => optim.Optimizer>> = {
  Adadelta: (p) => new optim.Adadelta(p),
  Adafactor: (p) => new optim.Adafactor(p),
  Adagrad: (p) => new optim.Adagrad(p),
  Adam: (p) => new optim.Adam(p, { amsgrad: true }),
  AdamW: (p) => new optim.AdamW(p),
  Adamax: (p) => new optim.Adamax(p),
  ASGD: (p) => new optim.ASGD(p, { t0: 1 }),
  Lion: (p) => new optim.Lion(p),
  Muon: (p) => new optim.Muon(p.filter((x) => x.ndim === 2)),
  NAdam: (p) => new optim.NAdam(p),
  RAdam: (p) => new optim.RAdam(p),
  RMSprop: (p) => new optim.RMSprop(p, { momentum: 0.9, centered: true }),
  Rprop: (p) => new optim.Rprop(p),
  SGD: (p) => new optim.SGD(p, { momentum: 0.9, dampening: 0.2 }),
};

for (const [name, make] of Object.entries(optimizers)) {
  Deno.test(`GradScaler: a skipped step of ${name} changes nothing, first or later`, () => {
    const train = (skips: readonly number[]): number[][] => {
      const model = scaledModel(), optimizer = make(model.parameters());
      const scaler = new amp.GradScaler({ initScale: 1024 });
      const x = ones([2, 8]);
      for (let s = 0; s < 6; s++) {
        const isSkipped = skips.includes(s);
        const before = everything(model, optimizer);
        const loss = model.forward(x).square().mean().mul(tensor(isSkipped ? Infinity : 1));
        scaler.scale(loss).backward();
        scaler.step(optimizer);
        scaler.update();
        optimizer.zeroGrad();
        assertEquals(scaler.wasSkipped(), isSkipped);
        const after = everything(model, optimizer);
        if (!isSkipped) assert(JSON.stringify(before) !== JSON.stringify(after));
        else if (s > 0) assertEquals(after, before);
        else assertEquals(after.slice(0, 2), before.slice(0, 2));
      }
      assertEquals(scaler.getSkippedSteps(), skips.length);
      return everything(model, optimizer);
    };
    // Two steps less in the run without overflow: the skipped ones must leave no trace, in step counts neither.
    const skipping = train([0, 3]);
    const model = scaledModel(), optimizer = make(model.parameters());
    for (let s = 0; s < 4; s++) {
      model.forward(ones([2, 8])).square().mean().backward();
      optimizer.step();
      optimizer.zeroGrad();
    }
    const plain = everything(model, optimizer);
    skipping.forEach((values, i) =>
      values.forEach((v, k) => assertAlmostEquals(v, plain[i][k], 1e-5 * (1 + Math.abs(v))))
    );
  });
}

Deno.test("GradScaler: clipping by norm and value sees unscaled gradients", () => {
  const run = (scaled: boolean): number[][] => {
    const model = scaledModel(), optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const scaler = new amp.GradScaler({ initScale: 4096, enabled: scaled });
    for (let s = 0; s < 3; s++) {
      scaler.scale(model.forward(ones([2, 8])).square().mean()).backward();
      scaler.unscale_(optimizer);
      optim.clipGradValue_(model.parameters(), 0.05);
      optim.clipGradNorm_(model.parameters(), 0.1);
      scaler.step(optimizer);
      scaler.update();
      optimizer.zeroGrad();
    }
    return everything(model, optimizer);
  };
  const a = run(true), b = run(false);
  a.flat().forEach((x, i) => assertAlmostEquals(x, b.flat()[i], 1e-6));
});

Deno.test("GradScaler: several optimizers decide for themselves, the scale for all", () => {
  const [a, b] = [scaledModel(), scaledModel()];
  const [oa, ob] = [a, b].map((m) => new optim.Adam(m.parameters()));
  const scaler = new amp.GradScaler({ initScale: 8 });
  const before = [everything(a, oa), everything(b, ob)];
  const x = ones([2, 8]);
  const [la, lb] = scaler.scale([
    a.forward(x).square().mean(),
    b.forward(x).square().mean().mul(tensor(NaN)),
  ]) as Tensor[];
  la.backward();
  lb.backward();
  scaler.step(oa);
  scaler.step(ob);
  scaler.update();
  assert(JSON.stringify(everything(a, oa).slice(0, 2)) !== JSON.stringify(before[0].slice(0, 2)));
  assertEquals(everything(b, ob).slice(0, 2), before[1]);
  assertEquals([scaler.getScale(), scaler.getSkippedSteps()], [4, 1]);
});

Deno.test("GradScaler: state dict has PyTorch's keys and goes on where it was", () => {
  const scaler = new amp.GradScaler({ initScale: 8, growthInterval: 3 });
  const model = scaledModel(), optimizer = new optim.SGD(model.parameters(), { lr: 0 });
  const step = (s: amp.GradScaler) => {
    s.scale(model.forward(ones([1, 8])).sum()).backward();
    s.step(optimizer);
    s.update();
    optimizer.zeroGrad();
  };
  step(scaler);
  step(scaler);
  const state = scaler.stateDict();
  assertEquals(state, {
    scale: 8,
    growth_factor: 2,
    backoff_factor: 0.5,
    growth_interval: 3,
    _growth_tracker: 2,
  });
  const other = new amp.GradScaler();
  other.loadStateDict(state);
  step(other);
  assertEquals([other.getScale(), other.stateDict()._growth_tracker], [16, 0]);
  // Into one that has run already.
  other.loadStateDict(state);
  assertEquals(other.stateDict(), state);
  other.update(32);
  assertEquals(other.getScale(), 32);
  assertEquals(new amp.GradScaler({ enabled: false }).stateDict(), {});
});

Deno.test("GradScaler: an order of calls that makes no sense is an error", () => {
  const model = scaledModel(), optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
  const scaler = new amp.GradScaler();
  assertThrows(() => scaler.update(), Error, "no step()");
  assertThrows(() => scaler.step(optimizer), Error, "has a gradient");
  scaler.scale(model.forward(ones([1, 8])).sum()).backward();
  scaler.unscale_(optimizer);
  assertThrows(() => scaler.unscale_(optimizer), Error, "twice");
  scaler.step(optimizer);
  assertThrows(() => scaler.step(optimizer), Error, "twice");
  assertThrows(() => scaler.unscale_(optimizer), Error, "after step()");
  scaler.update();
  const low = new nn.Linear(2, 2, { dtype: "float16" });
  const lowOptimizer = new optim.SGD(low.parameters(), { lr: 0.1 });
  scaler.scale(low.forward(ones([1, 2], { dtype: "float16" })).sum()).backward();
  assertThrows(() => scaler.step(lowOptimizer), TypeError, "float16 gradients");
  const lbfgs = new optim.LBFGS(model.parameters());
  assertThrows(() => scaler.step(lbfgs), TypeError, "LBFGS");
  assertThrows(() => new amp.GradScaler({ growthFactor: 1 }), RangeError, "growthFactor 1");
  assertThrows(() => new amp.GradScaler({ backoffFactor: 1 }), RangeError, "backoffFactor 1");
  assertThrows(() => scaler.scale([3 as never]), TypeError, "Cannot scale 3");
});

Deno.test("GradScaler: a state that is loaded counts in captured steps at once, in the middle of an interval too", () => {
  const model = scaledModel(), optimizer = new optim.SGD(model.parameters(), { lr: 0.01 });
  const scaler = new amp.GradScaler({ initScale: 8, growthInterval: 3 });
  const step = capture((x: Tensor) => {
    scaler.scale(model.forward(x).square().mean()).backward();
    scaler.step(optimizer);
    scaler.update();
    optimizer.zeroGrad();
  });
  const scales: number[] = [];
  const run = () => {
    using _scope = stepScope();
    step(ones([2, 8]));
    scales.push(scaler.getScale());
  };
  for (let i = 0; i < 4; i++) run();
  scaler.loadStateDict({ scale: 32, _growth_tracker: 1 });
  for (let i = 0; i < 3; i++) run();
  assertEquals([step.reason, step.replays], [undefined, 5]);
  assertEquals(scales, [8, 8, 16, 16, 32, 64, 64]);
  assertThrows(
    () => scaler.loadStateDict({ scale: 1, growth_factor: 0.5 }),
    RangeError,
    "growthFactor 0.5",
  );
});

Deno.test("GradScaler: one optimizer is clipped, another is not, a third one overflows, in one captured step", () => {
  const models = [scaledModel(), scaledModel(), scaledModel()];
  const before = models.map((m) => m.parameters().map((p) => Array.from(p.data() as Float32Array)));
  const optimizers = models.map((m) => new optim.SGD(m.parameters(), { lr: 0.1 }));
  const scaler = new amp.GradScaler({ initScale: 1024 });
  const step = capture((x: Tensor, boost: Tensor) => {
    const losses = models.map((m) => m.forward(x).square().mean());
    losses[2] = losses[2].mul(boost);
    scaler.scale(losses).forEach((loss) => loss.backward());
    scaler.unscale_(optimizers[0]);
    optim.clipGradNorm_(models[0].parameters(), 1e-3);
    for (const optimizer of optimizers) scaler.step(optimizer);
    scaler.update();
    for (const optimizer of optimizers) optimizer.zeroGrad();
  });
  for (let i = 0; i < 3; i++) {
    using _scope = stepScope();
    step(ones([2, 8]), tensor(Infinity));
  }
  const moved = models.map((m, k) =>
    Math.hypot(
      ...m.parameters().flatMap((p, i) =>
        Array.from(p.data() as Float32Array).map((v, j) => v - before[k][i][j])
      ),
    )
  );
  assertAlmostEquals(moved[0], 3 * 0.1 * 1e-3, 1e-5);
  assert(moved[1] > 10 * moved[0], `${moved}`);
  assertEquals([moved[2], scaler.getSkippedSteps(), scaler.getScale()], [0, 3, 128]);
});
