import { type Callback, callback } from "../callback.ts";
import { accumulationAt } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode progressBar}; the defaults write to standard error. */
export interface ProgressBarOptions {
  /** Whether the output can redraw a line. */
  readonly isTerminal?: boolean;
  /** Milliseconds between two refreshes; 100 in a terminal, else 10,000. */
  readonly refreshEvery?: number;
  /** Where the text goes. */
  readonly write?: (text: string) => void;
  /** The clock, in milliseconds. */
  readonly now?: () => number;
}

const encoder = new TextEncoder();
const clearLine = "\r\x1b[2K";

/** One pass over a loader. */
interface Pass {
  readonly label: string;
  readonly total: number | undefined;
  readonly started: number;
  done: number;
  shownAt: number;
}

/** `1:02:03` or `2:03`. */
function formatTime(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (x: number) => String(x).padStart(2, "0");
  const hours = Math.floor(s / 3600), minutes = Math.floor(s / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

function drawBar(fraction: number, width = 20): string {
  const filled = Math.round(fraction * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}

/**
 * Shows batches done, rate, mean loss of this rank and time left. In a terminal one line is redrawn; elsewhere plain lines appear, few enough for a log
 * file. The loss is read from the device only when something is shown. Only one rank of a machine shows anything.
 */
export function progressBar(options: ProgressBarOptions = {}): Callback {
  const isTerminal = options.isTerminal ?? Deno.stderr.isTerminal();
  const refreshEvery = options.refreshEvery ?? (isTerminal ? 100 : 10_000);
  const write = options.write ?? ((text) => Deno.stderr.writeSync(encoder.encode(text)));
  const now = options.now ?? (() => performance.now());
  let pass: Pass | undefined;

  const start = (trainer: Trainer, label: string, total: number | undefined) => {
    if (!trainer.runConfig.isLocalProcessZero) return;
    pass = { label, total, started: now(), done: 0, shownAt: now() };
  };
  const show = (trainer: Trainer, p: Pass) => {
    const seconds = (now() - p.started) / 1000;
    const rate = p.done / Math.max(seconds, 1e-9);
    const loss = trainer.lossTracker.average();
    const parts = [
      p.total === undefined ? `${p.done}` : `${p.done}/${p.total}`,
      `${rate < 10 ? rate.toFixed(2) : Math.round(rate)} batches/s`,
      `loss ${loss.toPrecision(4)}`,
    ];
    if (p.total !== undefined && p.done < p.total) {
      parts.push(`${formatTime((p.total - p.done) / rate)} left`);
    } else parts.push(formatTime(seconds));
    const bar = isTerminal && p.total !== undefined ? `${drawBar(p.done / p.total)} ` : "";
    write(
      `${isTerminal ? clearLine : ""}${p.label} ${bar}${parts.join(", ")}${isTerminal ? "" : "\n"}`,
    );
    p.shownAt = now();
  };
  const advance = (trainer: Trainer) => {
    if (pass === undefined) return;
    pass.done++;
    if (now() - pass.shownAt >= refreshEvery && pass.done !== pass.total) show(trainer, pass);
  };
  const end = (trainer: Trainer) => {
    if (pass === undefined || pass.done === 0) return;
    show(trainer, pass);
    if (isTerminal) write("\n");
    pass = undefined;
  };

  return callback({
    name: "progressBar",
    needsEveryStep: false,
    onTrainEpochStart: (trainer) => {
      const { numTrainBatchesPerEpoch, maxNumTrainSteps } = trainer.runConfig;
      const left = ((maxNumTrainSteps ?? Infinity) - trainer.numUpdates) *
        accumulationAt(trainer.runConfig, trainer.position.epoch);
      const total = Math.min(numTrainBatchesPerEpoch ?? Infinity, left);
      start(trainer, "train", Number.isFinite(total) ? total : undefined);
    },
    onTrainStepEnd: advance,
    onTrainEpochEnd: end,
    onEvalEpochStart: (trainer) => start(trainer, "eval", trainer.runConfig.numEvalBatches),
    onEvalStepEnd: advance,
    onEvalEpochEnd: end,
    cleanup: () => {
      if (pass !== undefined && pass.done > 0 && isTerminal) write("\n");
      pass = undefined;
    },
  });
}
