/** Rates given by functions. */
import type { Optimizer } from "../optimizer.ts";
import { LRScheduler, perGroup, type SchedulerOptions } from "./scheduler.ts";

/** A factor for an epoch. */
export type LrLambda = (epoch: number) => number;

/** Fields of schedulers made of functions. */
export interface LambdaFields {
  /** One function a group. */
  readonly lr_lambdas: readonly LrLambda[];
}

function lambdas(optimizer: Optimizer, lrLambda: LrLambda | readonly LrLambda[]): LambdaFields {
  const list = perGroup("lrLambda", optimizer, lrLambda);
  const wrong = list.find((f) => typeof f !== "function");
  if (wrong === undefined) return { lr_lambdas: list };
  throw new TypeError(`Cannot schedule with lrLambda ${wrong}: it must be a function`);
}

/** The first rate times a function of the epoch. Functions are not part of the state. */
export class LambdaLR extends LRScheduler<LambdaFields> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param lrLambda Factor for an epoch, for all groups or one each
   * @param options Where to go on
   */
  constructor(
    optimizer: Optimizer,
    lrLambda: LrLambda | readonly LrLambda[],
    options: SchedulerOptions = {},
  ) {
    super(optimizer, lambdas(optimizer, lrLambda), options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    return this.baseLrs.map((lr, i) => lr * this.fields.lr_lambdas[i](this.lastEpoch));
  }
}

/** Multiplies the rate by a function of the epoch, each epoch but the first. Functions are not part of the state. */
export class MultiplicativeLR extends LRScheduler<LambdaFields> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param lrLambda Factor for an epoch, for all groups or one each
   * @param options Where to go on
   */
  constructor(
    optimizer: Optimizer,
    lrLambda: LrLambda | readonly LrLambda[],
    options: SchedulerOptions = {},
  ) {
    super(optimizer, lambdas(optimizer, lrLambda), options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    if (this.isInitial) return this.currentLrs();
    return this.currentLrs().map((lr, i) => lr * this.fields.lr_lambdas[i](this.lastEpoch));
  }
}
