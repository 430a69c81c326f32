/** Linear layers and what follows them, as lists of numbers; used by `epilogue_test.ts`. */
import { type DType, manualSeed, nn, type Parameter, randn, type Tensor } from "@pta/core";

const F = nn.functional;

interface Parts {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
}

const parts = (dtype: DType, lead: number[] = [5]): Parts => ({
  x: randn([...lead, 24]).to(dtype).realize(),
  weight: randn([16, 24]).mul(0.3).to(dtype).realize(),
  bias: randn([16]).to(dtype).realize(),
});
const numbers = (...tensors: Tensor[]): number[] =>
  tensors.flatMap((t) => Array.from(t.to("float32").data() as Float32Array));

const cases: Readonly<Record<string, (dtype: DType) => number[]>> = {
  bias: (d) => {
    const { x, weight, bias } = parts(d);
    return numbers(F.linear(x, weight, bias));
  },
  relu: (d) => {
    const { x, weight, bias } = parts(d);
    return numbers(F.linear(x, weight, bias).relu());
  },
  "gelu, more dimensions": (d) => {
    const { x, weight, bias } = parts(d, [2, 3]);
    return numbers(F.gelu(F.linear(x, weight, bias), { approximate: "tanh" }).sum(-1));
  },
  "one after the other": (d) => {
    const { x, weight, bias } = parts(d, [2, 3]);
    const y = F.linear(x, weight, bias).relu();
    return numbers(F.linear(y, weight.t().contiguous(), weight.sum(0)).relu());
  },
  "a value that others read": (d) => {
    const { x, weight, bias } = parts(d), y = F.linear(x, weight, bias);
    return numbers(y.relu().add(y));
  },
  "a product that others read": (d) => {
    const { x, weight, bias } = parts(d), y = x.matmul(weight.t());
    return numbers(y.add(bias).relu().add(y));
  },
  "a row added to itself": (d) => {
    const { x, weight } = parts(d, [1]), y = x.matmul(weight.t()).reshape(16);
    return numbers(y.add(y));
  },
  "gelu by erf": (d) => {
    const { x, weight, bias } = parts(d);
    return numbers(F.gelu(F.linear(x, weight, bias)));
  },
  training: (d) => {
    const { x, weight, bias } = parts(d);
    for (const t of [weight, bias]) t.requiresGrad_();
    const y = F.gelu(F.linear(x, weight, bias), { approximate: "tanh" });
    y.float().square().sum().backward();
    return numbers(y, (weight as Parameter).grad!, (bias as Parameter).grad!);
  },
};

/** Each draws the same numbers on every device. */
export const layerCases: typeof cases = Object.fromEntries(
  Object.entries(cases).map(([name, run]) => [
    name,
    (dtype: DType) => {
      manualSeed(7);
      return run(dtype);
    },
  ]),
);
