/**
 * A character-level GPT learns to write TypeScript from the sources of this project, then writes some:
 *
 *     deno run -A examples/char_gpt.ts
 *     PTA_MIXED_PRECISION=bf16 deno run -A examples/char_gpt.ts
 *
 * About 0.6 million parameters. The validation loss is in nats a character; 4.56 would be guessing. On two cores of an AMD EPYC it took
 * 85 seconds with OpenBLAS and 109 without (up to 155 beside other work) and ended at 1.62 to 1.69, by seed; the text grows with the project.
 */
import {
  arange,
  capture,
  manualSeed,
  nn,
  noGrad,
  optim,
  stepScope,
  type Tensor,
  tensor,
  TrainerPrecision,
} from "@pta/accelerated";
import { loadText, sample, vocabulary, windows } from "./char_text.ts";
import { parseFlags } from "./flags.ts";

const length = 96, width = 128, layers = 3;
const flags = parseFlags({
  steps: 900,
  batchSize: 16,
  learningRate: 0.002,
  seed: 0,
  characters: 400,
});

class GPT extends nn.Module {
  tokens = new nn.Embedding(vocabulary, width);
  places = new nn.Embedding(length, width);
  blocks = new nn.TransformerEncoder(
    new nn.TransformerEncoderLayer(width, 4, {
      dimFeedforward: 4 * width,
      dropout: 0,
      activation: "gelu",
      batchFirst: true,
      normFirst: true,
    }),
    layers,
    { norm: new nn.LayerNorm(width) },
  );
  head = new nn.Linear(width, vocabulary, { bias: false });
  mask = this.registerBuffer("mask", nn.Transformer.generateSquareSubsequentMask(length), {
    persistent: false,
  });
  positions = this.registerBuffer("positions", arange(length, undefined, 1, { dtype: "int32" }), {
    persistent: false,
  });

  /** Logits `[N, L, vocabulary]` of characters `[N, L]`. */
  override forward(x: Tensor): Tensor {
    const embedded = this.tokens.forward(x).add(this.places.forward(this.positions));
    return this.head.forward(this.blocks.forward(embedded, { srcMask: this.mask }));
  }
}

manualSeed(flags.seed);
const text = await loadText();
const [train, validation] = [text.train, text.validation].map((t) => tensor(t).realize());
const model = new GPT();
const optimizer = new optim.AdamW(model.parameters(), {
  lr: flags.learningRate,
  betas: [0.9, 0.95],
  weightDecay: 0.05,
});
const precision = new TrainerPrecision();
using _autocast = precision.attach(model, train.device);
const warmup = 50;
const scheduler = new optim.LambdaLR(
  optimizer,
  (step) =>
    Math.min(1, (step + 1) / warmup) * (0.55 + 0.45 * Math.cos(Math.PI * step / flags.steps)),
);
const loss = (source: Tensor): Tensor => {
  const [x, y] = windows(source, flags.batchSize, length);
  return nn.functional.crossEntropy(model.forward(x).reshape(-1, vocabulary), y);
};
const step = capture(() => {
  optimizer.zeroGrad();
  const l = loss(train);
  precision.scale(l).backward();
  precision.unscale(optimizer);
  optim.clipGradNorm_(model.parameters(), 1);
  precision.step(optimizer);
  return l;
});
const evaluate = capture(() => noGrad(() => loss(validation)));

let last = NaN;
console.log(
  `${train.numel} characters to learn from, ${
    model.parameters().reduce((n, p) => n + p.numel, 0)
  } parameters`,
);
for (let i = 1; i <= flags.steps; i++) {
  using _scope = stepScope();
  const l = step();
  precision.stepped();
  if (!precision.wasStepSkipped()) scheduler.step();
  if (i % 100 !== 0 && i !== flags.steps) continue;
  const rounds = i === flags.steps ? 40 : 8;
  last = Array.from({ length: rounds }, () => evaluate().item()).reduce((a, b) => a + b) / rounds;
  console.log(`step ${i}: train ${l.item().toFixed(3)}, validation ${last.toFixed(3)} nats`);
}

const next = (window: Tensor) =>
  noGrad(() => model.forward(window).select(1, length - 1).squeeze(0));
{
  using _scope = stepScope();
  console.log(`---\n${sample("/** Adds", flags.characters, length, next)}\n---`);
}
console.log(`val_loss=${last.toFixed(4)}`);
