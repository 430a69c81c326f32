/**
 * The trainer: a loop that hides the boilerplate and nothing else, callbacks for what is beside it, a history of metrics.
 *
 * @module
 */
export { type Batch, type BatchOutput, batchSizeOf } from "./batch.ts";
export type { BatchLoader } from "./batch_source.ts";
export { type Callback, callback, type Hook, type Hooks } from "./callback.ts";
export { averageMetric, type AverageMetricOptions } from "./callbacks/average_metric.ts";
export { defaultCallbacks, type DefaultCallbacksOptions } from "./callbacks/default_callbacks.ts";
export {
  earlyStopping,
  type EarlyStoppingOptions,
  type WatchOptions,
} from "./callbacks/early_stopping.ts";
export { accumulationSchedule } from "./callbacks/accumulation_schedule.ts";
export { limitBatches, type LimitBatchesOptions } from "./callbacks/limit_batches.ts";
export { reduceOnPlateau, type ReduceOnPlateauOptions } from "./callbacks/reduce_on_plateau.ts";
export { AveragedWeights } from "./callbacks/averaged_weights.ts";
export {
  type BatchSizeThatFitsOptions,
  findBatchSize,
  type FindBatchSizeOptions,
  isOutOfMemory,
  withBatchSizeThatFits,
} from "./callbacks/batch_size_finder.ts";
export { evaluateEvery, type EvaluateEveryOptions } from "./callbacks/evaluate_every.ts";
export {
  findLearningRate,
  type FindLearningRateOptions,
  type LearningRateCurve,
} from "./callbacks/learning_rate_finder.ts";
export {
  cutmix,
  type MixingOptions,
  mixup,
  type MixupOptions,
  mixupOrCutmix,
  type MixupOrCutmixOptions,
} from "./callbacks/mixing.ts";
export { type AveragingCallback, modelEma, type ModelEmaOptions } from "./callbacks/model_ema.ts";
export { modelSummary, type ModelSummaryOptions } from "./callbacks/model_summary.ts";
export { profiler, type ProfilerOptions } from "./callbacks/profiler.ts";
export { syncBatchNorm } from "./callbacks/sync_batch_norm.ts";
export {
  type UpdateBatchNormOptions,
  updateBatchNormStatistics,
  weightAveraging,
  type WeightAveragingOptions,
} from "./callbacks/weight_averaging.ts";
export {
  gradientStatistics,
  type GradientStatisticsOptions,
} from "./callbacks/gradient_statistics.ts";
export {
  learningRateMonitor,
  type LearningRateMonitorOptions,
} from "./callbacks/learning_rate_monitor.ts";
export { memoryMonitor, type MemoryMonitorOptions } from "./callbacks/memory_monitor.ts";
export { throughput, type ThroughputOptions } from "./callbacks/throughput.ts";
export { timeBudget, type TimeBudgetOptions } from "./callbacks/time_budget.ts";
export { logMetrics, type LogMetricsOptions } from "./callbacks/log_metrics.ts";
export { printProgress } from "./callbacks/print_progress.ts";
export { progressBar, type ProgressBarOptions } from "./callbacks/progress_bar.ts";
export { saveBest, type SaveBestOptions } from "./callbacks/save_best.ts";
export {
  saveState,
  type SaveStateCallback,
  type SaveStateOptions,
} from "./callbacks/save_state.ts";
export {
  type MixedPrecision,
  type MixedPrecisionOptions,
  type PrecisionState,
  TrainerPrecision,
} from "./precision.ts";
export {
  saveWsdCheckpoints,
  type SaveWsdCheckpointsOptions,
} from "./callbacks/save_wsd_checkpoints.ts";
export { terminateOnNaN, type TerminateOnNaNOptions } from "./callbacks/terminate_on_nan.ts";
export { TrainingStateError, type TrainingStateFault } from "./checkpoint/error.ts";
export { directoryCheckpointer } from "./checkpoint/checkpointer.ts";
export { listStates, type SavedState } from "./checkpoint/folder.ts";
export type { WatchedValue } from "./checkpoint/manifest.ts";
export type { ResumeFrom } from "./checkpoint/resume_from.ts";
export { saveTrainingState, type SaveTrainingStateOptions } from "./checkpoint/save.ts";
export {
  type DefinedEvent,
  type DefinedHook,
  defineEvent,
  type EvalEpoch,
  type EvalStepEnd,
  type EventFacts,
  type EventName,
  eventNames,
  eventOrder,
  type Nothing,
  type SafePoint,
  type StepStart,
  StopTrainingError,
  type TrainerEvents,
  type TrainStepEnd,
} from "./events.ts";
export {
  addUnfrozen,
  type FreezablePart,
  type FreezeRange,
  type FreezerCallbackOptions,
  type FrozenBatchNorms,
  ModelFreezer,
  type ModelFreezerOptions,
  type UnfrozenGroups,
} from "./finetune/model_freezer.ts";
export {
  type DiscriminativeGroup,
  discriminativeGroups,
  type DiscriminativeOptions,
  geometricRates,
} from "./finetune/parameter_groups.ts";
export {
  betterThan,
  type Direction,
  InMemoryRunHistory,
  type Metric,
  type MetricFacts,
  type MetricValue,
  type RecordOptions,
  type RunHistory,
} from "./history.ts";
export { JsonlRunHistory, type JsonlRunHistoryOptions } from "./history/jsonl.ts";
export { type Line, type LineOptions, plotLines, plotMetrics } from "./history/plot.ts";
export type { HistoryState, StoredMetric, StoredNumber, StoredValue } from "./history/state.ts";
export { historyTable, type TableOptions } from "./history/table.ts";
export { LossTracker } from "./loss_tracker.ts";
export type {
  CreateScheduler,
  DataParallelOptions,
  EvaluateNowOptions,
  EvaluateOptions,
  LossFunc,
  LossParts,
  Scheduler,
  TrainerOptions,
  TrainOptions,
} from "./options.ts";
export type { Checkpointer, RunPosition, SavedRun, Stateful } from "./resume.ts";
export {
  accumulationAt,
  type AccumulationSchedule,
  createRunConfig,
  type RunConfigOptions,
  type TrainerRunConfig,
  updatesIn,
} from "./run_config.ts";
export { CallbackError, CallbackRunner } from "./runner.ts";
export { type BatchLimits, TrainerRunState } from "./run_state.ts";
export { TrainerServices } from "./services.ts";
export {
  type IterableDataset,
  StreamLoader,
  type StreamLoaderOptions,
  type StreamState,
} from "./stream_loader.ts";
export { Trainer } from "./trainer.ts";
export { TrainerSteps } from "./trainer_steps.ts";
export {
  type AdapterState,
  type CreateFor,
  epochSchedule,
  oneCycleSchedule,
  type OneCycleScheduleOptions,
  timmSchedule,
  type TimmScheduler,
} from "./schedulers/adapters.ts";
export {
  FieldScheduler,
  type FieldSchedulerOptions,
  type FieldSchedulerState,
  StatefulScheduler,
  StatelessScheduler,
} from "./schedulers/base.ts";
export {
  type CosineFields,
  cosineSchedule,
  type CosineScheduleOptions,
  CosineScheduler,
  type CosineSchedulerOptions,
  type CosineShape,
} from "./schedulers/cosine.ts";
export {
  type DecayShape,
  inverseSqrtSchedule,
  type InverseSqrtScheduleOptions,
  InverseSqrtScheduler,
  type InverseSqrtSchedulerOptions,
  polynomialSchedule,
  type PolynomialScheduleOptions,
  PolynomialScheduler,
  type PolynomialSchedulerOptions,
} from "./schedulers/decay.ts";
export { plotSchedule, type ScheduleRun, scheduleValues } from "./schedulers/plot.ts";
export type { RunLengths, Span } from "./schedulers/span.ts";
export {
  wsdCheckpointSteps,
  type WsdDecay,
  type WsdPeriod,
  type WsdPhase,
  wsdSchedule,
  type WsdScheduleOptions,
  WsdScheduler,
  type WsdSchedulerOptions,
  type WsdShape,
} from "./schedulers/wsd.ts";
