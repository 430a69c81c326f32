/** From kernel data to CUDA C text and the geometry of its launches. */
import type { Kernel } from "../../kernel.ts";
import { Body, indent } from "./print_body.ts";
import { finishText, rowsText } from "./print_rows.ts";
import {
  chunksFor,
  PROCESSORS,
  product,
  rowsPerBlock,
  type Schedule,
  scheduleKey,
} from "./print_schedule.ts";
import { prelude } from "./prelude.ts";
import { typeTexts } from "./print_table.ts";

/** What a parameter of a printed kernel is; each takes eight bytes of the parameter block. */
export type Argument =
  /** The extent of the first outer dimension, an int64. */
  | { readonly kind: "extent" }
  /** Address of a buffer of the kernel. */
  | { readonly kind: "buffer"; readonly buffer: number }
  /** Address of three int64: a flag, and the first index out of range with the size that it left. */
  | { readonly kind: "error" }
  /** Address of {@linkcode Printed.scratchBytes} bytes. */
  | { readonly kind: "scratch" }
  /** Number of chunks of each row, an int64: the second grid dimension of the first pass. */
  | { readonly kind: "chunks" };

/** One launch. */
export interface Pass {
  /** Name of the function, unique to the kernel and its schedule. */
  readonly name: string;
  /** Threads of a block. */
  readonly blockSize: number;
  /** Whether threads wait for each other; a text without can be run thread by thread. */
  readonly synchronizes: boolean;
  /** Blocks in the first two dimensions; a 0 means that there is nothing to do and nothing to launch. */
  readonly gridSize: (extent: number, processors?: number) => readonly [number, number];
}

/** A kernel as CUDA C. */
export interface Printed {
  /** The functions, to be put after {@linkcode prelude}. */
  readonly text: string;
  /** The launches in order; all take the same arguments. */
  readonly passes: readonly Pass[];
  /** What each launch is given. */
  readonly arguments: readonly Argument[];
  /** Bytes of scratch memory that the launches share; 0 for none. */
  readonly scratchBytes: (extent: number, processors?: number) => number;
  /** Value of the argument `chunks`. */
  readonly chunks: (extent: number, processors?: number) => number;
}

/** 64 bits of two FNV-1a hashes, as hexadecimal digits. */
export function digest(text: string): string {
  let a = 0x811c9dc5, b = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ (c + 0x9e), 0x01000193);
  }
  return [a, b].map((x) => (x >>> 0).toString(16).padStart(8, "0")).join("");
}

/** Launches have at most this many blocks a multiprocessor; threads go on to further points. */
const BLOCKS = 64;
/** As above, where each thread gathers sums of columns over the rows that it walks. */
const GATHERING_BLOCKS = 2;

/**
 * Prints a kernel by a schedule; see {@linkcode scheduleFor}. Equal keys and schedules give equal texts.
 *
 * @param kernel What to compute; the extent of its first outer dimension is not used
 * @param schedule How threads share the work
 */
export function printKernel(kernel: Kernel, schedule: Schedule): Printed {
  const name = `${kernel.name.replace(/\W/g, "_")}_${
    digest(`${kernel.key}\n${scheduleKey(schedule)}`)
  }`;
  const args: Argument[] = [
    { kind: "extent" },
    ...kernel.buffers.map((_, buffer): Argument => ({ kind: "buffer", buffer })),
    ...(usesError(kernel) ? [{ kind: "error" } as const] : []),
    ...(schedule.split ? [{ kind: "scratch" } as const, { kind: "chunks" } as const] : []),
  ];
  const parameters = args.map((a) => parameter(kernel, a)).join(", ");
  const head = (name: string, block: number) =>
    `extern "C" __global__ void __launch_bounds__(${block}) ${name}(${parameters}) {`;
  const rows = (extent: number) => extent * product(kernel.outer.slice(1));
  const chunks = (extent: number, processors = PROCESSORS) =>
    chunksFor(kernel, schedule, extent, processors);
  const blocks = (work: number, processors: number, most = BLOCKS) =>
    Math.min(Math.ceil(work), most * processors);

  if (schedule.kind === "points") {
    const text = [head(name, schedule.block), ...indent(pointsText(kernel, schedule)), "}", ""];
    const pass: Pass = {
      name,
      blockSize: schedule.block,
      synchronizes: false,
      gridSize: (extent, processors = PROCESSORS) => [
        blocks(rows(extent) / schedule.width / schedule.block, processors),
        1,
      ],
    };
    return {
      text: text.join("\n"),
      passes: [pass],
      arguments: args,
      scratchBytes: () => 0,
      chunks: () => 1,
    };
  }

  const body = rowsText(kernel, schedule);
  const text = [head(name, schedule.block), ...indent(body.lines), "}", ""];
  const passes: Pass[] = [{
    name,
    blockSize: schedule.block,
    synchronizes: schedule.team > 1,
    gridSize: (extent, processors = PROCESSORS) => [
      blocks(
        rows(extent) / rowsPerBlock(schedule),
        processors,
        body.gathers ? GATHERING_BLOCKS : BLOCKS,
      ),
      chunks(extent, processors),
    ],
  }];
  if (schedule.split) {
    const finish = `${name}_finish`;
    text.push(head(finish, 128), ...indent(finishText(kernel, schedule)), "}", "");
    passes.push({
      name: finish,
      blockSize: 128,
      synchronizes: true,
      gridSize: (extent, processors = PROCESSORS) => [blocks(rows(extent) / 4, processors), 1],
    });
  }
  const reductions = kernel.values.filter((v) => v.kind === "reduce").length;
  return {
    text: text.join("\n"),
    passes,
    arguments: args,
    scratchBytes: (extent, processors) =>
      schedule.split ? 8 * reductions * rows(extent) * chunks(extent, processors) : 0,
    chunks,
  };
}

/** Options of NVRTC that printed programs want beside the architecture: a division by the constant zero means what it says. */
export const programOptions: readonly string[] = ["--diag-suppress=39"];

/** A program of several kernels, ready for NVRTC with {@linkcode programOptions}. */
export function programText(kernels: readonly Printed[]): string {
  return [prelude, ...kernels.map((k) => k.text)].join("\n");
}

function usesError(kernel: Kernel): boolean {
  return kernel.values.some((v) => v.kind === "load" && v.address.dynamic.length > 0) ||
    kernel.stores.some((s) => s.address.dynamic.length > 0);
}

function parameter(kernel: Kernel, a: Argument): string {
  if (a.kind === "extent") return "i64 extent";
  if (a.kind === "error") return "i64 *error";
  if (a.kind === "scratch") return "char *scratch";
  if (a.kind === "chunks") return "i64 chunks";
  const { dtype, access } = kernel.buffers[a.buffer];
  return `${access === "read" ? "const " : ""}${
    typeTexts[dtype].memory
  } *__restrict__ b${a.buffer}`;
}

/** Threads walk the outer space, `width` neighbours at a time. */
function pointsText(kernel: Kernel, schedule: Schedule): string[] {
  const { width, block } = schedule, { outer, stores } = kernel, rank = outer.length;
  const body = new Body(kernel, schedule), { index } = body;
  const inner = product(outer.slice(1));
  const total = inner === 1 ? `(${index})extent` : `(${index})extent * ${inner}`;
  body.stores(stores);
  const lines = [
    `const ${index} total = ${total}${width > 1 ? ` / ${width}` : ""};`,
    `const ${index} stride = (${index})gridDim.x * ${block};`,
    `for (${index} p = (${index})blockIdx.x * ${block} + threadIdx.x; p < total; p += stride) {`,
    ...indent([...body.coordinates(0, rank, "p", width), ...body.point()]),
    "}",
  ];
  if (width === 1 || rank > 1) return lines;
  // The extent need not be a multiple of the width; the last few are done one by one.
  const rest = new Body(kernel, schedule, 1);
  rest.stores(stores);
  return [
    ...lines,
    `const ${index} last = total * ${width} + (${index})blockIdx.x * ${block} + threadIdx.x;`,
    `if (last < (${index})extent) {`,
    ...indent([...rest.coordinates(0, rank, "last"), ...rest.point()]),
    "}",
  ];
}
