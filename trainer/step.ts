/** One training or evaluation step, captured when its shapes allow. */
import {
  capture,
  type Captured,
  dueWithNext,
  noGrad,
  type Parameter,
  realize,
  type Tensor,
} from "@pta/core";
import {
  type Batch,
  type BatchOutput,
  describeShapes,
  hasOther,
  sameShapes,
  type ShapeAndType,
  tensorsIn,
  withTensors,
} from "./batch.ts";
import { GradientWindow, type WindowPosition } from "./gradients.ts";
import type { Trainer } from "./trainer.ts";

type Body = (batch: Batch) => BatchOutput;

/** Shapes that one step is captured for; each costs the memory of its intermediate values. */
const maxShapes = 4;

/** A body that is captured for the shapes it sees first; further ones run it plainly. */
class CapturedBody {
  readonly #body: Body;
  readonly #onPlain: (reason: string) => void;
  readonly #shapes: (readonly ShapeAndType[])[] = [];
  readonly #run: Captured<Tensor[], BatchOutput>;
  #batch: Batch;
  #isPlain = false;

  constructor(body: Body, onPlain: (reason: string) => void) {
    this.#body = body;
    this.#onPlain = onPlain;
    this.#run = capture((...inputs: Tensor[]) => body(withTensors(this.#batch, inputs)));
  }

  /** For batches of equal shapes, in one launch. */
  run(batches: readonly Batch[]): BatchOutput[] {
    if (this.#isPlain) return batches.map(this.#body);
    const tensors = batches.map((batch) => tensorsIn(batch));
    if (!this.#isCaptured(tensors[0])) {
      this.#onPlain(`a batch of ${describeShapes(tensors[0])} is one shape more than are captured`);
      return batches.map(this.#body);
    }
    this.#batch = batches[0];
    const outputs = this.#run.steps(tensors);
    if (this.#run.reason !== undefined) this.#onPlain(this.#run.reason);
    if (outputs.some((o) => typeof o.weight === "number" && o.weight !== o.batchSize)) {
      this.#isPlain = true;
      this.#onPlain("the loss has a weight that is a number; a 0-d tensor can be captured");
    }
    return outputs;
  }

  dispose(): void {
    this.#run.dispose();
  }

  #isCaptured(tensors: readonly Tensor[]): boolean {
    if (this.#shapes.some((shapes) => sameShapes(tensors, shapes))) return true;
    if (this.#shapes.length === maxShapes) return false;
    this.#shapes.push(tensors.map((t) => ({ shape: [...t.shape], dtype: t.dtype })));
    return true;
  }
}

/** A micro-batch that is about to be made. */
export interface MicroBatch {
  /** On the device. */
  readonly batch: Batch;
  /** 0-based, in its epoch. */
  readonly step: number;
  /** Where it stands in its window. */
  readonly position: WindowPosition;
  /** Whether it only keeps this rank in step with the others, and counts for nothing. */
  readonly isFiller: boolean;
}

/** Which steps to capture. */
export interface Captures {
  readonly train: boolean;
  readonly evaluate: boolean;
  /** Whether the user has asked for it, and so answers for what a replay does not see. */
  readonly isAsked: boolean;
}

/** Runs the steps of one run. */
export class StepRunner {
  readonly #trainer: Trainer;
  readonly #parameters: readonly Parameter[];
  readonly #window: GradientWindow;
  readonly #captured: Map<string, CapturedBody> = new Map();
  readonly #captures: Captures;
  #modelState = "";

  /**
   * @param trainer Its five steps and run configuration are used
   * @param captures Which steps to capture
   */
  constructor(trainer: Trainer, captures: Captures) {
    this.#trainer = trainer;
    this.#captures = captures;
    this.#parameters = trainer.model.parameters();
    this.#window = new GradientWindow(this.#parameters, {
      comm: trainer.comm,
      dataParallel: trainer.dataParallel,
    });
  }

  /** Forgets captured steps when parameters were frozen or modules changed mode since the last epoch. */
  startEpoch(): void {
    const state = this.#parameters.map((p) => +p.requiresGrad).join("") +
      [...this.#trainer.model.modules()].map((m) => +m.training).join("");
    if (state !== this.#modelState) this.#forget();
    this.#modelState = state;
  }

  /** Gives back the memory of captured steps and gradient sums. */
  dispose(): void {
    this.#forget();
    this.#window.dispose();
  }

  #forget(): void {
    for (const captured of this.#captured.values()) captured.dispose();
    this.#captured.clear();
  }

  /**
   * Forward, backward and, after the last micro-batch of a window, clipping and the optimizer's step.
   *
   * @param launch One micro-batch; or several of equal shapes, windows of their own each, which take one launch where steps are captured
   * @returns What each has given
   */
  train(launch: readonly MicroBatch[]): BatchOutput[] {
    const [{ position, isFiller }] = launch, batches = launch.map(({ batch }) => batch);
    const body: Body = (batch) => this.#trainBody(batch, position, isFiller);
    if (isFiller || !this.#captures.train) return batches.map(body);
    return this.#runCaptured(`train ${position.isFirst} ${position.isLast}`, batches, body);
  }

  /** Whether training steps are captured, as far as can be told before the first batch. */
  get capturesTraining(): boolean {
    return this.#captures.train;
  }

  /** Forward without gradients. */
  evaluate(batch: Batch, isFiller: boolean): BatchOutput {
    const body: Body = (b) => this.#evalBody(b, isFiller);
    if (isFiller || !this.#captures.evaluate) return body(batch);
    return this.#runCaptured("evaluate", [batch], body)[0];
  }

  /** One launch of a kind of step, plain when its batches cannot be captured. */
  #runCaptured(key: string, batches: readonly Batch[], body: Body): BatchOutput[] {
    if (!this.#captures.isAsked && batches.some(hasOther)) {
      this.#sayPlain("the batch has more than tensors, which a replay would not see");
      return batches.map(body);
    }
    let captured = this.#captured.get(key);
    if (captured === undefined) {
      captured = new CapturedBody(body, (reason) => this.#sayPlain(reason));
      this.#captured.set(key, captured);
    }
    return captured.run(batches);
  }

  #sayPlain(reason: string): void {
    this.#trainer.logOnce("capture", `Steps run uncaptured: ${reason}`);
  }

  #trainBody(batch: Batch, position: WindowPosition, isFiller: boolean): BatchOutput {
    const t = this.#trainer;
    const output = t.calculateTrainBatchLoss(batch);
    checkOutput(output, "calculateTrainBatchLoss");
    const counted = isFiller ? 0 : output.weight ?? output.batchSize;
    // Near 1, so that half precision has room.
    const size = t.runConfig.trainPerDeviceBatchSize!;
    const weight = typeof counted === "number"
      ? counted / size
      : noGrad(() => counted.detach().to("float32").reshape().div(size));
    if (!isFiller) t.updateLossTracker(output.loss, counted);
    const isScaled = this.#window.isWeighted(position) && weight !== 1;
    t.backwardStep(t.precision.scale(isScaled ? output.loss.mul(weight) : output.loss));
    let gradientNorm: Tensor | undefined;
    const due = this.#window.add(weight, position, () => {
      t.precision.unscale(t.optimizer!);
      gradientNorm = t.clipGradients();
    });
    const result = gradientNorm === undefined ? output : { ...output, gradientNorm };
    // What depends on the parameters' old values is computed before the optimizer changes them, or in one plan with the change, which saves
    // launches. Buckets of ranks and the loss scaler want the gradients first.
    const results = [...tensorsIn(result), ...t.lossTracker.tensors];
    const isOnePlan = position.isLast && t.comm === undefined && t.precision.scaler === undefined;
    if (isOnePlan) { for (const x of [...results, ...due]) dueWithNext(x); }
    else realize(...results, ...due);
    if (position.isLast) {
      t.optimizerStep();
      // Whatever an overridden method has left.
      if (isOnePlan) realize(...results);
      t.optimizerZeroGrad();
      // Gradients of parameters that the optimizer does not have would pile up, and a captured step could not find them again.
      for (const p of this.#parameters) p.grad = undefined;
    }
    return result;
  }

  #evalBody(batch: Batch, isFiller: boolean): BatchOutput {
    const t = this.#trainer;
    return noGrad(() => {
      const output = t.calculateEvalBatchLoss(batch);
      checkOutput(output, "calculateEvalBatchLoss");
      if (!isFiller) t.updateLossTracker(output.loss, output.weight ?? output.batchSize);
      realize(...tensorsIn(output), ...t.lossTracker.tensors);
      return output;
    });
  }
}

function checkOutput(output: BatchOutput, method: string): void {
  const { loss, batchSize, weight } = output;
  if (loss?.numel !== 1) {
    throw new TypeError(
      `Cannot use the loss of ${method}: it must be a tensor of one element, not ${
        loss === undefined ? "undefined" : `[${loss.shape.join(", ")}]`
      }`,
    );
  }
  if (!(Number.isSafeInteger(batchSize) && batchSize > 0)) {
    throw new RangeError(
      `Cannot use the batchSize ${batchSize} of ${method}: it must be a whole number of at least 1`,
    );
  }
  if (weight === undefined) return;
  if (typeof weight === "number" ? !(weight >= 0 && weight < Infinity) : weight.numel !== 1) {
    throw new RangeError(
      `Cannot use the weight ${
        typeof weight === "number" ? weight : `[${weight.shape.join(", ")}]`
      } of ${method}: it must be one number of at least 0`,
    );
  }
}
