/** The same training without the trainer: a plain loop over tensors, with a scope that frees what each step made. */
import { data, manualSeed, nn, noGrad, optim, stepScope, type Tensor } from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

const flags = parseFlags({ epochs: 10, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train, test } = await loadDigits();

manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 64), new nn.ReLU(), new nn.Linear(64, 10));
const lossFunc = new nn.CrossEntropyLoss();
const optimizer = new optim.SGD(model.parameters(), { lr: flags.learningRate, momentum: 0.9 });
const { batchSize, seed } = flags;
const trainLoader = new data.DataLoader(train, { batchSize, shuffle: true, seed });
const testLoader = new data.DataLoader(test, { batchSize });

for (let epoch = 0; epoch < flags.epochs; epoch++) {
  trainLoader.setEpoch(epoch);
  for await (const batch of trainLoader) {
    using _scope = stepScope();
    const [input, target] = batch as [Tensor, Tensor];
    optimizer.zeroGrad();
    lossFunc.forward(model.forward(input), target).backward();
    optimizer.step();
  }

  let correct = 0;
  model.eval();
  for await (const batch of testLoader) {
    using _scope = stepScope();
    const [input, target] = batch as [Tensor, Tensor];
    correct += noGrad(() => model.forward(input).argmax(1).eq(target).sum()).item();
  }
  model.train();
  console.log(`epoch ${epoch + 1}: test_accuracy=${(correct / test.length).toFixed(4)}`);
}
