import type { Callback } from "../callback.ts";
import { limitBatches } from "./limit_batches.ts";
import { logMetrics } from "./log_metrics.ts";
import { printProgress } from "./print_progress.ts";
import { progressBar } from "./progress_bar.ts";
import { terminateOnNaN } from "./terminate_on_nan.ts";

/** Options of {@linkcode defaultCallbacks}. */
export interface DefaultCallbacksOptions {
  /** Whether to show a progress bar; true by default. */
  readonly progressBar?: boolean;
}

/** The callbacks of a trainer that is given none: limit of batches from the environment, terminate on NaN, print progress, progress bar, log metrics. Spread them to add your own. */
export function defaultCallbacks(options: DefaultCallbacksOptions = {}): Callback[] {
  const bar = options.progressBar ?? true ? [progressBar()] : [];
  return [limitBatches(), terminateOnNaN(), printProgress(), ...bar, logMetrics()];
}
