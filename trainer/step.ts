/** One training or evaluation step, captured when its shapes allow. */
import { capture, noGrad, type Parameter, realize, type Tensor } from "@pta/core";
import {
  type Batch,
  type BatchOutput,
  describeShapes,
  sameShapes,
  type ShapeAndType,
  tensorsIn,
  withTensors,
} from "./batch.ts";
import { GradientWindow, type WindowPosition } from "./gradients.ts";
import type { Trainer } from "./trainer.ts";

type Body = (batch: Batch) => BatchOutput;

/** What a captured step was recorded from. */
interface Recorded {
  readonly shapes: readonly ShapeAndType[];
  readonly run: (...tensors: Tensor[]) => Tensor[];
}

/** A body that is captured for the shapes it sees first; other shapes run it plainly. */
class CapturedBody {
  readonly #body: Body;
  readonly #onPlain: (reason: string) => void;
  #recorded: Recorded | undefined;
  #output: BatchOutput | undefined;

  constructor(body: Body, onPlain: (reason: string) => void) {
    this.#body = body;
    this.#onPlain = onPlain;
  }

  run(batch: Batch): BatchOutput {
    const tensors = tensorsIn(batch);
    this.#recorded ??= this.#record(batch, tensors);
    const { shapes, run } = this.#recorded;
    if (!sameShapes(tensors, shapes)) {
      this.#onPlain(
        `a batch of ${describeShapes(tensors)} runs uncaptured, the captured step takes ${
          describeShapes(shapes)
        }`,
      );
      return this.#body(batch);
    }
    const results = run(...tensors);
    return withTensors(this.#output!, results);
  }

  #record(batch: Batch, tensors: readonly Tensor[]): Recorded {
    const run = capture((...inputs: Tensor[]): Tensor[] => {
      this.#output = this.#body(withTensors(batch, inputs));
      return tensorsIn(this.#output);
    });
    return { shapes: tensors.map((t) => ({ shape: [...t.shape], dtype: t.dtype })), run };
  }
}

/** Runs the steps of one run. */
export class StepRunner {
  readonly #trainer: Trainer;
  readonly #parameters: readonly Parameter[];
  readonly #window: GradientWindow;
  readonly #captured: Map<string, CapturedBody> = new Map();
  readonly #captures: { readonly train: boolean; readonly evaluate: boolean };
  #modelState = "";

  /**
   * @param trainer Its five steps and run configuration are used
   * @param captures Which steps to capture
   */
  constructor(trainer: Trainer, captures: { readonly train: boolean; readonly evaluate: boolean }) {
    const { gradientClipValue: clipValue, gradientClipNorm: clipNorm } = trainer.runConfig;
    this.#trainer = trainer;
    this.#captures = captures;
    this.#parameters = trainer.model.parameters();
    this.#window = new GradientWindow(this.#parameters, {
      comm: trainer.comm,
      clipValue,
      clipNorm,
    });
  }

  /** Forgets captured steps when parameters were frozen or modules changed mode since the last epoch. */
  startEpoch(): void {
    const state = this.#parameters.map((p) => +p.requiresGrad).join("") +
      [...this.#trainer.model.modules()].map((m) => +m.training).join("");
    if (state !== this.#modelState) this.#captured.clear();
    this.#modelState = state;
  }

  /**
   * Forward, backward and, after the last micro-batch of a window, clipping and the optimizer's step.
   *
   * @param batch As the loader made it
   * @param position Where it stands in its window
   * @param isFiller Whether it only keeps this rank in step with the others, and counts for nothing
   */
  train(batch: Batch, position: WindowPosition, isFiller: boolean): BatchOutput {
    if (isFiller) return this.#trainBody(batch, position, true);
    return this.#run(
      `train ${position.isFirst} ${position.isLast}`,
      this.#captures.train,
      batch,
      (b) => this.#trainBody(b, position, false),
    );
  }

  /** Forward without gradients. */
  evaluate(batch: Batch): BatchOutput {
    return this.#run("evaluate", this.#captures.evaluate, batch, (b) => this.#evalBody(b));
  }

  #run(key: string, captures: boolean, batch: Batch, body: Body): BatchOutput {
    if (!captures) return body(batch);
    let captured = this.#captured.get(key);
    if (captured === undefined) {
      captured = new CapturedBody(body, (reason) => this.#trainer.logOnce("capture", reason));
      this.#captured.set(key, captured);
    }
    return captured.run(batch);
  }

  #trainBody(batch: Batch, position: WindowPosition, isFiller: boolean): BatchOutput {
    const t = this.#trainer;
    const output = t.calculateTrainBatchLoss(batch);
    checkOutput(output, "calculateTrainBatchLoss");
    const batchSize = isFiller ? 0 : output.batchSize;
    const weight = batchSize / t.runConfig.trainPerDeviceBatchSize!;
    t.lossTracker.update(output.loss, batchSize);
    const isScaled = this.#window.isWeighted(position) && weight !== 1;
    t.backwardStep(isScaled ? output.loss.mul(weight) : output.loss);
    // Before the optimizer changes the parameters, everything that depends on their old values must have been computed.
    realize(
      ...tensorsIn(output),
      ...t.lossTracker.tensors,
      ...this.#window.add(weight, position),
    );
    if (position.isLast) {
      t.optimizerStep();
      t.optimizerZeroGrad();
    }
    return output;
  }

  #evalBody(batch: Batch): BatchOutput {
    const t = this.#trainer;
    return noGrad(() => {
      const output = t.calculateEvalBatchLoss(batch);
      checkOutput(output, "calculateEvalBatchLoss");
      t.lossTracker.update(output.loss, output.batchSize);
      realize(...tensorsIn(output), ...t.lossTracker.tensors);
      return output;
    });
  }
}

function checkOutput(output: BatchOutput, method: string): void {
  const { loss, batchSize } = output;
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
}
