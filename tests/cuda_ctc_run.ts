/**
 * What tests/cuda_ctc_test.ts has a device do, in a process of its own: a few steps that train with ctcLoss, plain and captured. The alignments are computed on the host, between
 * the graphs of a captured step.
 */
import {
  backendOf,
  capture,
  defaultDevice,
  grad,
  manualSeed,
  nn,
  optim,
  setDefaultDevice,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/accelerated";
import { Dice } from "./graph_fuzz.ts";

/** What came of it. */
export interface CtcOutcome {
  /** Gradient of the first batch at the log probabilities. */
  readonly gradient: number[];
  /** Losses of the steps. */
  readonly plain: number[];
  readonly captured: number[];
  readonly replays: number;
  /** Copies to the host in the last captured step: the operands of the alignments, and the loss. */
  readonly reads: number;
  /** Why the step was not captured. */
  readonly reason?: string;
}

setDefaultDevice(Deno.env.get("PTA_DEVICE") ?? "cpu");
const STEPS = 7, BATCH = 3, SIZE = 6, CLASSES = 5;
// Equal neighbours, a sequence cut short, an empty target.
const inputs = [7, 5, 6], sizes = [3, 2, 0];

/** Features `[T, N, size]` and targets `[N, 3]`. */
function batch(i: number): [Tensor, Tensor] {
  const dice = new Dice(20 + i);
  const x = Float32Array.from({ length: STEPS * BATCH * SIZE }, () => dice.next() - 0.5);
  const classes = Int32Array.from({ length: BATCH * 3 }, () => 1 + dice.int(CLASSES - 1));
  classes[1] = classes[0];
  return [tensor(x, { shape: [STEPS, BATCH, SIZE] }), tensor(classes, { shape: [BATCH, 3] })];
}

const loss = (scores: Tensor, targets: Tensor) =>
  nn.functional.ctcLoss(scores, targets, inputs, sizes);

function losses(isCaptured: boolean): Omit<CtcOutcome, "gradient" | "plain"> {
  manualSeed(3);
  const model = new nn.Linear(SIZE, CLASSES);
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
  const body = (x: Tensor, targets: Tensor) => {
    optimizer.zeroGrad();
    const value = loss(model.forward(x).logSoftmax(-1), targets);
    value.backward();
    optimizer.step();
    return value;
  };
  const captured = capture(body), step = isCaptured ? captured : body;
  const { stats } = backendOf(defaultDevice());
  let before = 0;
  const found = Array.from({ length: 6 }, (_, i) => {
    using _scope = stepScope();
    before = stats.reads;
    return step(...batch(i)).item();
  });
  const { replays, reason } = captured;
  return { captured: found, replays, reason, reads: stats.reads - before };
}

const [features, targets] = batch(0);
const scores = features.narrow(2, 0, CLASSES).logSoftmax(-1).detach().requiresGrad_();
const [gradient] = grad(loss(scores, targets), [scores]);
const outcome: CtcOutcome = {
  gradient: Array.from(gradient.data() as Float32Array),
  plain: losses(false).captured,
  ...losses(true),
};
console.log(JSON.stringify(outcome));
