/** Mistakes that must not compile: each `@ts-expect-error` is an error of its own when the line below it is right. */
import { assertEquals, assertThrows } from "@std/assert";
import { nn, ones, type Tensor } from "@pta/core";
import "@pta/core/backend";
import { type Callback, callback, CallbackRunner, createRunConfig } from "@pta/trainer";

Deno.test("a misspelt hook does not compile, and is refused at run time", () => {
  const misspelt = callback({
    name: "misspelt",
    // @ts-expect-error no event calls it
    onTrainStpEnd: () => {},
  });
  assertThrows(
    () => new CallbackRunner([misspelt]),
    TypeError,
    'no event calls its hook "onTrainStpEnd"',
  );
  const literal: Callback = {
    name: "literal",
    // @ts-expect-error no event calls it
    onTrainStpEnd: () => {},
  };
  assertThrows(() => new CallbackRunner([literal]), TypeError, "onTrainStpEnd");
});

Deno.test("a hook sees what its event carries, and nothing else", () => {
  callback({ name: "right", onTrainStepEnd: (_, { step }) => void step.toFixed() });
  callback({
    name: "wrong",
    // @ts-expect-error evaluation epochs carry no step
    onEvalEpochEnd: (_, { step }) => void step,
  });
  // @ts-expect-error a callback needs a name
  callback({ onTrainStepEnd: () => {} });
  // @ts-expect-error the constructor cannot wait
  callback({ name: "late", onInitEnd: async () => {} });
});

Deno.test("the run configuration is frozen", () => {
  const config = createRunConfig({ numEpochs: 1, trainPerDeviceBatchSize: 2 });
  assertThrows(() => {
    // @ts-expect-error read-only
    config.numEpochs = 3;
  }, TypeError);
});

Deno.test("max pooling gives a tensor, and places only where they are asked for", () => {
  const x = ones([1, 1, 4, 4]);
  const plain: Tensor = new nn.MaxPool2d(2, { stride: 2 }).forward(x);
  const [values, places]: [Tensor, Tensor] = new nn.MaxPool2d(2, { returnIndices: true }).forward(
    x,
  );
  const adaptive: Tensor = new nn.AdaptiveMaxPool2d(2).forward(x);
  const random: Tensor = new nn.FractionalMaxPool2d(2, { outputSize: 2 }).forward(x);
  const shapes = [plain, values, places, adaptive, random].map((t) => t.shape);
  assertEquals(shapes, Array(5).fill([1, 1, 2, 2]));
  // @ts-expect-error the places were not asked for
  void (() => new nn.MaxPool2d(2).forward(x)[1]);
});
