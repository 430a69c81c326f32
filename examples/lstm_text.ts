/**
 * A character-level LSTM on the same text as `char_gpt.ts`, smaller and quicker:
 *
 *     deno run -A examples/lstm_text.ts
 *
 * The validation loss is in nats a character; 4.56 would be guessing. On two cores of an AMD EPYC it took 43 seconds with OpenBLAS and 46
 * without (up to 107 beside other work) and ended at 1.46 to 1.51, by seed. The first step, which plans 48 unrolled cells, took about one.
 */
import {
  capture,
  manualSeed,
  nn,
  noGrad,
  optim,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/accelerated";
import { loadText, sample, vocabulary, windows } from "./char_text.ts";
import { parseFlags } from "./flags.ts";

const length = 48, width = 192;
const flags = parseFlags({
  steps: 800,
  batchSize: 32,
  learningRate: 0.004,
  seed: 0,
  characters: 300,
});

class Writer extends nn.Module {
  embedding = new nn.Embedding(vocabulary, 64);
  lstm = new nn.LSTM(64, width, { batchFirst: true });
  head = new nn.Linear(width, vocabulary);

  /** Logits `[N, L, vocabulary]` of characters `[N, L]`. */
  override forward(x: Tensor): Tensor {
    const [outputs] = this.lstm.forward(this.embedding.forward(x));
    return this.head.forward(outputs);
  }
}

manualSeed(flags.seed);
const text = await loadText();
const [train, validation] = [text.train, text.validation].map((t) => tensor(t).realize());
const model = new Writer();
const optimizer = new optim.Adam(model.parameters(), { lr: flags.learningRate });
const scheduler = new optim.CosineAnnealingLR(optimizer, flags.steps, { etaMin: 1e-4 });
const loss = (source: Tensor): Tensor => {
  const [x, y] = windows(source, flags.batchSize, length);
  return nn.functional.crossEntropy(model.forward(x).reshape(-1, vocabulary), y);
};
const step = capture(() => {
  optimizer.zeroGrad();
  const l = loss(train);
  l.backward();
  optim.clipGradNorm_(model.parameters(), 1);
  optimizer.step();
  return l;
});
const evaluate = capture(() => noGrad(() => loss(validation)));

let last = NaN;
for (let i = 1; i <= flags.steps; i++) {
  using _scope = stepScope();
  const l = step();
  scheduler.step();
  if (i % 100 !== 0 && i !== flags.steps) continue;
  const rounds = i === flags.steps ? 40 : 8;
  last = Array.from({ length: rounds }, () => evaluate().item()).reduce((a, b) => a + b) / rounds;
  console.log(`step ${i}: train ${l.item().toFixed(3)}, validation ${last.toFixed(3)} nats`);
}
{
  using _scope = stepScope();
  const next = (window: Tensor) =>
    noGrad(() => model.forward(window).select(1, length - 1).squeeze(0));
  console.log(`---\n${sample("/** Adds", flags.characters, length, next)}\n---`);
}
console.log(`val_loss=${last.toFixed(4)}`);
