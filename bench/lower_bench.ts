/** Nanoseconds an element of some generated kernels, on one thread: `deno run bench/lower_bench.ts [name]`. */
import { lowerKernel, mathImports } from "../core/backend/wasm/lower.ts";
import { codecs, dtypes } from "../core/dtype.ts";
import type { Kernel } from "../core/kernel.ts";
import { KernelBuilder } from "../tests/kernel_builder.ts";

const memory = new WebAssembly.Memory({ initial: 2048, maximum: 65536, shared: true });

/** Best and median time of a call, in nanoseconds. */
function time(
  kernel: Kernel,
  extent: number,
  lengths: readonly number[],
): { best: number; median: number } {
  const { bytes } = lowerKernel(kernel);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    e: { m: memory, ...mathImports },
  });
  let top = 1 << 16;
  const pointers = lengths.map((n, i) => {
    const ptr = top, { dtype } = kernel.buffers[i];
    const view = dtypes[dtype].array(n, memory.buffer, ptr) as Float32Array;
    const { encode } = codecs[dtype], float = dtypes[dtype].kind === "float";
    for (let j = 0; j < n; j++) view[j] = encode(float ? Math.sin(j * 1.7) : j % 10) as number;
    top += Math.ceil(view.byteLength / 64) * 64 + 64;
    return ptr;
  });
  const run = exports.run as (...a: number[]) => void;
  const call = () => run(0, extent, top, ...pointers);
  const end = performance.now() + 60;
  let calls = 0;
  while (performance.now() < end || calls < 20) {
    call();
    calls++;
  }
  const repeats = Math.max(1, Math.round(calls / 60));
  const samples = Array.from({ length: 60 }, () => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) call();
    return (performance.now() - start) * 1e6 / repeats;
  }).sort((a, b) => a - b);
  return { best: samples[0], median: samples[30] };
}

function pointwise(n: number, make: (b: KernelBuilder, x: number) => number): () => void {
  return () => {
    const b = new KernelBuilder([n]);
    b.store(make(b, b.load("float32", [1])), [1]);
    report(b, n, n);
  };
}

function report(b: KernelBuilder, extent: number, elements: number): void {
  const kernel = b.build(), all = [...kernel.outer, ...kernel.reduce];
  const lengths = kernel.buffers.map((_, i) =>
    Math.max(
      ...[
        ...kernel.values.flatMap((v) => v.kind === "load" ? [v.address] : []),
        ...kernel.stores.map((s) => s.address),
      ]
        .filter((a) => a.buffer === i)
        .map((a) =>
          a.offset + 1 + a.strides.reduce((sum, s, d) => sum + s * (all[d] - 1), 0) +
          a.dynamic.reduce((sum, t) => sum + (t.size - 1) * t.stride, 0)
        ),
    )
  );
  const { best, median } = time(kernel, extent, lengths);
  console.log(
    `${current.padEnd(28)} ${(best / elements).toFixed(3)} ns/element, best ${
      (best / 1000).toFixed(1)
    } us, median ${(median / 1000).toFixed(1)} us`,
  );
}

function softmax(rows: number, columns: number): () => void {
  return () => {
    const b = new KernelBuilder([rows], [columns]), x = b.load("float32", [columns, 1]);
    const e = b.op("exp", b.op("sub", x, b.reduced("max", x)));
    b.store(b.op("div", e, b.reduced("sum", e)), [columns, 1]);
    report(b, rows, rows * columns);
  };
}

function layerNorm(rows: number, columns: number): () => void {
  return () => {
    const b = new KernelBuilder([rows], [columns]);
    const x = b.load("float32", [columns, 1]), count = b.const(1 / columns);
    const centered = b.op("sub", x, b.op("mul", b.reduced("sum", x), count));
    const variance = b.op("mul", b.reduced("sum", b.op("mul", centered, centered)), count);
    const scale = b.op("div", b.const(1), b.op("sqrt", b.op("add", variance, b.const(1e-5))));
    const normal = b.op("mul", centered, scale);
    const weight = b.load("float32", [0, 1]), bias = b.load("float32", [0, 1]);
    b.store(b.op("add", b.op("mul", normal, weight), bias), [columns, 1]);
    report(b, rows, rows * columns);
  };
}

const n = 65536;
const benches: Record<string, () => void> = {
  "add 64k": pointwise(n, (b, x) => b.op("add", x, b.load("float32", [1]))),
  "relu 64k": pointwise(n, (b, x) => b.op("max", x, b.const(0))),
  "exp 64k": pointwise(n, (b, x) => b.op("exp", x)),
  "log 64k": pointwise(n, (b, x) => b.op("log", b.op("abs", x))),
  "tanh 64k": pointwise(n, (b, x) => b.op("tanh", x)),
  "erf 64k": pointwise(n, (b, x) => b.op("erf", x)),
  "sin 64k": pointwise(n, (b, x) => b.op("sin", x)),
  "pow 64k": pointwise(n, (b, x) => b.op("pow", b.op("abs", x), b.load("float32", [1]))),
  "gelu 64k": pointwise(n, (b, x) => {
    const erf = b.op("erf", b.op("mul", x, b.const(Math.SQRT1_2)));
    return b.op("mul", b.op("mul", x, b.const(0.5)), b.op("add", erf, b.const(1)));
  }),
  "half to float 64k": () => {
    const b = new KernelBuilder([n]);
    b.store(b.cast(b.load("float16", [1]), "float32"), [1]);
    report(b, n, n);
  },
  "float to half 64k": () => {
    const b = new KernelBuilder([n]);
    b.store(b.cast(b.load("float32", [1]), "float16"), [1]);
    report(b, n, n);
  },
  "dropout 64k": () => {
    const b = new KernelBuilder([n]), x = b.load("float32", [1]), seed = b.const(7, "int32");
    const bits = b.op("randomBits", b.index([1]), seed, seed, b.load("int32", [0]));
    b.store(
      b.op("where", b.op("lt", bits, b.const(0, "int32")), b.op("mul", x, b.const(2)), b.const(0)),
      [1],
    );
    report(b, n, n);
  },
  "bias + relu 512x128": () => {
    const b = new KernelBuilder([512, 128]), x = b.load("float32", [128, 1]);
    b.store(b.op("max", b.op("add", x, b.load("float32", [0, 1])), b.const(0)), [128, 1]);
    report(b, 512, n);
  },
  "transpose 256x256": () => {
    const b = new KernelBuilder([256, 256]);
    b.store(b.load("float32", [1, 256]), [256, 1]);
    report(b, 256, n);
  },
  "softmax 64x10": softmax(64, 10),
  "softmax 512x10": softmax(512, 10),
  "softmax 512x64": softmax(512, 64),
  "softmax 512x128": softmax(512, 128),
  "softmax 64x1000": softmax(64, 1000),
  "layer norm 512x128": layerNorm(512, 128),
  "layer norm 64x784": layerNorm(64, 784),
  "sum 1M": () => {
    const b = new KernelBuilder([1], [1 << 20]);
    b.store(b.reduced("sum", b.load("float32", [0, 1])), [0, 0]);
    report(b, 1, 1 << 20);
  },
  "row sum 512x128": () => {
    const b = new KernelBuilder([512], [128]);
    b.store(b.reduced("sum", b.load("float32", [128, 1])), [1, 0]);
    report(b, 512, n);
  },
  "column sum 512x128": () => {
    const b = new KernelBuilder([128], [512]);
    b.store(b.reduced("sum", b.load("float32", [1, 128])), [1, 0]);
    report(b, 128, n);
  },
  "column sum 512x10": () => {
    const b = new KernelBuilder([10], [512]);
    b.store(b.reduced("sum", b.load("float32", [1, 10])), [1, 0]);
    report(b, 10, 5120);
  },
  "embedding 256x64": () => {
    const b = new KernelBuilder([256, 64]), i = b.load("int32", [1, 0]);
    b.store(b.load("float32", [0, 1], { dynamic: [{ value: i, stride: 64, size: 1000 }] }), [
      64,
      1,
    ]);
    report(b, 256, 256 * 64);
  },
  "sgd momentum 64k": () => {
    const b = new KernelBuilder([n]);
    const p = b.load("float32", [1]), g = b.load("float32", [1]), m = b.load("float32", [1]);
    const v = b.op("add", b.op("mul", m, b.const(0.9)), g);
    b.store(v, [1], { buffer: 2 });
    b.store(b.op("sub", p, b.op("mul", b.load("float32", [0]), v)), [1], { buffer: 0 });
    report(b, n, n);
  },
  "argmax 512x10": () => {
    const b = new KernelBuilder([512], [10]), x = b.load("float32", [10, 1]);
    const hit = b.op("eq", x, b.reduced("max", x));
    const at = b.reduced("min", b.op("where", hit, b.index([0, 1]), b.const(10, "int32")));
    b.store(b.cast(at, "int64"), [1, 0]);
    report(b, 512, 5120);
  },
};

let current = "";
for (const [name, run] of Object.entries(benches)) {
  if (Deno.args.length > 0 && !name.includes(Deno.args[0])) continue;
  current = name;
  run();
}
