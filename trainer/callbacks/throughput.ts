import { nn } from "@pta/core";
import { type Batch, tensorsIn } from "../batch.ts";
import { type Callback, callback } from "../callback.ts";
import { checkCount } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode throughput}. */
export interface ThroughputOptions {
  /** Optimizer steps between two records of step metrics; only the ends of epochs when left out. */
  readonly every?: number;
  /** Tokens of a batch. Left out, the elements of the first tensor when it is `[N, T]` of whole numbers; other batches have none. */
  readonly tokens?: (batch: Batch) => number;
  /**
   * Floating-point operations of the forward pass on a batch. Left out, what {@linkcode nn.summary} counts for the first tensor of the batch; 0 counts none.
   */
  readonly forwardFlops?: (batch: Batch) => number;
  /** What one device can do, in floating-point operations a second: then `model_flops_utilization` is recorded. */
  readonly peakFlops?: number;
  /** The clock, in milliseconds. */
  readonly now?: () => number;
}

/** What has been done since a moment. */
interface Work {
  readonly since: number;
  readonly samples: number;
  readonly tokens: number;
  readonly flops: number;
}

/** Tokens of a batch `[N, T]` of whole numbers. */
function countTokens(batch: Batch): number {
  const first = tensorsIn(batch)[0];
  const isText = first?.ndim === 2 && (first.dtype === "int64" || first.dtype === "int32");
  return isText ? first.numel : 0;
}

/** Floating-point operations of a forward pass, or 0 where the model takes something else than the first tensor. */
function countFlops(trainer: Trainer, batch: Batch): number {
  try {
    return nn.summary(trainer.model, [tensorsIn(batch)[0]]).flops;
  } catch {
    trainer.logOnce(
      "throughput",
      "Throughput is recorded without operations: the model cannot be summarised with the batch's first tensor alone, give forwardFlops",
    );
    return 0;
  }
}

const rate = (unit: string) => ({ unit, direction: "higher" as const });

/**
 * Records how fast training goes, over all ranks, evaluation left out: at the end of each epoch `samples_per_second`, `epoch_time`, and where they are known
 * `tokens_per_second`, `model_flops_per_second` (three times the forward pass, the backward pass counting double) and `model_flops_utilization`: their
 * share of `peakFlops` (MFU, Chowdhery et al., arXiv:2204.02311). With `every`, the same for stretches of steps under `step_...`.
 */
export function throughput(options: ThroughputOptions = {}): Callback {
  const { every = Infinity, tokens = countTokens, peakFlops, now = () => performance.now() } =
    options;
  if (every !== Infinity) checkCount("every", every);
  if (peakFlops !== undefined && !(peakFlops > 0)) {
    throw new RangeError(`Cannot use peakFlops ${peakFlops}: it must be above 0`);
  }
  // Shapes that were seen, with what a batch of them takes.
  let known = new Map<string, { tokens: number; flops: number }>();
  let epoch: Work, stretch: Work, paused: number | undefined;

  const start = (): Work => ({ since: now(), samples: 0, tokens: 0, flops: 0 });
  const costs = (trainer: Trainer, batch: Batch) => {
    const key = tensorsIn(batch).map((t) => `${t.dtype} ${t.shape}`).join(";");
    let cost = known.get(key);
    if (cost === undefined) {
      const flops = options.forwardFlops?.(batch) ?? countFlops(trainer, batch);
      known.set(key, cost = { tokens: tokens(batch), flops: 3 * flops });
    }
    return cost;
  };
  const add = (work: Work, samples: number, cost: { tokens: number; flops: number }): Work => ({
    since: work.since,
    samples: work.samples + samples,
    tokens: work.tokens + cost.tokens,
    flops: work.flops + cost.flops,
  });
  const record = (
    trainer: Trainer,
    work: { samples: number; tokens: number; flops: number },
    seconds: number,
    step?: number,
  ) => {
    const { runHistory } = trainer, prefix = step === undefined ? "" : "step_";
    const put = (name: string, value: number, unit: string) =>
      runHistory.record(`${prefix}${name}`, value, {
        ...rate(unit),
        ...(step === undefined ? {} : { step }),
      });
    put("samples_per_second", work.samples / seconds, "samples/s");
    if (work.tokens > 0) put("tokens_per_second", work.tokens / seconds, "tokens/s");
    if (work.flops === 0) return;
    put("model_flops_per_second", work.flops / seconds, "FLOP/s");
    if (peakFlops === undefined) return;
    const peak = peakFlops * trainer.runConfig.worldSize;
    put("model_flops_utilization", work.flops / seconds / peak, "");
  };
  // What was launched must have been done before the clock is read.
  const settle = (trainer: Trainer) => void trainer.lossTracker.total();
  const resume = () => {
    if (paused === undefined) return;
    const pause = now() - paused;
    epoch = { ...epoch, since: epoch.since + pause };
    stretch = { ...stretch, since: stretch.since + pause };
    paused = undefined;
  };

  return callback({
    name: "throughput",
    onTrainingRunStart: () => {
      known = new Map();
    },
    onTrainEpochStart: () => {
      paused = undefined;
      epoch = stretch = start();
    },
    onTrainStepStart: (trainer, { batch }) => {
      resume();
      costs(trainer, batch);
    },
    onTrainStepEnd: (trainer, { batch, batchOutput, isFiller, isOptimizerStep }) => {
      if (!isFiller) {
        const cost = costs(trainer, batch);
        epoch = add(epoch, batchOutput.batchSize, cost);
        stretch = add(stretch, batchOutput.batchSize, cost);
      }
      if (!isOptimizerStep || trainer.numUpdates % every !== 0) return;
      settle(trainer);
      // Asking the other ranks in the middle of an epoch would cost more than it tells.
      const { worldSize } = trainer.runConfig, { samples, tokens, flops } = stretch;
      const all = { samples: samples * worldSize, tokens: tokens * worldSize };
      const seconds = (now() - stretch.since) / 1000;
      record(trainer, { ...all, flops: flops * worldSize }, seconds, trainer.numUpdates);
      stretch = start();
    },
    onEvalEpochStart: (trainer, { isIntermediate }) => {
      if (!isIntermediate) return;
      settle(trainer);
      paused = now();
    },
    onTrainEpochEnd: (trainer) => {
      settle(trainer);
      resume();
      const seconds = (now() - epoch.since) / 1000;
      const [samples, tokens, flops] = trainer.reduce([epoch.samples, epoch.tokens, epoch.flops]);
      const [longest] = trainer.reduce([seconds], "max");
      trainer.runHistory.record("epoch_time", longest, { unit: "s", direction: "lower" });
      record(trainer, { samples, tokens, flops }, longest);
    },
  });
}
