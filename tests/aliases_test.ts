/** Second names of methods: the same values and gradients as the first name. */
import { assertEquals } from "@std/assert";
import { grad, linalg, type Tensor, tensor } from "@pta/core";
import { eachDevice } from "./devices.ts";

type Call = (x: Tensor) => Tensor;

const matrix = [[2, 1, 0.5], [-1, 3, 0.25], [0.5, -0.75, 4]];
const vector = [1, -2, 3];

const aliases: Readonly<Record<string, readonly [alias: Call, first: Call, input?: number[]]>> = {
  inverse: [(x) => x.inverse(), (x) => linalg.inv(x)],
  ger: [(x) => x.ger(x.add(1)), (x) => x.outer(x.add(1)), vector],
  moveaxis: [(x) => x.unsqueeze(0).moveaxis(0, 2), (x) => x.unsqueeze(0).movedim(0, 2)],
  swapaxes: [(x) => x.swapaxes(0, 1), (x) => x.transpose(0, 1)],
  swapdims: [(x) => x.swapdims(-1, 0), (x) => x.transpose(-1, 0)],
};

for (const [name, [alias, first, input]] of Object.entries(aliases)) {
  eachDevice(`${name} is a second name`, (device) => {
    const run = (call: Call) => {
      const x = tensor(input ?? matrix, { device, requiresGrad: true }), y = call(x);
      return { shape: y.shape, y: y.toArray(), dx: grad(y.square().sum(), [x])[0].toArray() };
    };
    assertEquals(run(alias), run(first));
  });
}
