/** Convolution, pooling, unfold and pixel shuffle: gradients of both orders, devices against each other. */
import {
  clearPlans,
  Generator,
  grad,
  gradcheck,
  nn,
  rand,
  type Tensor,
  tensor,
  zeros,
} from "@pta/core";
import { assert, assertEquals } from "@std/assert";
import { closeNumbers, numbers } from "./assert.ts";
import { on } from "./devices.ts";

const F = nn.functional;

/** Values between -0.5 and 0.5, all different. */
const random = (shape: readonly number[], seed: number, dtype: "float32" | "float64") =>
  rand([...shape], { generator: new Generator(seed) }).sub(0.5).to(dtype);

interface Row {
  /** Shapes of the inputs. */
  readonly inputs: readonly (readonly number[])[];
  readonly fn: (...x: Tensor[]) => Tensor;
}

const linear: Readonly<Record<string, Row>> = {
  "conv1d": {
    inputs: [[2, 4, 7], [2, 2, 3], [2]],
    fn: (x, w, bias) => F.conv1d(x, w, { bias, stride: 2, padding: 1, groups: 2 }),
  },
  "conv1d same, even kernel": {
    inputs: [[1, 2, 5], [2, 2, 4]],
    fn: (x, w) => F.conv1d(x, w, { padding: "same", dilation: 1 }),
  },
  "conv2d": {
    inputs: [[2, 2, 5, 4], [3, 2, 3, 2], [3]],
    fn: (x, w, bias) => F.conv2d(x, w, { bias, stride: [2, 1], padding: [1, 0], dilation: [1, 2] }),
  },
  "conv2d without batch": {
    inputs: [[2, 4, 4], [2, 2, 3, 3]],
    fn: (x, w) => F.conv2d(x, w),
  },
  "conv2d depthwise": {
    inputs: [[1, 3, 4, 4], [6, 1, 2, 2]],
    fn: (x, w) => F.conv2d(x, w, { groups: 3 }),
  },
  "conv3d": {
    inputs: [[1, 2, 3, 3, 4], [2, 2, 2, 2, 2]],
    fn: (x, w) => F.conv3d(x, w, { stride: [1, 1, 2], padding: [0, 1, 0] }),
  },
  "convTranspose1d": {
    inputs: [[2, 2, 3], [2, 2, 3], [2]],
    fn: (x, w, bias) => F.convTranspose1d(x, w, { bias, stride: 2, padding: 1, outputPadding: 1 }),
  },
  "convTranspose2d": {
    inputs: [[1, 4, 3, 2], [4, 1, 2, 3]],
    fn: (x, w) => F.convTranspose2d(x, w, { stride: 2, dilation: 3, outputPadding: 2, groups: 2 }),
  },
  // Here the plane is larger than the grid although the kernel is 1x1.
  "convTranspose2d 1x1 with outputPadding": {
    inputs: [[2, 3, 4, 4], [3, 2, 1, 1]],
    fn: (x, w) => F.convTranspose2d(x, w, { dilation: 2, outputPadding: 1 }),
  },
  "convTranspose3d": {
    inputs: [[1, 2, 2, 2, 2], [2, 1, 2, 1, 2]],
    fn: (x, w) => F.convTranspose3d(x, w, { stride: [2, 1, 1] }),
  },
};

const pooling: Readonly<Record<string, Row>> = {
  "maxPool1d": { inputs: [[2, 2, 7]], fn: (x) => F.maxPool1d(x, 3, { stride: 2, padding: 1 }) },
  "maxPool2d": {
    inputs: [[1, 2, 5, 6]],
    fn: (x) => F.maxPool2d(x, [3, 2], { stride: [1, 2], dilation: [2, 1], ceilMode: true }),
  },
  "maxPool3d": { inputs: [[1, 1, 3, 4, 4]], fn: (x) => F.maxPool3d(x, 2, { stride: 1 }) },
  "avgPool1d": { inputs: [[2, 2, 6]], fn: (x) => F.avgPool1d(x, 2) },
  "avgPool2d": {
    inputs: [[1, 2, 5, 6]],
    fn: (x) => F.avgPool2d(x, 3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false }),
  },
  "avgPool3d": {
    inputs: [[1, 1, 3, 3, 4]],
    fn: (x) => F.avgPool3d(x, 2, { stride: 1, divisorOverride: 3 }),
  },
  "adaptiveAvgPool2d": {
    inputs: [[1, 2, 5, 6]],
    fn: (x) => F.adaptiveAvgPool2d(x, [3, 2]),
  },
  "adaptiveMaxPool2d": {
    inputs: [[1, 2, 5, 6]],
    fn: (x) => F.adaptiveMaxPool2d(x, [3, null]),
  },
  "fractionalMaxPool2d": {
    inputs: [[1, 2, 5, 6]],
    fn: (x) =>
      F.fractionalMaxPool2d(x, 2, {
        outputSize: 3,
        randomSamples: tensor([0.1, 0.7, 0.4, 0.9]).to(x.dtype).reshape(1, 2, 2),
      }),
  },
  "lpPool2d": {
    // Away from 0, where the root has no slope.
    inputs: [[1, 1, 4, 4]],
    fn: (x) => F.lpPool2d(x.add(1), 1.5, 2, { stride: 1 }),
  },
  "maxUnpool2d": {
    inputs: [[1, 2, 2, 2]],
    fn: (x) => {
      const places = Int32Array.of(0, 3, 9, 14, 5, 2, 8, 15);
      return F.maxUnpool2d(x, tensor(places).reshape(1, 2, 2, 2), 2);
    },
  },
  "unfold": {
    inputs: [[1, 2, 5, 4]],
    fn: (x) => F.unfold(x, [2, 3], { dilation: [2, 1], padding: [1, 0], stride: [2, 1] }),
  },
  "fold": {
    inputs: [[1, 12, 4]],
    fn: (x) => F.fold(x, [5, 4], [2, 3], { dilation: [2, 1], padding: [1, 0], stride: [3, 1] }),
  },
  "pixelShuffle": { inputs: [[1, 8, 2, 3]], fn: (x) => F.pixelShuffle(x, 2) },
  "pixelUnshuffle": { inputs: [[1, 2, 4, 6]], fn: (x) => F.pixelUnshuffle(x, 2) },
  "channelShuffle": { inputs: [[1, 6, 2, 2]], fn: (x) => F.channelShuffle(x, 3) },
};

const rows = Object.entries({ ...linear, ...pooling });

for (const [name, { inputs, fn }] of rows) {
  Deno.test(`windows: gradients of ${name}, both orders, against differences`, () => {
    on("ref", () => {
      const x = inputs.map((s, i) => random(s, 3 + i, "float64").requiresGrad_());
      gradcheck(fn, x);
      // The cube makes every gradient depend on every input of its own.
      gradcheck((...t) => {
        const leaves = t.map((v) => v.requiresGrad ? v : v.detach().requiresGrad_());
        const y = fn(...leaves);
        const first = grad(y.mul(y).mul(y).sum(), leaves, { createGraph: true });
        return first.map((g) => g.mul(g).sum()).reduce((a, b) => a.add(b));
      }, x);
    });
  });

  Deno.test(`windows: ${name} and its gradients are the same on cpu as on ref`, () => {
    const [got, wanted] = ["cpu", "ref"].map((device) =>
      on(device, () => {
        const x = inputs.map((s, i) => random(s, 3 + i, "float32").requiresGrad_());
        const y = fn(...x);
        return [y, ...grad(y.mul(y).sum(), x)].map(numbers);
      })
    );
    clearPlans();
    got.forEach((values, i) => {
      assert(values.some((v) => v !== 0), `result ${i} is all zero`);
      closeNumbers(values, wanted[i], { atol: 1e-5, rtol: 1e-5 }, `result ${i}`);
    });
  });
}

Deno.test("windows: an input reshaped to one channel is convolved as any other", () => {
  on("cpu", () => {
    const x = random([3, 36], 1, "float32").realize(), w = random([2, 1, 3, 3], 2, "float32");
    const y = F.conv2d(x.reshape(3, 1, 6, 6), w, { padding: 1 });
    const same = F.conv2d(x.reshape(3, 1, 6, 6).clone(), w, { padding: 1 });
    assertEquals(numbers(y), numbers(same));
  });
});

Deno.test("windows: unpooling writes what overlapping windows share once", () => {
  on("cpu", () => {
    const x = tensor([1, 5, 2, 0]).reshape(1, 1, 4);
    const { values, indices } = F.maxPool1dWithIndices(x, 2, { stride: 1 });
    assertEquals(numbers(indices), [1, 1, 2]);
    assertEquals(numbers(F.maxUnpool1d(values, indices, 2, { stride: 1 })), [0, 5, 2, 0]);
  });
});

Deno.test("windows: the first of equal maxima takes the gradient", () => {
  on("cpu", () => {
    const x = tensor([2, 2, 1, 3, 3, 3], { requiresGrad: true });
    const y = F.maxPool1d(x.reshape(1, 1, 6), 3);
    assertEquals(numbers(grad(y.sum(), [x])[0]), [1, 0, 0, 1, 0, 0]);
  });
});

Deno.test("windows: a window of padding alone gives minus infinity and no gradient", () => {
  for (const device of ["cpu", "ref"]) {
    on(device, () => {
      // Columns -1 and 3 of three in the first window, 0 and 4 in the second.
      const x = tensor([1, 2, 3, 4, 5, 6], { requiresGrad: true });
      const options = { padding: [0, 1], dilation: [1, 4], stride: 1 };
      const y = F.maxPool2d(x.reshape(1, 2, 3), [1, 2], options);
      assertEquals(numbers(y), [-Infinity, -Infinity]);
      assertEquals(numbers(grad(y.sum(), [x])[0]), [0, 0, 0, 0, 0, 0]);
      // With dilation 3 only the far element of the first window and the near one of the second are left.
      const line = F.maxPool1dWithIndices(tensor([1, 2, 3]).reshape(1, 3), 2, {
        padding: 1,
        dilation: 3,
        stride: 1,
      });
      assertEquals([numbers(line.values), numbers(line.indices)], [[3, 1], [2, 0]]);
    });
  }
});

Deno.test("windows: an empty batch gives an empty result and gradients of zero", () => {
  for (const device of ["cpu", "ref"]) {
    on(device, () => {
      for (const fn of [F.conv2d, F.convTranspose2d]) {
        for (const withBias of [false, true]) {
          const x = zeros([0, 2, 4, 4]).requiresGrad_();
          const leaves = [random([2, 2, 3, 3], 1, "float32"), random([2], 2, "float32")]
            .map((t) => t.requiresGrad_());
          const [w, bias] = leaves, y = fn(x, w, withBias ? { bias } : {});
          assert(y.requiresGrad && y.numel === 0);
          const options = { gradOutputs: [zeros(y.shape)], createGraph: true };
          const [gx, ...rest] = grad(y, [x, ...leaves], options);
          assertEquals(gx.shape, x.shape);
          assertEquals(rest.map(numbers), [new Array(36).fill(0), [0, 0]]);
        }
      }
      const conv = new nn.Conv2d(2, 3, 3), y = conv.forward(zeros([0, 2, 4, 4]));
      y.backward(zeros(y.shape));
      assertEquals(numbers(conv.weight.grad!), new Array(54).fill(0));
      assertEquals(numbers(conv.bias!.grad!), [0, 0, 0]);
    });
  }
});

Deno.test("windows: shuffles undo each other, and fold counts what unfold took", () => {
  on("cpu", () => {
    const x = random([2, 8, 4, 6], 1, "float32");
    assertEquals(numbers(F.pixelUnshuffle(F.pixelShuffle(x, 2), 2)), numbers(x));
    assertEquals(numbers(F.channelShuffle(F.channelShuffle(x, 2), 4)), numbers(x));
    const ones = zeros([1, 1, 3, 3]).add(1);
    assertEquals(numbers(F.fold(F.unfold(ones, 2), 3, 2)), [1, 2, 1, 2, 4, 2, 1, 2, 1]);
  });
});

Deno.test("windows: fold keeps infinities at their places and adds halves in float32", () => {
  for (const device of ["cpu", "ref"]) {
    on(device, () => {
      const x = tensor([1, 2, 3, 4, Infinity, 6, 7, 8, 9]).reshape(1, 1, 3, 3);
      assertEquals(numbers(F.fold(F.unfold(x, 2), 3, 2)), [1, 4, 3, 8, Infinity, 12, 7, 16, 9]);
      // 1 + 8 * 2 ** -9 in the middle: each addend alone would be lost beside the 1.
      const part = tensor([1, ...new Array(8).fill(2 ** -9)]).to("bfloat16").reshape(9, 1);
      const middle = F.fold(part.expand(9, 9), 5, 3).select(0, 0).select(0, 2).select(0, 2);
      assertEquals([middle.dtype, middle.item()], ["bfloat16", 1.015625]);
    });
  }
});

Deno.test("windows: half precision keeps its dtype", () => {
  on("cpu", () => {
    for (const dtype of ["float16", "bfloat16"] as const) {
      const x = random([1, 2, 4, 4], 1, "float32").to(dtype);
      const w = random([3, 2, 3, 3], 2, "float32").to(dtype);
      for (const y of [F.conv2d(x, w), F.maxPool2d(x, 2), F.avgPool2d(x, 2)]) {
        assertEquals(y.dtype, dtype);
      }
    }
  });
});
