/** Autocast against PyTorch: the type of every operator of its autocast tests, and the losses of three networks in bfloat16. */
import "@pta/core/backend";
import { assert, assertEquals } from "@std/assert";
import {
  autocast,
  capture,
  cat,
  cdist,
  type DType,
  einsum,
  linalg,
  nn,
  optim,
  type Parameter,
  rand,
  realize,
  setDefaultDevice,
  stack,
  stepScope,
  Tensor,
  tensor,
  tensordot,
} from "@pta/core";
import { cnn, GPT, mlp } from "../bench/models.ts";
import { runModules } from "./golden/module_suite.ts";
import {
  type Described,
  fillWeights,
  integers,
  precisionFixture,
  reals,
} from "./precision_support.ts";
import { isSoak } from "./soak.ts";

const fixture = await precisionFixture();
const { functional: F } = nn;

type Arg = Tensor | number | string | boolean | readonly Arg[];
// Arguments are as loosely typed as the fixture; a wrong one throws and the test fails.
// deno-lint-ignore no-explicit-any
type Call = (...args: any[]) => unknown;

const method = (name: keyof Tensor): Call => (x: Tensor, ...rest: Arg[]) =>
  (x[name] as unknown as Call).apply(x, rest);
const bias = (f: Call): Call => (x: Tensor, w: Tensor, b?: Tensor) => f(x, w, { bias: b });
/** Losses take no positional reduction here. */
const pair = (f: Call): Call => (a: Tensor, b: Tensor) => f(a, b);

/** PyTorch's names, and how the same is said here. */
const calls: Readonly<Record<string, Call>> = {
  ...Object.fromEntries(
    ["eq", "ge", "gt", "le", "lt", "ne", "add", "div", "mul", "equal", "pow", "matmul"].flatMap((
      name,
    ) => [
      [name, method(name as keyof Tensor)],
      [`__${name}__`, method(name as keyof Tensor)],
    ]),
  ),
  ...Object.fromEntries(
    ([
      "addmm",
      "addmv",
      "addr",
      "mm",
      "mv",
      "addbmm",
      "baddbmm",
      "bmm",
      "acos",
      "asin",
      "cosh",
      "erfinv",
      "exp",
      "expm1",
      "log",
      "log10",
      "log2",
      "log1p",
      "reciprocal",
      "rsqrt",
      "sinh",
      "tan",
      "cumprod",
      "cumsum",
      "dist",
      "prod",
      "renorm",
      "sum",
      "logsumexp",
      "softplus",
      "softmax",
      "addcdiv",
      "addcmul",
      "atan2",
      "cross",
      "dot",
      "vdot",
    ] as const).map((name) => [name, method(name)]),
  ),
  cat: (list: Tensor[]) => cat(list),
  stack: (list: Tensor[]) => stack(list),
  conv1d: bias(F.conv1d),
  conv2d: bias(F.conv2d),
  conv3d: bias(F.conv3d),
  conv_transpose1d: bias(F.convTranspose1d),
  conv_transpose2d: bias(F.convTranspose2d),
  conv_transpose3d: bias(F.convTranspose3d),
  convolution: bias(F.conv2d),
  prelu: F.prelu,
  linear: (x: Tensor, w: Tensor, b?: Tensor) => F.linear(x, w, b?.ndim === 1 ? b : undefined),
  // The equation of the list does not fit its operands; PyTorch only looks at the types.
  einsum: (_: string, list: Tensor[]) => einsum("ij,jk->ik", ...list),
  chain_matmul: (...list: Tensor[]) => linalg.multiDot(list),
  linalg_multi_dot: (list: Tensor[]) => linalg.multiDot(list),
  linalg_vecdot: linalg.vecdot,
  lstm_cell: (x: Tensor, [h, c]: Tensor[]) => new nn.LSTMCell(8, 8).forward(x, [h, c])[0],
  gru_cell: (x: Tensor, h: Tensor) => new nn.GRUCell(8, 8).forward(x, h),
  rnn_tanh_cell: (x: Tensor, h: Tensor) => new nn.RNNCell(8, 8).forward(x, h),
  rnn_relu_cell: (x: Tensor, h: Tensor) =>
    new nn.RNNCell(8, 8, { nonlinearity: "relu" }).forward(x, h),
  log_softmax: (x: Tensor, dim: number) => x.logSoftmax(dim),
  layer_norm: (x: Tensor, shape: number[]) => F.layerNorm(x, shape),
  rms_norm: (x: Tensor, shape: number[]) => F.rmsNorm(x, shape),
  group_norm: (x: Tensor, groups: number) => F.groupNorm(x, groups),
  norm: (x: Tensor, keywords: { p?: number; dim?: number } = {}) =>
    x.norm(keywords.p, keywords.dim),
  cosine_similarity: pair(F.cosineSimilarity),
  poisson_nll_loss: pair(F.poissonNllLoss),
  cosine_embedding_loss: (a: Tensor, b: Tensor, t: Tensor) => F.cosineEmbeddingLoss(a, b, t),
  hinge_embedding_loss: (x: Tensor, t: Tensor) => F.hingeEmbeddingLoss(x, t),
  kl_div: pair(F.klDiv),
  margin_ranking_loss: (a: Tensor, b: Tensor, t: Tensor) =>
    F.marginRankingLoss(a, b, t.reshape(1, 8).expand(8, 8)),
  triplet_margin_loss: (a: Tensor, b: Tensor, c: Tensor) => F.tripletMarginLoss(a, b, c),
  binary_cross_entropy: pair(F.binaryCrossEntropy),
  binary_cross_entropy_with_logits: pair(F.binaryCrossEntropyWithLogits),
  pdist: (x: Tensor) => F.pdist(x),
  cdist: (a: Tensor, b: Tensor) => cdist(a, b),
  nll_loss: pair(F.nllLoss),
  nll_loss2d: pair(F.nllLoss),
  l1_loss: pair(F.l1Loss),
  smooth_l1_loss: pair(F.smoothL1Loss),
  huber_loss: pair(F.huberLoss),
  mse_loss: pair(F.mseLoss),
  multilabel_margin_loss: pair(F.multilabelMarginLoss),
  soft_margin_loss: pair(F.softMarginLoss),
  multi_margin_loss: pair(F.multiMarginLoss),
  bilinear: F.bilinear,
  grid_sampler: (x: Tensor, grid: Tensor) => F.gridSample(x, grid),
  index_put: (x: Tensor, [at]: Tensor[], values: Tensor) => x.indexPut([at], values),
  tensordot: (a: Tensor, b: Tensor) => tensordot(a, b),
  scatter_add: (x: Tensor, dim: number, index: Tensor, src: Tensor) =>
    x.scatterAdd(dim, index.to("int32"), src),
  avg_pool3d: (x: Tensor) => F.avgPool3d(x, 3, { stride: 1 }),
  reflection_pad1d: (x: Tensor) => F.pad(x, [3, 3], { mode: "reflect" }),
};

/** Operators of the lists that are not here, and why. */
const absent: Readonly<Record<string, string>> = {
  _convolution: "an internal name of conv2d",
  cudnn_convolution: "an internal name of conv2d",
  cudnn_convolution_transpose: "an internal name of convTranspose2d",
  conv_tbc: "convolutions of [T, N, C] are not here",
  _addmm_activation: "internal to PyTorch",
  _native_multi_head_attention: "internal to PyTorch",
  __div__: "of Python 2",
};

function build(value: Described): Arg {
  if (Array.isArray(value)) return value.map(build);
  if (value === null || typeof value !== "object") return value as Arg;
  const { shape, dtype, data } = value as { shape: number[]; dtype: DType; data?: number[] };
  if (shape === undefined) return value as never;
  if (data !== undefined) return tensor(data, { dtype: "int64" }).reshape(shape).to(dtype);
  // Between 0.1 and 0.9: no operator of the lists has a pole or an end there.
  return rand(shape).mul(0.8).add(0.1).to(dtype);
}

const firstType = (result: unknown): string =>
  result instanceof Tensor
    ? result.dtype
    : Array.isArray(result)
    ? firstType(result[0])
    : typeof result === "boolean"
    ? "bool"
    : typeof result;

for (const list of ["gpu", "cpu"] as const) {
  for (const dtype of ["bfloat16", "float16"] as const) {
    Deno.test(`autocast chooses PyTorch's types: ${list} list, ${dtype}`, () => {
      const wrong: string[] = [];
      let seen = 0;
      for (const row of fixture.operators.filter((o) => o.list === list)) {
        if (row.operator in absent) continue;
        assert(row.operator in calls, `${row.operator} has neither a call nor a reason`);
        const args = row.arguments!.map(build);
        if (Object.keys(row.keywords).length > 0) args.push(row.keywords as never);
        const low = row.wanted === "low" || row.wanted === "bfloat16";
        const wanted = low ? dtype : row.wanted;
        const result = autocast({ dtype, list }, () => calls[row.operator](...args));
        if (firstType(result) !== wanted) {
          wrong.push(`${row.operator} gives ${firstType(result)}, PyTorch ${wanted}`);
        }
        // The result must also be computable.
        if (result instanceof Tensor) {
          using _scope = stepScope();
          realize(result);
          seen++;
        }
      }
      assertEquals(wrong, []);
      assert(seen > (list === "gpu" ? 100 : 40), `${seen}`);
    });
  }
}

Deno.test("every module of the golden suite runs in a region, and only rounds", async () => {
  const directory = new URL("./golden/fixtures", import.meta.url).pathname;
  // The suite is asynchronous, so the region is opened around all of it.
  using _ = autocast({});
  const { lines, operators } = await runModules(directory, /^/, false, isSoak ? 1 : 4);
  assert(operators > 80, `${operators}`);
  const failed = lines.filter((line) => line.startsWith("FAILED"));
  assert(failed.length > 10, "nothing was computed in bfloat16");
  const isType = /: result(\[\d+\])? is \[[\d,]*\] bfloat16, not \[[\d,]*\] float32/;
  const difference = / is (-?[\d.e-]+), not (-?[\d.e-]+) \(/;
  const wrong = failed.filter((line) => {
    const [, got, wanted] = difference.exec(line) ?? [];
    return !isType.test(line) && !(Math.abs(Number(got) - Number(wanted)) < 0.03);
  });
  assertEquals(wrong, []);
});

interface Network {
  readonly model: () => nn.Module;
  readonly optimizer: (p: Parameter[]) => optim.Optimizer;
  readonly batch: (seed: number, step: number) => [Tensor, Tensor];
}

const networks: Readonly<Record<string, Network>> = {
  mlp: {
    model: mlp,
    optimizer: (p) => new optim.SGD(p, { lr: 0.05, momentum: 0.9 }),
    batch: (seed, s) => [
      reals(seed, 1000 + s % 4, [32, 784], 0.5, 0.5),
      integers(seed, 2000 + s % 4, [32], 10),
    ],
  },
  cnn: {
    model: cnn,
    optimizer: (p) => new optim.AdamW(p, { lr: 1e-3 }),
    batch: (seed, s) => [
      reals(seed, 1000 + s % 4, [8, 1, 28, 28], 0.5, 0.5),
      integers(seed, 2000 + s % 4, [8], 10),
    ],
  },
  gpt: {
    model: () => new GPT(),
    optimizer: (p) => new optim.AdamW(p, { lr: 3e-4, betas: [0.9, 0.95], weightDecay: 0.1 }),
    batch: (seed, s) => {
      const rows = integers(seed, 1000 + s, [4, 65], 96);
      return [
        rows.slice(1, 0, 64).contiguous().realize(),
        rows.slice(1, 1, 65).contiguous().realize(),
      ];
    },
  },
};

for (const [name, { model: make, optimizer: optimizerOf, batch }] of Object.entries(networks)) {
  Deno.test(`the ${name} in bfloat16 follows PyTorch for twenty steps`, () => {
    setDefaultDevice("cpu");
    const { seed, parameters, bfloat16, float32 } = fixture.losses[name];
    const model = make();
    fillWeights(model, seed, parameters);
    const optimizer = optimizerOf(model.parameters());
    const step = capture((x: Tensor, y: Tensor) => {
      optimizer.zeroGrad();
      const out = autocast({}, () => model.forward(x)) as Tensor;
      const loss = F.crossEntropy(out.float().reshape(-1, out.shape.at(-1)!), y.reshape(-1));
      loss.backward();
      optimizer.step();
      return loss;
    });
    let furthest = 0;
    bfloat16.forEach((wanted, s) => {
      using _scope = stepScope();
      const got = step(...batch(seed, s)).item();
      // The spacing of bfloat16 at 1; PyTorch's own tolerance for it is twice that.
      assert(
        Math.abs(got - wanted) <= 2 ** -7 * wanted,
        `loss ${s} is ${got}, PyTorch's ${wanted} in bfloat16 and ${float32[s]} in float32`,
      );
      furthest = Math.max(furthest, Math.abs(got - float32[s]));
    });
    assert(furthest > 1e-6, "nothing was rounded");
    assertEquals(step.replays, 18);
  });
}
