/** What the trainer does with a batch when nobody overrides it: how the model is called and where the loss comes from. */
import { type nn, Tensor } from "@pta/core";
import { type Batch, type BatchOutput, batchSizeOf, isPlain } from "./batch.ts";
import type { LossFunc } from "./options.ts";

/**
 * Runs model and loss.
 *
 * With a loss: a batch `[input, target]` is `lossFunc(model(input), target)`; any other is `lossFunc(model(batch), batch)`. The loss is a tensor, or an
 * object `{ loss, weight }` with more keys if it likes. Without a loss the model makes its own: it is called with the members of an array, or with
 * the batch, and returns the loss or an object that has it.
 *
 * @throws {TypeError} When the batch is an array of one, or no loss comes out
 */
export function batchLoss(
  model: nn.Module,
  lossFunc: LossFunc | undefined,
  batch: Batch,
): BatchOutput {
  return lossFunc === undefined ? ownLoss(model, batch) : givenLoss(model, lossFunc, batch);
}

function givenLoss(model: nn.Module, lossFunc: LossFunc, batch: Batch): BatchOutput {
  if (Array.isArray(batch) && batch.length < 2) {
    throw new TypeError(
      "Cannot take input and target from the batch: it must be an array [input, target], or override calculateTrainBatchLoss and calculateEvalBatchLoss",
    );
  }
  const [input, target] = Array.isArray(batch) ? batch : [batch, batch];
  const modelOutputs = model.forward(input);
  const made = typeof lossFunc === "function"
    ? lossFunc(modelOutputs, target)
    : lossFunc.forward(modelOutputs, target);
  const parts = made instanceof Tensor ? { loss: made } : made;
  return { ...parts, modelOutputs, batchSize: batchSizeOf(target) };
}

function ownLoss(model: nn.Module, batch: Batch): BatchOutput {
  const modelOutputs: unknown = Array.isArray(batch)
    ? model.forward(...batch)
    : model.forward(batch);
  const batchSize = batchSizeOf(batch);
  if (modelOutputs instanceof Tensor && modelOutputs.numel === 1) {
    return { loss: modelOutputs, modelOutputs, batchSize };
  }
  const { loss, weight } = (modelOutputs ?? {}) as { loss?: unknown; weight?: number | Tensor };
  if (loss instanceof Tensor) {
    return { loss, modelOutputs, batchSize, ...(weight === undefined ? {} : { weight }) };
  }
  throw new ReferenceError(
    `Cannot calculate a loss: the model returned ${
      describeOutput(modelOutputs)
    } and no loss; give the Trainer a lossFunc or override calculateTrainBatchLoss and calculateEvalBatchLoss`,
  );
}

function describeOutput(output: unknown): string {
  if (output instanceof Tensor) return `a tensor [${output.shape.join(", ")}]`;
  return isPlain(output) ? `{${Object.keys(output).join(", ")}}` : `${typeof output}`;
}
