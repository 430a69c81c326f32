import { keep, type nn, noGrad, realize, stack, type Tensor, zeros } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import { checkCount } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";
import { beforeOptimizerStep } from "./optimizer_hook.ts";

/** Options of {@linkcode gradientStatistics}. */
export interface GradientStatisticsOptions {
  /** Optimizer steps between two records; 50 by default. */
  readonly every?: number;
  /** Whether each parameter has metrics of its own too, under its name; false by default. */
  readonly perParameter?: boolean;
}

/** Sum of squares and largest absolute value of some tensors, a row each; in one plan. */
function measure(tensors: readonly (Tensor | undefined)[], device: string): Tensor {
  const none = zeros([2], { device });
  return stack(tensors.map((t) => {
    if (t === undefined) return none;
    const x = t.detach().to("float32");
    return stack([x.square().sum(), x.abs().max()]);
  }));
}

/**
 * Records norms of gradients and weights: `grad_norm` and `weight_norm` (2-norms over all parameters) and `grad_max` (largest absolute element), and
 * with `perParameter` also `grad_norm/<name>` and `weight_norm/<name>`. Gradients are those that the optimizer uses: means over window and ranks,
 * clipped. They are measured on the device within the step, captured or not, which takes two reductions of each gradient, and read every `every` steps.
 */
export function gradientStatistics(options: GradientStatisticsOptions = {}): Callback {
  const { every = 50, perParameter = false } = options;
  checkCount("every", every);
  let named: readonly (readonly [string, nn.Parameter])[] = [];
  let gradients: Tensor | undefined;
  let remove: (() => void) | undefined;

  const record = (trainer: Trainer) => {
    const step = trainer.numUpdates, { runHistory } = trainer;
    const weights = noGrad(() => measure(named.map(([, p]) => p), gradients!.device));
    const rows = (t: Tensor) => t.toArray() as number[][];
    const g = rows(gradients!), w = rows(weights);
    weights.dispose();
    const norm = (all: readonly number[][]) => Math.sqrt(all.reduce((sum, [x]) => sum + x, 0));
    runHistory.record("grad_norm", norm(g), { step });
    // Math.max would pass over nothing, but NaN it keeps.
    runHistory.record("grad_max", Math.max(...g.map((row) => row[1])), { step });
    runHistory.record("weight_norm", norm(w), { step });
    if (!perParameter) return;
    named.forEach(([name], i) => {
      runHistory.record(`grad_norm/${name}`, norm([g[i]]), { step });
      runHistory.record(`weight_norm/${name}`, norm([w[i]]), { step });
    });
  };

  return callback({
    name: "gradientStatistics",
    onTrainingRunStart: (trainer) => {
      named = trainer.model.namedParameters();
      const { device } = trainer.lossTracker;
      gradients = keep(zeros([named.length, 2], { device }).realize());
      remove = beforeOptimizerStep(trainer.optimizer!, () =>
        noGrad(() => {
          gradients!.assign(measure(named.map(([, p]) => p.grad), device));
          realize(gradients!);
        }));
    },
    onTrainStepEnd: (trainer, { isOptimizerStep }) => {
      if (isOptimizerStep && trainer.numUpdates % every === 0) record(trainer);
    },
    cleanup: () => {
      remove?.();
      gradients?.dispose();
      [remove, gradients] = [undefined, undefined];
    },
  });
}
