/**
 * `deno run -A bench/ceilings.ts --device cuda`: what bounds every step on a device, one JSON line each: the rate of the products of GPT-2, the bandwidth of
 * a copy, the time of one kernel in a captured step of 10, 100 and 1,000, a large linear layer in 16 and in eight bits, forward and backward, and linear layers
 * with their bias and activation done by the product or after it. `--small` for a machine that only checks that it runs.
 */
import { parseArgs } from "@std/cli/parse-args";

const flags = parseArgs(Deno.args, { string: ["device", "dtype"], boolean: ["small"] });
if (flags.device !== undefined) Deno.env.set("PTA_DEVICE", flags.device);
// Offered by the device then, and switched on below where it is compared.
Deno.env.set("PTA_CUBLAS_EPILOGUE", "1");
const {
  autocast,
  backendOf,
  capture,
  clearPlans,
  defaultDevice,
  keep,
  nn,
  ones,
  randn,
  realize,
  stepScope,
  zeros,
} = await import("@pta/accelerated");
type DType = import("@pta/accelerated").DType;
const device = defaultDevice(), backend = backendOf(device);
const dtype = (flags.dtype ?? "bfloat16") as DType;

/** Median milliseconds of a step, from wait to wait. */
function median(step: () => void): number {
  const timed = (count: number): number => {
    const start = performance.now();
    for (let i = 0; i < count; i++) step();
    backend.synchronize();
    return (performance.now() - start) / count;
  };
  for (let i = 0; i < 5; i++) timed(1);
  const count = Math.max(1, Math.round((flags.small ? 5 : 100) / timed(3)));
  const times = Array.from({ length: 7 }, () => timed(count)).sort((a, b) => a - b);
  return times[3];
}

const ends = backend as { wantsEpilogue?: typeof backend.wantsEpilogue };
const offered = ends.wantsEpilogue;
ends.wantsEpilogue = undefined;

const print = (what: Record<string, unknown>) =>
  console.log(JSON.stringify({ ...what, device, backend: backend.name }));

// Products of GPT-2 small: forward, gradient of the input and of the weight, of each linear layer and the head.
const M = flags.small ? 64 : 65536;
for (
  const [k, n] of flags.small
    ? [[32, 48]]
    : [[768, 2304], [768, 768], [768, 3072], [3072, 768], [768, 50304]]
) {
  using _scope = stepScope();
  const x = randn([M, k]).to(dtype), w = randn([n, k]).to(dtype), g = randn([M, n]).to(dtype);
  realize(x, w, g);
  const forms = {
    forward: capture(() => x.matmul(w.transpose(0, 1))),
    input: capture(() => g.matmul(w)),
    weight: capture(() => g.transpose(0, 1).matmul(x)),
  };
  for (const [form, step] of Object.entries(forms)) {
    const ms = median(() => void step());
    print({ probe: "matmul", form, m: M, n, k, dtype, ms, tflops: 2 * M * n * k / ms / 1e9 });
    step.dispose();
  }
}
{
  using _scope = stepScope();
  const n = flags.small ? 1 << 12 : 1 << 28, x = ones([n]);
  realize(x);
  const step = capture(() => x.neg()), ms = median(() => void step());
  print({ probe: "copy", bytes: 8 * n, ms, gb_s: 8 * n / ms / 1e6 });
  step.dispose();
}
for (const count of flags.small ? [10] : [10, 100, 1000]) {
  const x = keep(zeros([32]));
  realize(x);
  const step = capture(() => {
    for (let i = 0; i < count; i++) {
      x.copy_(x.add(1));
      realize(x);
    }
    return x;
  });
  const ms = median(() => void step());
  print({ probe: "nodes", count, us_per_node: 1000 * ms / count });
  step.dispose();
}
// A linear layer with float32 parameters under autocast, and its twin of eight bits: rounding to them is part of the time.
{
  const size = flags.small ? 64 : 8192;
  const layers = {
    bfloat16: () => new nn.Linear(size, size, { bias: false }),
    "float8 current": () => new nn.Float8Linear(size, size, { bias: false }),
    "float8 delayed": () => new nn.Float8Linear(size, size, { bias: false, scaling: "delayed" }),
  };
  for (const [about, make] of Object.entries(layers)) {
    using _scope = stepScope();
    const layer = make(), x = randn([size, size]).to("bfloat16").requiresGrad_();
    const g = randn([size, size]).to("bfloat16");
    realize(x, g);
    const step = capture(() => {
      layer.weight.grad = x.grad = undefined;
      const y = autocast({ dtype: "bfloat16" }, () => layer.forward(x));
      y.backward(g);
      realize(x.grad!, layer.weight.grad!);
      return y;
    });
    const ms = median(() => void step());
    print({ probe: "linear", about, size, ms, tflops: 6 * size ** 3 / ms / 1e9 });
    step.dispose();
  }
}
// A linear layer and what follows it: by the product, and by a kernel of ours after it.
for (const activation of ["bias", "relu", "gelu"] as const) {
  using _scope = stepScope();
  const [m, k, n] = flags.small ? [64, 32, 48] : [65536, 768, 3072];
  const x = randn([m, k]).to(dtype), w = randn([n, k]).to(dtype), b = randn([n]).to(dtype);
  realize(x, w, b);
  for (const by of offered === undefined ? ["kernel"] : ["kernel", "product"]) {
    clearPlans();
    ends.wantsEpilogue = by === "product" ? offered : undefined;
    const step = capture(() => {
      const y = nn.functional.linear(x, w, b);
      if (activation === "bias") return y;
      return activation === "relu" ? y.relu() : y.gelu({ approximate: "tanh" });
    });
    const ms = median(() => void step());
    print({ probe: "ending", activation, by, m, n, k, dtype, ms });
    step.dispose();
  }
}
