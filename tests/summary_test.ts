/** Summaries of models: shapes, counts, operations, memory, and that nothing is computed or changed. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { counters, defaultGenerator, nn, ones, randn, type Tensor } from "@pta/accelerated";

const cnn = () =>
  new nn.Sequential(
    new nn.Conv2d(1, 4, 3, { padding: 1 }),
    new nn.BatchNorm2d(4),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Dropout(0.5),
    new nn.Flatten(),
    new nn.Linear(64, 10),
  );

Deno.test("rows and totals of a small network", () => {
  const model = cnn();
  (model.at(0) as nn.Conv2d).bias!.requiresGrad = false;
  const s = nn.summary(model, [2, 1, 8, 8]);
  assertEquals(s.rows.map((r) => [r.path, r.className, r.outputShapes[0].join()]), [
    ["", "Sequential", "2,10"],
    ["0", "Conv2d", "2,4,8,8"],
    ["1", "BatchNorm2d", "2,4,8,8"],
    ["2", "ReLU", "2,4,8,8"],
    ["3", "MaxPool2d", "2,4,4,4"],
    ["4", "Dropout", "2,4,4,4"],
    ["5", "Flatten", "2,64"],
    ["6", "Linear", "2,10"],
  ]);
  assertEquals(s.rows.map((r) => r.parameters), [698, 40, 8, 0, 0, 0, 0, 650]);
  assertEquals(s.rows[1].trainable, 36);
  const own = [512 * (2 * 9 + 1), 512 * 7, 512, 128 * 4, 0, 0, 20 * (2 * 64 + 1)];
  assertEquals(s.rows.slice(1).map((r) => r.flops), own);
  assertEquals(s.flops, own.reduce((a, b) => a + b));
  assertEquals(s.rows[0].flops, s.flops);
  assertEquals([s.parameters, s.trainable], [698, 694]);
  // Statistics are two rows of four floats and an int64 counter.
  assertEquals([s.weightBytes, s.gradientBytes], [698 * 4 + 2 * 4 * 4 + 8, 694 * 4]);
  // A dropout at rest gives its input; everything else is counted.
  assertEquals(s.activationBytes, 4 * (3 * 512 + 128 + 128 + 20));
  assertEquals(s.uncounted, []);
});

Deno.test("nothing is computed and nothing changes", () => {
  const model = cnn(), norm = model.at(1) as nn.BatchNorm2d;
  norm.eval();
  const before = { ...counters }, draws = defaultGenerator.state();
  nn.summary(model, [2, 1, 8, 8]);
  assertEquals({ ...counters }, before);
  assertEquals(defaultGenerator.state(), draws);
  assertEquals([model.training, norm.training], [true, false]);
  assertEquals(norm.num_batches_tracked!.item(), 0);
  assertEquals(norm.running_mean!.toArray(), [0, 0, 0, 0]);
  // No hook stays behind, also after an error.
  assertThrows(() => nn.summary(model, [2, 3, 8, 8]), TypeError, "In 0 (Conv2d): Cannot ");
  assert(model.training);
  const again = nn.summary(model, [2, 1, 8, 8]);
  assertEquals(again.rows.map((r) => r.calls), Array(8).fill(1));
});

/** What `torch.utils.flop_counter` of PyTorch 2.13 says of the same layers; it counts products alone, so there is no bias. */
const products: Record<string, readonly [nn.Module, readonly number[][], number]> = {
  "Linear": [new nn.Linear(7, 5, { bias: false }), [[3, 2, 7]], 420],
  "Conv2d": [
    new nn.Conv2d(4, 6, [3, 2], {
      stride: 2,
      padding: 1,
      groups: 2,
      dilation: [1, 2],
      bias: false,
    }),
    [[2, 4, 9, 8]],
    5760,
  ],
  "ConvTranspose2d": [
    new nn.ConvTranspose2d(4, 6, 3, { stride: 2, groups: 2, bias: false }),
    [[2, 4, 5, 4]],
    8640,
  ],
  "GRU": [new nn.GRU(3, 4, { bias: false }), [[5, 2, 3]], 1680],
  "RNN": [new nn.RNN(3, 4, { bias: false }), [[5, 2, 3]], 560],
  "LSTM with a projection": [new nn.LSTM(3, 4, { projSize: 2, bias: false }), [[5, 2, 3]], 1760],
  // 30 pairs of two heads, five operations of softmax each, come on top.
  "MultiheadAttention": [
    new nn.MultiheadAttention(8, 2, { bias: false, kdim: 6, vdim: 4 }),
    [[3, 2, 8], [5, 2, 6], [5, 2, 4]],
    4096 + 5 * 2 * 2 * 3 * 5,
  ],
};
for (const [name, [layer, shapes, flops]] of Object.entries(products)) {
  Deno.test(`operations of ${name}`, () => assertEquals(nn.summary(layer, shapes).flops, flops));
}

class Twice extends nn.Module {
  body = new nn.Sequential(new nn.Linear(4, 4), new nn.Tanh());
  unused = new nn.Linear(4, 1);
  scale = new Scale();
  override forward(x: Tensor, times: number): Tensor {
    for (let i = 0; i < times; i++) x = this.body.forward(x);
    return this.scale.forward(x);
  }
}
class Scale extends nn.Module {
  override forward(x: Tensor): Tensor {
    return x.mul(2);
  }
}

Deno.test("shared, unused and unknown modules; inputs that are no shapes", () => {
  const s = nn.summary(new Twice(), [randn([3, 4]), 2]);
  const rows = Object.fromEntries(s.rows.map((r) => [r.path, r]));
  assertEquals([rows["body.0"].calls, rows["unused"].calls], [2, 0]);
  assertEquals(rows["body"].flops, 2 * (12 * 9 + 12));
  assertEquals(rows["unused"].outputShapes, []);
  assertEquals(s.uncounted, ["Scale"]);
  assertEquals(nn.summary(new Twice(), [[3, 4], 2], { depth: 0 }).rows.map((r) => r.path), [""]);
});

Deno.test("a class derived from a layer counts as the layer; results may be several", () => {
  class Wide extends nn.Linear {}
  assertEquals(nn.summary(new Wide(3, 2, { bias: false }), ones([4, 3])).flops, 48);
  const s = nn.summary(new nn.LSTM(3, 4, { bidirectional: true }), [5, 2, 3]);
  assertEquals(s.rows[0].outputShapes, [[5, 2, 8], [2, 2, 4], [2, 2, 4]]);
  const ids = nn.summary(new nn.Embedding(10, 4), [2, 3], { dtype: "int64" });
  assertEquals(ids.rows[0].outputShapes, [[2, 3, 4]]);
  assertEquals(nn.summary(new nn.Linear(3, 2).to("float16"), [4, 3]).rows[0].outputBytes, 16);
});

Deno.test("the table", () => {
  const model = new nn.Sequential(new nn.Linear(1000, 2000), new nn.ReLU());
  model.at(0).requiresGrad_(false);
  assertEquals(
    `${nn.summary(model, [8, 1000])}`,
    `
Module        Output              Parameters   FLOPs  Output memory
-------------------------------------------------------------------
Sequential    [8, 2000]  2,002,000 (0 train)  32.0 M        62.5 KB
  0 (Linear)  [8, 2000]  2,002,000 (0 train)  32.0 M        62.5 KB
  1 (ReLU)    [8, 2000]                    0  16.0 K        62.5 KB
-------------------------------------------------------------------
Parameters: 2,002,000, of which 0 train
FLOPs of a forward pass: 32.0 M
Memory: weights 7.64 MB, gradients 0 B, activations 125 KB, together 7.76 MB`.slice(1),
  );
});

Deno.test("inputs that cannot be", () => {
  const model = new nn.Linear(3, 2);
  assertThrows(() => nn.summary(model, [-1, 3]), RangeError, "shape [-1, 3]");
  assertThrows(() => nn.summary(model, [2, 3], { depth: -1 }), RangeError, "depth -1");
  assertThrows(() => nn.summary(model, "2x3" as never), TypeError, "2x3");
});
