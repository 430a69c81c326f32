/** AdaptiveLogSoftmaxWithLoss: PyTorch's numbers and keys (`golden/adaptive_softmax.py`), bad arguments. */
import { assertEquals, assertThrows } from "@std/assert";
import { nn, tensor, zeros } from "@pta/core";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";
import golden from "./golden/adaptive_softmax.json" with { type: "json" };

interface Packed {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
const unpack = ({ shape, data }: Packed) => tensor([...data], { shape });
const classes = (values: readonly number[]) => tensor(Int32Array.from(values)).to("int64");

golden.forEach((sample) => {
  eachDevice(`adaptive softmax: cutoffs ${sample.cutoffs} as PyTorch has it`, () => {
    const { divValue, headBias } = sample;
    const module = new nn.AdaptiveLogSoftmaxWithLoss(8, 12, sample.cutoffs, { divValue, headBias });
    const state: Record<string, Packed> = sample.state as never,
      wanted: Record<string, Packed> = sample.grads as never;
    assertEquals(Object.keys(module.stateDict()).toSorted(), Object.keys(state).toSorted());
    module.loadStateDict(Object.fromEntries(Object.entries(state).map(([k, v]) => [k, unpack(v)])));
    const x = unpack(sample.x).requiresGrad_();
    const { output, loss } = module.forward(x, classes(sample.target));
    closeNumbers(numbers(output), sample.output.data, {}, "output");
    closeNumbers([loss.item()], [sample.loss], {}, "loss");
    loss.add(output.square().sum()).backward();
    closeNumbers(numbers(x.grad!), [...wanted.x.data], {}, "gradient of x");
    for (const [key, p] of module.namedParameters()) {
      closeNumbers(numbers(p.grad!), [...wanted[key].data], {}, `gradient of ${key}`);
    }
    closeNumbers(numbers(module.logProb(x)), sample.logProb.data, {}, "logProb");
    assertEquals(numbers(module.predict(x)), sample.predict);
    const alone = module.forward(x.select(0, 2), classes(sample.target).select(0, 2));
    assertEquals(alone.output.shape, []);
    closeNumbers([alone.output.item()], [sample.output.data[2]], {}, "one row");
  });
});

eachDevice("adaptive softmax: bad arguments", () => {
  const make = (cutoffs: number[], divValue = 4) => () =>
    new nn.AdaptiveLogSoftmaxWithLoss(8, 12, cutoffs, { divValue });
  for (const cutoffs of [[], [0, 3], [3, 3], [5, 4], [3, 12], [2.5]]) {
    assertThrows(make(cutoffs), RangeError, "they must be whole, ascending, and between 1 and 11");
  }
  assertThrows(make([2, 4]), RangeError, "cluster 1 of 8 features would have none");
  const module = make([3])(), x = zeros([2, 8]);
  assertThrows(() => module.forward(x, classes([1])), TypeError, "they must be [N, 8] and [N]");
  assertThrows(() => module.forward(x, classes([1, 12])).loss.item(), RangeError);
  assertThrows(() => module.forward(x, classes([1, -1])).loss.item(), RangeError);
});
