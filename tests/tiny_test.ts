/** The path from a tensor to a trained model, in a second: what must hold before anything else is worth a look. */
import { data, gradcheck, manualSeed, nn, optim, tensor, Trainer } from "@pta/accelerated";
import { assert, assertEquals } from "@std/assert";

Deno.test("tiny: a product and its gradient", () => {
  const a = tensor([[1, 2], [3, 4]], { requiresGrad: true }), b = tensor([[5], [6]]);
  const c = a.matmul(b);
  assertEquals(c.toArray(), [[17], [39]]);
  c.sum().backward();
  assertEquals(a.grad!.toArray(), [[5, 6], [5, 6]]);
});

Deno.test("tiny: finite differences agree", () => {
  const x = tensor([0.3, -0.8, 1.7], { dtype: "float64", device: "ref", requiresGrad: true });
  assert(gradcheck((x) => x.tanh().mul(x).exp().sum(), [x]));
});

Deno.test("tiny: exclusive or is learned", async () => {
  manualSeed(1);
  const x = tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), y = tensor(Int32Array.of(0, 1, 1, 0));
  const model = new nn.Sequential(new nn.Linear(2, 16), new nn.Tanh(), new nn.Linear(16, 2));
  const trainer = new Trainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.Adam(model.parameters(), { lr: 0.05 }),
    callbacks: [],
    seed: 1,
  });
  await trainer.train({
    trainDataset: new data.TensorDataset(x, y),
    numEpochs: 60,
    perDeviceBatchSize: 4,
  });
  assertEquals(Array.from(model.forward(x).argmax(1).data(), Number), [0, 1, 1, 0]);
});
