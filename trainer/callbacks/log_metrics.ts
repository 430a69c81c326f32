import { type Callback, callback } from "../callback.ts";
import type { Metric } from "../history.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode logMetrics}. */
export interface LogMetricsOptions {
  /** Where the metrics with new values go; printed as one line when left out. */
  readonly log?: (trainer: Trainer, metrics: readonly Metric[]) => void | Promise<void>;
}

const shown = (value: number) => Number.isInteger(value) ? `${value}` : value.toPrecision(5);

function printMetrics(trainer: Trainer, metrics: readonly Metric[]): void {
  const text = metrics.map((m) => `${m.name}: ${shown(m.values.at(-1)!.value)}${m.unit}`);
  trainer.print(text.join(", "));
}

/** Logs the metrics recorded since the last time, at the end of each epoch and evaluation, whatever the order of the callbacks. */
export function logMetrics(options: LogMetricsOptions = {}): Callback {
  const { log = printMetrics } = options;
  let logged = new Map<string, number>();
  const flush = (trainer: Trainer) => {
    const metrics = trainer.runHistory.all();
    const fresh = metrics.filter((m) => m.values.length > (logged.get(m.name) ?? 0));
    logged = new Map(metrics.map((m) => [m.name, m.values.length]));
    if (fresh.length > 0) return log(trainer, fresh);
  };
  return callback({
    name: "logMetrics",
    onTrainingRunStart: (trainer) => {
      logged = new Map(trainer.runHistory.all().map((m) => [m.name, m.values.length]));
    },
    onTrainingRunEpochEnd: flush,
    onStopTrainingError: flush,
    onEvaluationRunEnd: flush,
  });
}
