/** Printed CUDA C: snapshots of a dozen kernels, schedules and launches, and every text of the test matrix compiled by the real NVRTC. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { compileCuda, type NvrtcCalls, openNvrtc } from "@pta/ffi";
import {
  type Printed,
  printKernel,
  programOptions,
  programText,
} from "../core/backend/cuda/print.ts";
import { scheduleFor, scheduleKey } from "../core/backend/cuda/print_schedule.ts";
import type { Kernel } from "../core/kernel.ts";
import { recordGraphs } from "./cuda_graphs.ts";
import { handKernels } from "./cuda_hand_kernels.ts";
import { schedulesOf } from "./cuda_kernels.ts";
import { snapshotKernels } from "./cuda_snapshots.ts";
import { KernelBuilder } from "./kernel_builder.ts";
import { randomKernel } from "./kernel_fuzz.ts";

const architectures = ["sm_80", "sm_90", "sm_100"];
/** Kernels of one program: NVRTC takes longer for many small ones. */
const BATCH = 150;

const print = (kernel: Kernel, extent: number) => printKernel(kernel, scheduleFor(kernel, extent));

Deno.test("cuda print: snapshots of generated text", async () => {
  const folder = new URL("fixtures/cuda/", import.meta.url);
  const update = Deno.env.get("PTA_UPDATE_SNAPSHOTS") === "1";
  for (const { name, kernel, extent } of snapshotKernels()) {
    const schedule = scheduleFor(kernel, extent);
    const text = `// ${scheduleKey(schedule)}\n${printKernel(kernel, schedule).text}`;
    const file = new URL(`${name}.cu`, folder);
    if (update) await Deno.writeTextFile(file, text);
    assertEquals(
      text,
      await Deno.readTextFile(file),
      `${name}; PTA_UPDATE_SNAPSHOTS=1 writes them`,
    );
  }
});

Deno.test("cuda print: equal kernels give equal texts, others other names", () => {
  const names = new Map<string, string>();
  for (let seed = 0; seed < 100; seed++) {
    const { b, extent } = randomKernel(seed), kernel = b.build();
    for (const schedule of schedulesOf(kernel, extent)) {
      const { text, passes } = printKernel(kernel, schedule);
      assertEquals(printKernel({ ...kernel, outer: [...kernel.outer] }, schedule).text, text);
      const key = `${kernel.key}\n${scheduleKey(schedule)}`;
      assertEquals(names.get(passes[0].name) ?? key, key);
      names.set(passes[0].name, key);
    }
  }
});

Deno.test("cuda print: the extent of the first dimension is not in the text", () => {
  const at = (extent: number) => {
    const b = new KernelBuilder([extent], [64]);
    const x = b.load("float32", [64, 1]);
    b.store(b.op("sub", x, b.reduced("max", x)), [64, 1]);
    return print(b.build(), extent);
  };
  assertEquals(at(1000).text, at(2000).text);
  assertEquals(at(1000).passes[0].gridSize(1000), [63, 1]);
  assertEquals(at(1000).passes[0].gridSize(0), [0, 1]);
});

const flat = (outer: readonly number[], strides: readonly number[], offset = 0) => {
  const b = new KernelBuilder(outer);
  b.store(b.op("neg", b.load("float32", strides, { offset })), strides);
  return b.build();
};
const sum = (outer: readonly number[], reduce: readonly number[], strides: readonly number[]) => {
  const b = new KernelBuilder(outer, reduce);
  const out = outer.map((_, d) => outer.slice(d + 1).reduce((x, y) => x * y, 1));
  b.store(b.reduced("sum", b.load("float32", strides)), [...out, ...reduce.map(() => 0)]);
  return b.build();
};

Deno.test("cuda print: threads share work by the form of the kernel", () => {
  const rows: [string, Kernel, number, string][] = [
    ["contiguous", flat([4096], [1]), 4096, "points 4 1/256"],
    ["an odd row", flat([8, 7], [7, 1]), 8, "points 1 1/256"],
    ["rows of whole vectors", flat([8, 12], [12, 1]), 8, "points 4 1/256"],
    ["a row pitch that breaks vectors", flat([8, 12], [13, 1]), 8, "points 1 1/256"],
    ["two elements at a time", flat([8, 6], [6, 1]), 8, "points 2 1/256"],
    ["short rows", sum([4096], [10], [10, 1]), 4096, "rows 2 8/256"],
    ["a warp a row", sum([4096], [768], [768, 1]), 4096, "rows 4 32/256"],
    ["a block a row", sum([4096], [50304], [50304, 1]), 4096, "rows 4 1024/1024"],
    ["few rows", sum([8], [1024], [1024, 1]), 8, "rows 4 256/256"],
    ["one long row", sum([1], [1 << 20], [0, 1]), 1, "rows 4 256/256 split"],
    ["columns", sum([768], [65536], [1, 768]), 768, "columns 1 16/512 split"],
    ["many columns", sum([1 << 20], [8], [1, 1 << 20]), 1 << 20, "columns 1 1/128"],
    ["beyond 32 bits", flat([1 << 31], [1]), 2 ** 31, "points 4 1/256 wide"],
  ];
  for (const [name, kernel, extent, want] of rows) {
    assertEquals(scheduleKey(scheduleFor(kernel, extent)), want, name);
  }
  assert(print(flat([4096], [1]), 4096).text.includes("loadPack<float, 4>"));
  // An odd offset keeps the load from being one access, the store is one all the same.
  const shifted = print(flat([4096], [1], 1), 4096).text;
  assert(!shifted.includes("loadPack") && shifted.includes("storePack<float, 4>"));
});

Deno.test("cuda print: cut rows leave parts, and a second launch joins them", () => {
  const kernel = sum([1], [1 << 20], [0, 1]), printed = print(kernel, 1);
  const [first, second] = printed.passes, chunks = printed.chunks(1);
  assertEquals(printed.arguments.map((a) => a.kind), [
    "extent",
    "buffer",
    "buffer",
    "scratch",
    "chunks",
  ]);
  assertEquals(first.gridSize(1), [1, chunks]);
  assertEquals(second.gridSize(1), [1, 1]);
  assertEquals(printed.scratchBytes(1), 8 * chunks);
  assert(chunks > 100);
  assertNotEquals(printed.chunks(1, 8), chunks);
});

let nvrtc: NvrtcCalls | undefined, reason = "";
try {
  nvrtc = openNvrtc().calls;
} catch (error) {
  reason = ` (skipped: ${(error as Error).message.split(". ")[0]})`;
}

/** Compiles every text once for one of the architectures in turn, or for all of them with `PTA_CUDA_ALL=1`. */
function compileAll(kernels: readonly Printed[]): void {
  const all = [...new Map(kernels.map((k) => [k.passes[0].name, k])).values()];
  const every = Deno.env.get("PTA_CUDA_ALL") === "1";
  architectures.forEach((arch, turn) => {
    const mine = every ? all : all.filter((_, i) => i % architectures.length === turn);
    for (let i = 0; i < mine.length; i += BATCH) {
      const source = programText(mine.slice(i, i + BATCH));
      const options = [`-arch=${arch}`, ...programOptions];
      const { cubin, log } = compileCuda(nvrtc!, { source, options });
      assert(cubin.length > 0);
      assertEquals(log, "", "warnings");
    }
  });
}

const compiled = (name: string, kernels: () => Printed[]) =>
  Deno.test({
    name: `cuda print: NVRTC compiles ${name}${reason}`,
    ignore: nvrtc === undefined,
    fn: () => compileAll(kernels()),
  });

compiled("kernels by hand and random ones", () => [
  ...handKernels().map(({ sample: { kernel, extent } }) => print(kernel, extent)),
  ...Array.from({ length: 24 }, (_, seed) => {
    const { b, extent } = randomKernel(seed), kernel = b.build();
    return schedulesOf(kernel, extent).map((s) => printKernel(kernel, s));
  }).flat(),
]);
compiled(
  "the operator matrix, random graphs and models",
  () => recordGraphs(25).map(({ kernel, extent }) => print(kernel, extent)),
);
