/** Attention and the layers made of it. Values against PyTorch are in tests/golden. */
import { assert, assertEquals } from "@std/assert";
import { cat, manualSeed, nn, type Tensor, tensor, zeros } from "@pta/core";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { gradientTests, noise } from "./nn_cases.ts";

const F = nn.functional;
const causal = (n: number) => nn.Transformer.generateSquareSubsequentMask(n);
/** Bool, true above the diagonal. */
const future = (n: number) => causal(n).lt(0);

gradientTests("attention", () => {
  const x = noise([3, 2, 4], 1), s = noise([2, 2, 5], 2);
  const weight = noise([12, 4], 3), bias = noise([12], 4);
  const out = noise([4, 4], 5), outBias = noise([4], 6);
  const q = noise([1, 2, 3, 2], 7), k = noise([1, 2, 4, 2], 8), v = noise([1, 2, 4, 3], 9);
  return [
    [
      "self-attention with a causal mask",
      (x, weight, bias, out, outBias) =>
        F.multiHeadAttentionForward(x, x, x, 4, 2, {
          inProjWeight: weight,
          inProjBias: bias,
          outProjWeight: out,
          outProjBias: outBias,
          attnMask: future(3),
        })[0],
      [x, weight, bias, out, outBias],
    ],
    [
      "attention to another sequence, with a learned key",
      (x, s, wq, wk, wv, key, value, out) => {
        const [y, weights] = F.multiHeadAttentionForward(x, s, s, 4, 2, {
          useSeparateProjWeight: true,
          qProjWeight: wq,
          kProjWeight: wk,
          vProjWeight: wv,
          biasK: key,
          biasV: value,
          addZeroAttn: true,
          outProjWeight: out,
          averageAttnWeights: false,
        });
        return cat([y.flatten(), weights!.flatten()]);
      },
      [
        x,
        s,
        noise([4, 4], 10),
        noise([4, 5], 11),
        noise([4, 5], 12),
        noise([1, 1, 4], 13),
        noise([1, 1, 4], 14),
        out,
      ],
    ],
    [
      "scaledDotProductAttention",
      (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true }),
      [q, k, v],
      2,
    ],
  ];
});

/** Layers whose output at a position must not see what comes later. */
const causalModels: Readonly<Record<string, () => (x: Tensor) => Tensor>> = {
  scaledDotProductAttention: () => (x) => F.scaledDotProductAttention(x, x, x, { isCausal: true }),
  MultiheadAttention: () => {
    const layer = new nn.MultiheadAttention(8, 2, { batchFirst: true });
    return (x) => layer.forward(x, x, x, { attnMask: future(6), isCausal: true })[0];
  },
  "MultiheadAttention without weights": () => {
    const layer = new nn.MultiheadAttention(8, 2, { batchFirst: true });
    return (x) => layer.forward(x, x, x, { attnMask: causal(6), needWeights: false })[0];
  },
  TransformerEncoder: () => {
    const layer = new nn.TransformerEncoderLayer(8, 2, { dimFeedforward: 16, batchFirst: true });
    const stack = new nn.TransformerEncoder(layer, 2);
    stack.eval();
    return (x) => stack.forward(x, { mask: causal(6), isCausal: true });
  },
  TransformerDecoder: () => {
    const options = { dimFeedforward: 16, batchFirst: true, normFirst: true };
    const stack = new nn.TransformerDecoder(new nn.TransformerDecoderLayer(8, 2, options), 2);
    stack.eval();
    const memory = noise([2, 3, 8], 2).float();
    return (x) => stack.forward(x, memory, { tgtMask: future(6) });
  },
};

for (const [name, make] of Object.entries(causalModels)) {
  eachDevice(`attention: ${name} with a causal mask sees no later position`, () => {
    manualSeed(3);
    const model = make(), x = noise([2, 6, 8], 1).float(), y = model(x);
    for (const at of [1, 4]) {
      const changed = cat([x.narrow(1, 0, at), noise([2, 6 - at, 8], 20 + at).float()], 1);
      const z = model(changed);
      closeNumbers(numbers(z.narrow(1, 0, at)), numbers(y.narrow(1, 0, at)), {}, `before ${at}`);
      const later = numbers(z.narrow(1, at, 6 - at).sub(y.narrow(1, at, 6 - at)).abs().amax(-1));
      assert(later.every((d) => d > 1e-4), "later positions change");
    }
  });
}

eachDevice("attention: what is padding has no influence, in every form of the mask", () => {
  manualSeed(1);
  const layer = new nn.MultiheadAttention(6, 3, { addBiasKv: true, batchFirst: true });
  const q = noise([2, 4, 6], 1).float(), s = noise([2, 5, 6], 2).float();
  const padding = tensor([0, 0, 0, 1, 1, 0, 0, 0, 1, 1], { shape: [2, 5] }).eq(1);
  const added = zeros([2, 5]).maskedFill(padding, -Infinity);
  const spoilt = cat([s.narrow(1, 0, 3), noise([2, 2, 6], 9).float().mul(100)], 1);
  const short = s.narrow(1, 0, 3);
  const wanted = numbers(layer.forward(q, short, short)[0]);
  for (const needWeights of [true, false]) {
    for (const keyPaddingMask of [padding, added]) {
      const [y, weights] = layer.forward(q, spoilt, spoilt, { keyPaddingMask, needWeights });
      closeNumbers(numbers(y), wanted, { atol: 1e-5 }, "output");
      if (!needWeights) continue;
      assertEquals(weights!.shape, [2, 4, 6]);
      closeNumbers(numbers(weights!.sum(-1)), new Array(8).fill(1), {}, "sum of weights");
      assertEquals(numbers(weights!.narrow(2, 3, 2).abs().sum()), [0]);
    }
    const attnMask = padding.unsqueeze(1).repeatInterleave(3, 0).expand(6, 4, 5);
    const [y] = layer.forward(q, spoilt, spoilt, { attnMask, needWeights });
    closeNumbers(numbers(y), wanted, { atol: 1e-5 }, "one mask for each head");
  }
});

eachDevice("attention: layouts, single sequences and held keys agree", () => {
  manualSeed(2);
  const layer = new nn.MultiheadAttention(6, 2), x = noise([4, 3, 6], 1).float();
  const first = new nn.MultiheadAttention(6, 2, { batchFirst: true });
  first.loadStateDict(layer.stateDict());
  const [y, weights] = layer.forward(x, x, x);
  const b = x.transpose(0, 1), [z] = first.forward(b, b, b);
  closeNumbers(numbers(z.transpose(0, 1)), numbers(y), {}, "batchFirst");
  const one = x.select(1, 2), [single, own] = layer.forward(one, one, one);
  closeNumbers(numbers(single), numbers(y.select(1, 2)), {}, "single");
  closeNumbers(numbers(own!), numbers(weights!.select(0, 2)), {}, "weights of a single one");
  // The projections as a caller may hold them.
  const [, k, v] = F.linear(x, layer.in_proj_weight!, layer.in_proj_bias).chunk(3, -1)
    .map((t) => t.reshape(4, 6, 3).transpose(0, 1));
  const [held] = F.multiHeadAttentionForward(x, x, x, 6, 2, {
    inProjWeight: layer.in_proj_weight,
    inProjBias: layer.in_proj_bias,
    outProjWeight: layer.out_proj.weight,
    outProjBias: layer.out_proj.bias,
    staticK: k,
    staticV: v,
  });
  closeNumbers(numbers(held), numbers(y), {}, "held");
});

eachDevice("attention: dropout is for training alone", () => {
  manualSeed(4);
  const layer = new nn.MultiheadAttention(4, 2, { dropout: 0.5 }), x = noise([5, 2, 4], 1).float();
  const [a, weights] = layer.forward(x, x, x, { averageAttnWeights: false });
  assert(numbers(weights!).filter((w) => w === 0).length > 20);
  layer.eval();
  const [b, kept] = layer.forward(x, x, x), [c] = layer.forward(x, x, x, { needWeights: false });
  assert(numbers(kept!).every((w) => w > 0));
  closeNumbers(numbers(c), numbers(b), {}, "with and without weights");
  assert(numbers(a.sub(b).abs().max())[0] > 1e-3);
});

Deno.test("attention: bad arguments are refused", () =>
  on("ref", () => {
    const layer = new nn.MultiheadAttention(4, 2, { kdim: 3 });
    const x = zeros([5, 2, 4]), k = zeros([6, 2, 3]), v = zeros([6, 2, 4]);
    const same = new nn.MultiheadAttention(4, 2), who = "Cannot apply MultiheadAttention";
    const given = { inProjWeight: zeros([12, 4]), outProjWeight: zeros([4, 4]) };
    const table: [() => unknown, new (m: string) => Error, string][] = [
      [
        () => layer.forward(x, x, v),
        TypeError,
        `${who} to key [5, 2, 4]: it must be [L, N, 3] or [L, 3], the last size kdim`,
      ],
      [
        () => layer.forward(x, k.narrow(0, 0, 5), v),
        TypeError,
        `${who} to query [5, 2, 4], key [5, 2, 3], value [6, 2, 4]: batch sizes and the lengths of key and value must be equal`,
      ],
      [
        () => same.forward(x, x, x, { attnMask: zeros([2, 5, 5]) }),
        TypeError,
        `${who} with attnMask [2, 5, 5]: it must be [5, 5] or [4, 5, 5]`,
      ],
      [
        () => same.forward(x, x, x, { keyPaddingMask: zeros([5]) }),
        TypeError,
        `${who} with keyPaddingMask [5]: it must be [2, 5]`,
      ],
      [
        () => same.forward(x, x, x, { isCausal: true }),
        TypeError,
        `${who} with isCausal alone: give the causal mask as attnMask too`,
      ],
      [
        () => F.multiHeadAttentionForward(x, x, x, 6, 2, given),
        TypeError,
        "Cannot apply multiHeadAttentionForward to query [5, 2, 4]: its last size must be 6",
      ],
      [
        () => F.multiHeadAttentionForward(x, x, x, 4, 3, given),
        RangeError,
        "Cannot apply multiHeadAttentionForward with numHeads 3: it must divide embedDim 4",
      ],
      [
        () => F.multiHeadAttentionForward(x, x, x, 4, 2, { outProjWeight: zeros([4, 4]) }),
        TypeError,
        "Cannot apply multiHeadAttentionForward: inProjWeight is missing",
      ],
      [
        () => F.multiHeadAttentionForward(x, x, x, 4, 2, { ...given, biasK: zeros([4]) }),
        TypeError,
        "Cannot apply multiHeadAttentionForward: biasK and biasV must be given together",
      ],
      [
        () => F.multiHeadAttentionForward(x, x, x, 4, 2, { ...given, staticK: zeros([2, 5, 2]) }),
        TypeError,
        "Cannot apply multiHeadAttentionForward with staticK [2, 5, 2]: it must be [4, S, 2]",
      ],
    ];
    for (const [fn, type, message] of table) throwsExactly(fn, type, message);
  }));
