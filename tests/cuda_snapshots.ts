/** The kernels whose printed text is kept in `fixtures/cuda`, one for each thing that printing does. */
import type { Kernel } from "../core/kernel.ts";
import { KernelBuilder } from "./kernel_builder.ts";

/** A kernel with the extent that it is printed for. */
export interface SnapshotKernel {
  readonly name: string;
  readonly kernel: Kernel;
  readonly extent: number;
}

function gelu(): Kernel {
  const b = new KernelBuilder([1 << 20]), x = b.cast(b.load("bfloat16", [1]), "float32");
  const half = b.op("mul", x, b.const(0.5));
  const e = b.op("erf", b.op("mul", x, b.const(Math.SQRT1_2)));
  b.store(b.cast(b.op("mul", half, b.op("add", e, b.const(1))), "bfloat16"), [1]);
  return b.build();
}

function biasOfRows(): Kernel {
  const b = new KernelBuilder([64, 128]);
  b.store(b.op("add", b.load("float32", [128, 1]), b.load("float32", [0, 1])), [128, 1]);
  return b.build();
}

function transposed(): Kernel {
  const b = new KernelBuilder([64, 48]);
  b.store(b.load("float32", [1, 64]), [48, 1]);
  return b.build();
}

function dropout(): Kernel {
  const b = new KernelBuilder([4096]), x = b.load("float32", [1]);
  const words = [0, 1, 2].map((i) =>
    b.load("int32", [0], { offset: i, buffer: i === 0 ? undefined : 1 })
  );
  const bits = b.op("randomBits", b.index([1]), words[0], words[1], words[2]);
  const keep = b.op("lt", bits, b.const(1 << 30, "int32"));
  b.store(b.op("where", keep, b.op("mul", x, b.const(4 / 3)), b.const(0)), [1]);
  return b.build();
}

function softmax(columns: number): Kernel {
  const b = new KernelBuilder([512], [columns]), x = b.load("float32", [columns, 1]);
  const e = b.op("exp", b.op("sub", x, b.reduced("max", x)));
  b.store(b.op("div", e, b.reduced("sum", e)), [columns, 1]);
  return b.build();
}

function normGradient(): Kernel {
  const b = new KernelBuilder([4096], [64]), g = b.load("float32", [64, 1]);
  const x = b.load("float32", [64, 1]), w = b.load("float32", [0, 1]);
  const gx = b.op("mul", g, x);
  b.store(b.op("sub", b.op("mul", g, w), b.reduced("sum", gx)), [64, 1]);
  b.store(gx, [0, 1], { mode: "add" });
  return b.build();
}

function columnSum(rows: number, columns: number): Kernel {
  const b = new KernelBuilder([columns], [rows]);
  b.store(b.reduced("sum", b.load("float32", [1, columns])), [1, 0]);
  return b.build();
}

function total(): Kernel {
  const n = 1 << 20, b = new KernelBuilder([1], [n]);
  const sum = b.reduced("sum", b.load("float16", [0, 1]));
  b.store(b.op("div", b.cast(sum, "float32"), b.const(n)), [0, 0]);
  return b.build();
}

function embedding(): Kernel {
  const b = new KernelBuilder([512, 64]), index = b.load("int64", [1, 0]);
  const dynamic = [{ value: index, stride: 64, size: 1000 }];
  b.store(b.load("float32", [0, 1], { dynamic }), [64, 1]);
  return b.build();
}

function embeddingGradient(): Kernel {
  const b = new KernelBuilder([512, 64]), index = b.load("int32", [1, 0]);
  const dynamic = [{ value: index, stride: 64, size: 1000 }];
  b.store(b.load("bfloat16", [64, 1]), [0, 1], { mode: "add", dynamic });
  return b.build();
}

function integers(): Kernel {
  const b = new KernelBuilder([1000]), x = b.load("int64", [1]), y = b.load("uint8", [1]);
  const d = b.op("div", x, b.cast(y, "int64"));
  b.store(b.op("mod", d, b.const(-7, "int64")), [1]);
  b.store(b.op("eq", b.op("shr", y, b.const(2, "uint8")), b.const(3, "uint8")), [1]);
  return b.build();
}

/** Stochastic gradient descent in place, beside the square of the gradient's norm. */
function update(): Kernel {
  const n = 1 << 18, b = new KernelBuilder([1], [n]);
  const p = b.load("float32", [0, 1]),
    g = b.load("float32", [0, 1]),
    lr = b.load("float32", [0, 0]);
  b.store(b.op("sub", p, b.op("mul", lr, g)), [0, 1], { buffer: 0 });
  b.store(b.op("sqrt", b.reduced("sum", b.op("mul", g, g))), [0, 0]);
  return b.build();
}

/** All of them. */
export function snapshotKernels(): SnapshotKernel[] {
  const at = (name: string, kernel: Kernel) => ({ name, kernel, extent: kernel.outer[0] });
  return [
    at("gelu_bfloat16", gelu()),
    at("bias_of_rows", biasOfRows()),
    at("transposed", transposed()),
    at("dropout", dropout()),
    at("softmax_of_short_rows", softmax(10)),
    at("softmax_of_a_warp", softmax(256)),
    at("softmax_of_a_block", softmax(50304)),
    at("norm_gradient", normGradient()),
    at("column_sum", columnSum(512, 8192)),
    at("column_sum_split", columnSum(8192, 768)),
    at("total_float16", total()),
    at("embedding", embedding()),
    at("embedding_gradient", embeddingGradient()),
    at("integers", integers()),
    at("update_and_norm", update()),
  ];
}
