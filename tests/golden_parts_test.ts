/** Layers, losses and optimizers give what PyTorch gives, in every case of `tests/golden/layers.json` and `optimizers.json`. */
import { grad, nn, optim, Parameter, type Tensor, tensor } from "@pta/core";
import { assert, assertEquals } from "@std/assert";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";
import layersFile from "./golden/layers.json" with { type: "json" };
import optimizersFile from "./golden/optimizers.json" with { type: "json" };

const { functional: F } = nn;

interface LayerCase {
  op: string;
  options: Record<string, unknown>;
  inputs: Record<string, { shape: number[]; dtype: string; data: number[] }>;
  output: { shape: number[]; data: number[] };
  gradOutput: number[];
  gradients: Record<string, number[]>;
}

// deno-lint-ignore no-explicit-any -- the options come from a file; each function checks its own
type Apply = (inputs: Record<string, Tensor>, options: any) => Tensor;

const functions: Record<string, Apply> = {
  linear: ({ input, weight, bias }) => F.linear(input, weight, bias),
  gelu: ({ input }, options) => F.gelu(input, options),
  tanh: ({ input }) => input.tanh(),
  relu: ({ input }) => input.relu(),
  softmax: ({ input }, { dim }) => input.softmax(dim),
  logSoftmax: ({ input }, { dim }) => input.logSoftmax(dim),
  layerNorm: ({ input, weight, bias }, { normalizedShape, eps }) =>
    F.layerNorm(input, normalizedShape, { weight, bias, eps }),
  embedding: ({ input, weight }, options) => F.embedding(input, weight, options),
  crossEntropy: ({ input, target, weight }, options) =>
    F.crossEntropy(input, target, { ...options, weight }),
  nllLoss: ({ input, target }, options) => F.nllLoss(input, target, options),
  mseLoss: ({ input, target }, options) => F.mseLoss(input, target, options),
  scaledDotProductAttention: ({ query, key, value }, options) =>
    F.scaledDotProductAttention(query, key, value, options),
};

const layerCases = layersFile.cases as unknown as LayerCase[];

for (const op of new Set(layerCases.map((c) => c.op))) {
  eachDevice(`golden: ${op} as in PyTorch`, () => {
    for (const c of layerCases.filter((c) => c.op === op)) {
      const what = `${op} ${JSON.stringify(c.options)} ${Object.keys(c.inputs)}`;
      const inputs = Object.fromEntries(
        Object.entries(c.inputs).map(([name, { shape, dtype, data }]) => [
          name,
          dtype === "int64"
            ? tensor(BigInt64Array.from(data, BigInt), { shape })
            : tensor(Float32Array.from(data), { shape, requiresGrad: name in c.gradients }),
        ]),
      );
      const output = functions[op](inputs, c.options);
      assertEquals(output.shape, c.output.shape, what);
      const gradOutputs = [tensor(Float32Array.from(c.gradOutput), { shape: c.output.shape })];
      const names = Object.keys(c.gradients);
      const gradients = grad([output], names.map((name) => inputs[name]), { gradOutputs });
      closeNumbers(numbers(output), c.output.data, { rtol: 1e-5, atol: 2e-6 }, what);
      names.forEach((name, i) =>
        closeNumbers(
          numbers(gradients[i]),
          c.gradients[name],
          { rtol: 1e-5, atol: 5e-6 },
          `${what}, gradient of ${name}`,
        )
      );
    }
  });
}

interface OptimizerCase {
  optimizer: "SGD" | "Adam" | "AdamW";
  options: Record<string, unknown>;
  after: number[][][];
}

for (const c of optimizersFile.cases as unknown as OptimizerCase[]) {
  eachDevice(`golden: ${c.optimizer} ${JSON.stringify(c.options)} as in PyTorch`, () => {
    const { shapes, start, gradients } = optimizersFile;
    const params = start.map((values, i) =>
      new Parameter(tensor(Float32Array.from(values), { shape: shapes[i] }))
    );
    const optimizer = new optim[c.optimizer](params, c.options);
    assert(c.after.length === gradients.length && gradients.length === 20);
    gradients.forEach((step, t) => {
      step.forEach((values, i) => {
        params[i].grad = tensor(Float32Array.from(values), { shape: shapes[i] });
      });
      optimizer.step();
      params.forEach((p, i) =>
        closeNumbers(
          numbers(p),
          c.after[t][i],
          { rtol: 1e-5, atol: 2e-6 },
          `parameter ${i} after step ${t + 1}`,
        )
      );
    });
  });
}
