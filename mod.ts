/**
 * Train networks in Deno: tensors with gradients, modules, optimizers, data loading, and a trainer that hides the boilerplate and nothing else. The
 * same script runs alone and, under the launcher, on several ranks.
 *
 * ```ts
 * import { data, manualSeed, nn, optim, randn, Trainer } from "@pta/accelerated";
 *
 * manualSeed(0);
 * const x = randn([256, 4]);
 * const y = x.sum(1, true);
 * const model = new nn.Sequential(new nn.Linear(4, 16), new nn.ReLU(), new nn.Linear(16, 1));
 *
 * const trainer = new Trainer({
 *   model,
 *   lossFunc: new nn.MSELoss(),
 *   optimizer: new optim.AdamW(model.parameters(), { lr: 0.01 }),
 * });
 * await trainer.train({
 *   trainDataset: new data.TensorDataset(x, y),
 *   numEpochs: 3,
 *   perDeviceBatchSize: 32,
 * });
 * console.log(trainer.runHistory.values("train_loss_epoch"));
 * ```
 *
 * @module
 */
// Registers the backends; none is opened before its first use.
import "@pta/core/backend";

export * from "@pta/core";
export * from "@pta/trainer";
