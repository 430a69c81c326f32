/** Channels last between convolutions: the same values as row-major, and nothing turned in between. */
import { assert, assertEquals } from "@std/assert";
import "@pta/core/backend";
import {
  autocast,
  capture,
  cat,
  clearPlans,
  grad,
  nn,
  optim,
  rand,
  randint,
  realize,
  type Tensor,
  tensor,
} from "@pta/core";
import { resnet } from "../bench/models.ts";
import type { Kernel } from "../core/kernel.ts";
import { closeNumbers, numbers } from "./assert.ts";
import { lastNull, lastRef } from "./channels_last_devices.ts";
import type { Result } from "./channels_last_run.ts";
import { on } from "./devices.ts";
import { whyNotEmulated } from "./emulator/build.ts";
import { unlessSoak } from "./soak.ts";

const F = nn.functional;

function filled(shape: readonly number[], k: number, requiresGrad = true): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  return tensor(Float32Array.from({ length: n }, (_, i) => Math.sin(i * k + k)), {
    shape,
    requiresGrad,
  });
}

/** Results of what may be built around convolutions, from a stem of 6 channels of `[2, 3, 6, 5]`. */
const graphs: Readonly<Record<string, (y: Tensor, w: Tensor) => Tensor[]>> = {
  "residual block": (y, w) => [F.conv2d(y.relu(), w, { padding: 1 }).add(y).relu()],
  "batch norm, training": (y, w) => {
    const [weight, bias] = [filled([6], 0.3), filled([6], 0.9)];
    const z = F.batchNorm(y, { weight, bias, training: true }).relu();
    return [F.conv2d(z, w, { padding: 1 })];
  },
  "instance and group norm": (y, w) => [F.conv2d(F.groupNorm(F.instanceNorm(y), 2), w)],
  "max pooling": (y, w) => [
    F.conv2d(F.maxPool2d(y, 3, { stride: 2, padding: 1 }), w),
    F.maxPool2d(y, 2, { dilation: 2 }),
  ],
  "average pooling": (y, w) => [
    F.conv2d(F.avgPool2d(y, [2, 1]), w),
    F.avgPool2d(y, 3, { stride: 2, padding: 1 }),
    F.adaptiveAvgPool2d(y, 1),
    F.adaptiveAvgPool2d(y, [4, 3]),
  ],
  "flatten and product": (y) => [y.flatten(1).matmul(filled([180, 4], 0.2)), y.flatten(2).mT],
  "concatenation and parts": (y, w) => [
    F.conv2d(cat([y.narrow(1, 0, 2), y.narrow(1, 2, 4).exp()], 1), w),
    y.narrow(2, 1, 3).mul(2),
    y.flip([3]).add(1),
  ],
  "padding and interpolation": (y, w) => [
    F.conv2d(y.pad([1, 2, 0, 1]), w),
    F.interpolate(y, { scaleFactor: 2, mode: "nearest" }),
  ],
  "squeeze and excite": (y, w) => {
    const scale = F.adaptiveAvgPool2d(y, 1).sigmoid();
    return [F.conv2d(y.mul(scale), w, { padding: 1 })];
  },
  "sums": (y) => [y.sum(), y.sum([0, 2, 3]), y.mean(1), y.softmax(1), y.max(1).values],
  "groups": (y) => [F.conv2d(y, filled([6, 2, 3, 3], 0.4), { groups: 3 })],
  "transposed": (y) => [F.convTranspose2d(y, filled([6, 4, 3, 3], 0.4), { stride: 2 })],
  "shuffled": (y, w) => [
    F.conv2d(y.reshape(2, 2, 3, 6, 5).transpose(1, 2).reshape(2, 6, 6, 5), w, { padding: 1 }),
  ],
};

/** Values and gradients. */
function results(device: string, name: string, fuse: boolean): number[][] {
  return on(device, () => {
    const x = filled([2, 3, 6, 5], 0.7), stem = filled([6, 3, 3, 3], 0.37);
    const w = filled([6, 6, 3, 3], 0.53);
    const all = graphs[name](F.conv2d(x, stem, { padding: 1 }), w);
    const sum = all.map((t, i) => t.mul(filled(t.shape, 1.3 + i, false)).sum())
      .reduce((a, b) => a.add(b));
    const parts = [...all, ...grad(sum, [x, stem, w])];
    realize(...parts);
    return parts.map(numbers);
  }, { fuse });
}

for (const name of Object.keys(graphs)) {
  Deno.test(`channels last: ${name}`, () => {
    const want = results("ref", name, true);
    for (const fuse of [true, false]) {
      const before = lastRef.turned.convolution ?? 0;
      const got = results("ref-last", name, fuse);
      assert(lastRef.turned.convolution! > before);
      got.forEach((g, i) => closeNumbers(g, want[i], { atol: 1e-5, rtol: 1e-5 }, `result ${i}`));
    }
  });
}

Deno.test("channels last: a convolution that does not want them reads row-major copies", () => {
  const want = results("ref", "residual block", true);
  lastRef.wants = ({ name, operands }) => name !== "convolution" || operands[0].shape[1] === 3;
  const got = results("ref-last", "residual block", true);
  lastRef.wants = () => true;
  got.forEach((g, i) => closeNumbers(g, want[i], { atol: 1e-5, rtol: 1e-5 }, `result ${i}`));
});

/** A batch norm between convolutions: results, running statistics, gradients and gradients of gradients. */
function normalized(device: string, affine: boolean, dtype: "float32" | "bfloat16"): number[][] {
  return on(device, () => {
    const x = filled([2, 3, 6, 5], 0.7), stem = filled([6, 3, 3, 3], 0.37);
    const weight = filled([6], 0.3), bias = filled([6], 0.9), w = filled([6, 6, 3, 3], 0.53);
    const runningMean = filled([6], 0.1, false), runningVar = filled([6], 0.2, false).square();
    const options = { runningMean, runningVar, training: true, ...(affine && { weight, bias }) };
    const body = () => F.conv2d(F.batchNorm(F.conv2d(x, stem), options).relu(), w);
    const y = (dtype === "float32" ? body() : autocast({ dtype }, body)).to("float32");
    const inputs = affine ? [x, stem, weight, bias] : [x, stem];
    const first = grad(y.square().sum(), inputs, { createGraph: true });
    const all = [y, runningMean, runningVar, ...first];
    if (dtype === "float32") {
      all.push(...grad(first.map((g) => g.square().sum()).reduce((a, b) => a.add(b)), inputs));
      all.push(...grad(body().square().sum(), inputs));
    }
    realize(...all);
    return all.map(numbers);
  });
}

for (const affine of [true, false]) {
  for (const dtype of ["float32", "bfloat16"] as const) {
    Deno.test(`channels last: batch norm as a routine, ${dtype}, affine ${affine}`, () => {
      const want = normalized("ref", affine, dtype), before = lastRef.turned.batchNorm ?? 0;
      lastRef.isNormalizing = true;
      const got = normalized("ref-last", affine, dtype);
      lastRef.isNormalizing = false;
      assert(lastRef.turned.batchNorm! > before);
      const rtol = dtype === "float32" ? 1e-4 : 4e-2;
      got.forEach((g, i) => {
        const most = Math.max(...want[i].map(Math.abs));
        closeNumbers(g, want[i], { atol: rtol * most, rtol }, `result ${i}`);
      });
    });
  }
}

Deno.test("channels last: one-dimensional convolutions and volumes", () => {
  const run = (device: string) =>
    on(device, () => {
      const x = filled([2, 3, 7], 0.7), w = filled([4, 3, 3], 0.3);
      const v = filled([2, 3, 4, 3, 5], 0.2), u = filled([4, 3, 2, 2, 2], 0.9);
      const loss = F.conv1d(x, w).relu().square().mean().add(
        F.maxPool3d(F.conv3d(v, u).relu(), 2, { stride: 1 }).square().mean(),
      );
      return [loss, ...grad(loss, [x, w, v, u])].map(numbers);
    });
  const want = run("ref");
  run("ref-last").forEach((g, i) => closeNumbers(g, want[i], { atol: 1e-6 }, `result ${i}`));
});

/** Elements that a kernel stores in another order than it reads them in; undefined when it does not. */
function turnedElements({ outer, reduce, values, stores }: Kernel): number | undefined {
  const sizes = [...outer, ...reduce], count = sizes.reduce((a, b) => a * b, 1);
  const unit = (strides: readonly number[]) => strides.findIndex((s, d) => s === 1 && sizes[d] > 1);
  const turned = stores.some(({ level, address }) => {
    if (level !== "full" && reduce.length > 0) return false;
    const at = unit(address.strides);
    return at >= 0 &&
      values.some((v) =>
        v.kind === "load" && v.address.strides[at] > 1 && unit(v.address.strides) >= 0
      );
  });
  return turned ? count : undefined;
}

/** Values of 16 bits, one for each point, that a kernel loads. */
function fullLoads({ outer, reduce, values }: Kernel): number {
  const sizes = [...outer, ...reduce];
  return values.filter((v) =>
    v.kind === "load" && v.dtype === "bfloat16" &&
    v.address.strides.every((s, d) => s !== 0 || sizes[d] === 1)
  ).length;
}

/** Sizes of what is turned in captured steps of a ResNet, and its convolutions and pools that have channels last. */
function turnedInSteps(depth: 18 | 50, channelsLast: boolean) {
  return on("null-last", () => {
    const batch = 2, size = depth === 18 ? 32 : 64, model = resnet(depth);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
    const x = rand([batch, 3, size, size]), y = randint(0, 10, [batch], { dtype: "int32" });
    realize(x, y);
    const step = capture((x: Tensor, y: Tensor) => {
      optimizer.zeroGrad();
      const loss = autocast(
        { dtype: "bfloat16" },
        () => F.crossEntropy(model.forward(x) as Tensor, y),
      );
      loss.backward();
      optimizer.step();
      return loss;
    });
    clearPlans();
    lastNull.channelsLast = channelsLast ? () => true : undefined;
    lastNull.kernels.length = lastNull.calls.length = 0;
    step(x, y);
    step(x, y);
    assertEquals(step.reason, undefined);
    step(x, y);
    assertEquals(step.replays, 1);
    step.dispose();
    const spatial = lastNull.calls.filter(({ name }) =>
      /^(convolution|maxPool|poolScatter)/.test(name)
    );
    const isLast = ({ params }: typeof spatial[number]) =>
      (params as { channelsLast?: boolean }).channelsLast === true;
    return {
      turned: lastNull.kernels.map(turnedElements).filter((n) => n !== undefined),
      weights: model.parameters().filter((p) => p.ndim === 4).map((p) => p.numel),
      input: x.numel,
      loads: Math.max(...lastNull.kernels.map(fullLoads)),
      spatial: spatial.length,
      last: spatial.filter(isLast).length,
    };
  });
}

for (const depth of [18, 50] as const) {
  Deno.test(`channels last: a captured step of ResNet-${depth} turns its input and weights alone`, () => {
    const { turned, weights, input, spatial, last, loads } = turnedInSteps(depth, true);
    assertEquals(last, spatial);
    // Two inputs of batch norms, a mask and two terms of the gradient, however deep the network is.
    assertEquals(loads, 5);
    assertEquals(turned.filter((n) => n === input).length, 1);
    // Weights of one place need no turning. The product at the end wants the gradient of the logits turned.
    const others = turned.filter((n) => n !== input && n > 2000);
    assert(others.length > 0);
    for (const n of others) assert(weights.includes(n), `${n} elements are turned`);
  });
}

Deno.test("channels last: a device that does not ask for it gets row-major operands", () => {
  const { turned, spatial, last } = turnedInSteps(18, false);
  assertEquals([turned.length, last], [0, 0]);
  assertEquals(spatial, 2 * 59);
});

const at = (file: string) => new URL(file, import.meta.url).pathname;
const reason = unlessSoak(whyNotEmulated());
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

// Convolutions that are asked for channels last, in float32 and bfloat16; three batch norms have two directions and are planned in both orders.
const trainings: { env: Record<string, string>; turned: number[]; planned: number }[] = [
  { env: { PTA_CUDNN_LAYOUT: "auto" }, turned: [0, 11], planned: 11 },
  { env: { PTA_CUDNN_LAYOUT: "nhwc" }, turned: [11, 11], planned: 11 },
  { env: { PTA_CUDNN_LAYOUT: "nchw" }, turned: [0, 0], planned: 11 },
  { env: { PTA_CUDNN_NORM: "on" }, turned: [0, 11], planned: 11 + 8 },
];
for (const { env, turned, planned } of trainings) {
  Deno.test({
    name: `channels last: training through the emulated cuDNN, ${Object.entries(env)}${
      reason === undefined ? "" : ` (skipped: ${reason})`
    }`,
    ignore: reason !== undefined,
    fn: async () => {
      const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", at("channels_last_run.ts")],
        env,
      }).output();
      assertEquals(code, 0, text(stderr));
      const all: Result[] = JSON.parse(text(stdout).trim().split("\n").at(-1)!);
      assertEquals(all.map((r) => r.turned), turned);
      for (const { low, want, plain, captured, plans } of all) {
        assertEquals(plans, planned);
        assert(want.losses[4] < want.losses[0] * 0.8);
        const atol = low === "float32" ? 1e-5 : 2e-3;
        for (const got of [plain, captured]) {
          closeNumbers(got.losses, want.losses, { atol }, `${low} losses`);
          want.state.forEach((s, i) =>
            closeNumbers(got.state[i], s, { atol }, `${low} state ${i}`)
          );
        }
      }
    },
  });
}

Deno.test({
  name: `channels last: another PTA_CUDNN_LAYOUT is an error${
    reason === undefined ? "" : ` (skipped: ${reason})`
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    const { stderr, code } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", at("channels_last_run.ts")],
      env: { PTA_CUDNN_LAYOUT: "last" },
    }).output();
    assert(code !== 0);
    const wanted = "Cannot use PTA_CUDNN_LAYOUT=last: it must be auto, nchw or nhwc";
    assert(text(stderr).includes(wanted), text(stderr));
  },
});
