/** Independent kernels as one launch: each takes a range of the blocks. */
import { ParameterBlock } from "@pta/ffi";
import type { Launch } from "../../device.ts";
import type { BoundKernel } from "./kernels.ts";
import { digest } from "./print.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Kernels of one launch at most, and their arguments: a launch may have 4 KiB of them. */
const MOST = 32, MOST_ARGUMENTS = 400;

/** Whether a kernel can be a part of another: one pass of one row of blocks. */
export function joins(kernel: BoundKernel | undefined): kernel is BoundKernel {
  return kernel !== undefined && kernel.printed.passes.length === 1 &&
    kernel.passes.length === 1 && kernel.passes[0].grid[1] === 1;
}

/** Independent kernels in groups that one launch can do. */
export function groups(kernels: readonly BoundKernel[]): BoundKernel[][] {
  const byBlock = new Map<number, BoundKernel[][]>();
  for (const kernel of kernels) {
    const { block } = kernel.passes[0];
    const lists = byBlock.get(block) ?? [[]], last = lists.at(-1)!;
    const used = last.reduce((n, k) => n + k.values.length + 1, 0);
    const full = last.length === MOST || used + kernel.values.length + 1 > MOST_ARGUMENTS;
    if (full) lists.push([kernel]);
    else last.push(kernel);
    byBlock.set(block, lists);
  }
  return [...byBlock.values()].flat();
}

/** One text for kernels of equal block size. The numbers of blocks are arguments, so equal kernels of other sizes share it. */
function joinedText(kernels: readonly BoundKernel[]): { name: string; text: string } {
  const id = digest(kernels.map((k) => k.passes[0].name).join(" "));
  const name = `joined_${kernels.length}_${id}`, { block } = kernels[0].passes[0];
  const bodies: string[] = [], parameters: string[] = [], calls: string[] = [];
  kernels.forEach(({ printed, passes }, i) => {
    const head = new RegExp(`extern "C" __global__ [^\\n]*\\b${passes[0].name}\\(([^\\n]*)\\) \\{`);
    const found = head.exec(printed.text);
    if (found === null) throw new Error(`Cannot join ${passes[0].name}: its text has no head`);
    const list = found[1].split(", ");
    bodies.push(
      printed.text.replace(
        found[0],
        `__device__ __forceinline__ void part${i}_${id}(${found[1]}, u32 blockOf, u32 blocksOf) {`,
      ).replace(/\bblockIdx\.x\b/g, "blockOf").replace(/\bgridDim\.x\b/g, "blocksOf"),
    );
    parameters.push(`i64 blocks${i}`, ...list.map((p) => p.replace(/\w+$/, (n) => `${n}_${i}`)));
    const names = list.map((p) => `${/\w+$/.exec(p)![0]}_${i}`);
    calls.push(
      `if (block < (u32)blocks${i}) {`,
      `  part${i}_${id}(${names.join(", ")}, block, (u32)blocks${i});`,
      "  return;",
      "}",
      ...(i < kernels.length - 1 ? [`block -= (u32)blocks${i};`] : []),
    );
  });
  const text = [
    ...bodies,
    `extern "C" __global__ void __launch_bounds__(${block}) ${name}(${parameters.join(", ")}) {`,
    "  u32 block = blockIdx.x;",
    ...calls.map((line) => `  ${line}`),
    "}",
    "",
  ].join("\n");
  return { name, text };
}

/** One launch of independent kernels of equal block size. It is compiled by `prepare`, or at its first run. */
export function joinKernels(
  runtime: CudaRuntime,
  kernels: readonly BoundKernel[],
): { readonly launch: Launch; readonly prepare: () => void } {
  const { name, text } = joinedText(kernels), program = runtime.programs.program(text, true);
  const values = kernels.flatMap((k) => [k.passes[0].grid[0], ...k.values]);
  const grid = kernels.reduce((n, k) => n + k.passes[0].grid[0], 0);
  const { block } = kernels[0].passes[0], { driver, stream } = runtime;
  // A block of its own, so it is filled once; it must live as long as the launch.
  const parameters = new ParameterBlock(values.length);
  values.forEach((value, i) => parameters.pointer(i, value));
  let fn: bigint | undefined;
  const prepare = () => {
    fn ??= program.function(name);
  };
  const launch = () => {
    prepare();
    driver.cuLaunchKernel(fn!, grid, 1, 1, block, 1, 1, 0, stream, parameters.address, 0n);
  };
  return { launch, prepare };
}
