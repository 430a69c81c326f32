/** The error of training states. */

/**
 * What is wrong with a training state:
 * `missing` nothing there, `foreign` written by something else or by a newer release, `damaged` not as it was written, `unfit` in order but of
 * another model or optimizer.
 */
export type TrainingStateFault = "missing" | "foreign" | "damaged" | "unfit";

/** A training state cannot be loaded; the message names the directory, the file and what is wrong with it. */
export class TrainingStateError extends Error {
  /** What is wrong. */
  readonly fault: TrainingStateFault;
  /** The directory. */
  readonly directory: string;

  /**
   * Says what is wrong.
   * @param directory The directory
   * @param fault The kind of fault
   * @param reason The file and what is wrong with it, as the end of a sentence
   * @param options `cause`: what was thrown
   */
  constructor(
    directory: string,
    fault: TrainingStateFault,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`Cannot load the training state "${directory}": ${reason}`, options);
    this.name = "TrainingStateError";
    this.directory = directory;
    this.fault = fault;
  }
}
