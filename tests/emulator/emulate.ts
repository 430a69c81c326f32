/** Runs printed CUDA C on the CPU: batches of kernels compiled by g++, called through FFI. */
import { prelude } from "../../core/backend/cuda/prelude.ts";
import type { Printed } from "../../core/backend/cuda/print.ts";
import type { HostArray } from "../../core/dtype.ts";
import type { Kernel } from "../../core/kernel.ts";

const header = new URL("device.h", import.meta.url).pathname;
/** Kernels of one compilation. */
const BATCH = 150;
/** Bytes before and after each buffer that no kernel may write. */
const GUARD = 256;
const guardByte = 0xa5;

/** Why kernels cannot be compiled here; undefined when they can. */
export function whyNoCompiler(): string | undefined {
  try {
    const { success } = new Deno.Command("g++", { args: ["--version"], stdout: "null" })
      .outputSync();
    return success ? undefined : "g++ does not run";
  } catch {
    return "g++ is not installed";
  }
}

type Run = (words: BigUint64Array<ArrayBuffer>, x: number, y: number, threads: number) => number;

/** Compiled kernels, by the names of their passes. */
export class Emulated implements Disposable {
  readonly #runs = new Map<string, Run>();
  readonly #libraries: { close(): void }[] = [];

  /** Compiles kernels, two batches at a time. Equal texts are compiled once, and kept in `folder` for the next run. */
  static async compile(kernels: readonly Printed[], folder: string): Promise<Emulated> {
    const made = new Emulated();
    const unique = [...new Map(kernels.map((k) => [k.passes[0].name, k])).values()];
    const batches: Printed[][] = [];
    for (let i = 0; i < unique.length; i += BATCH) batches.push(unique.slice(i, i + BATCH));
    await Deno.mkdir(folder, { recursive: true });
    const shim = await Deno.readTextFile(header);
    const next = async (): Promise<void> => {
      const batch = batches.shift();
      if (batch === undefined) return;
      made.#open(batch, await compileBatch(batch, folder, shim));
      await next();
    };
    await Promise.all([next(), next()]);
    return made;
  }

  #open(batch: readonly Printed[], path: string): void {
    const passes = batch.flatMap((k) => k.passes);
    const symbols = Object.fromEntries(
      passes.map((p) => [
        `run_${p.name}`,
        { parameters: ["buffer", "u32", "u32", "u32"], result: "i32" } as const,
      ]),
    );
    const library = Deno.dlopen(path, symbols);
    this.#libraries.push(library);
    for (const p of passes) this.#runs.set(p.name, library.symbols[`run_${p.name}`] as Run);
  }

  /**
   * Runs a kernel on copies of the buffers.
   *
   * @param mostBlocks Blocks in the first dimension at most, whose threads then go on to further points
   * @returns The buffers afterwards, and the words of the index error
   * @throws {Error} When threads wait for each other in vain, or write beside a buffer
   */
  run(
    kernel: Kernel,
    printed: Printed,
    extent: number,
    buffers: readonly HostArray[],
    mostBlocks = Infinity,
  ): { buffers: HostArray[]; error: BigInt64Array } {
    const guarded = buffers.map((b) => new Guarded(b.byteLength));
    guarded.forEach((g, i) => g.bytes.set(bytesOf(buffers[i])));
    const scratch = new Guarded(printed.scratchBytes(extent));
    const error = new BigInt64Array(3);
    const words = BigUint64Array.from(printed.arguments, (a) => {
      if (a.kind === "extent") return BigInt(extent);
      if (a.kind === "buffer") return guarded[a.buffer].address;
      if (a.kind === "scratch") return scratch.address;
      if (a.kind === "chunks") return BigInt(printed.chunks(extent));
      return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(error)));
    });
    for (const p of printed.passes) {
      const [x, y] = p.gridSize(extent);
      if (x * y === 0) continue;
      const failure = this.#runs.get(p.name)!(words, Math.min(x, mostBlocks), y, p.blockSize);
      if (failure !== 0) {
        throw new Error(`${p.name}: ${failures[failure]}\n${kernel.key}\n${printed.text}`);
      }
    }
    [...guarded, scratch].forEach((g, i) => {
      if (!g.intact()) {
        const what = i < guarded.length ? `buffer ${i}` : "the scratch memory";
        throw new Error(`${printed.passes[0].name} writes beside ${what}\n${printed.text}`);
      }
    });
    return {
      buffers: buffers.map((b, i) => {
        const Type = b.constructor as new (buffer: ArrayBuffer) => HostArray;
        return new Type(guarded[i].bytes.slice().buffer);
      }),
      error,
    };
  }

  /** Closes the compiled libraries. */
  [Symbol.dispose](): void {
    for (const l of this.#libraries) l.close();
  }
}

const failures: Record<number, string> = {
  1: "some threads never reach a barrier that others wait at",
  2: "threads of one warp wait at different places",
  3: "an access is not aligned",
};

const bytesOf = (b: HostArray) => new Uint8Array(b.buffer, b.byteOffset, b.byteLength);

/** Memory at a multiple of 256 bytes, as device memory is, between bytes that must not change. */
class Guarded {
  readonly #all: Uint8Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly address: bigint;

  constructor(size: number) {
    this.#all = new Uint8Array(size + 2 * GUARD + 256).fill(guardByte);
    const start = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#all)));
    const skip = Number((256n - start % 256n) % 256n) + GUARD;
    this.bytes = this.#all.subarray(skip, skip + size);
    this.address = start + BigInt(skip);
  }

  intact(): boolean {
    const begin = this.bytes.byteOffset, end = begin + this.bytes.length;
    const beside = [this.#all.subarray(0, begin), this.#all.subarray(end)];
    return beside.every((part) => part.every((x) => x === guardByte));
  }
}

async function digestOf(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash).slice(0, 12), (x) => x.toString(16).padStart(2, "0"))
    .join("");
}

async function compileBatch(
  batch: readonly Printed[],
  folder: string,
  shim: string,
): Promise<string> {
  const thunks = batch.flatMap((k) => k.passes).map((p) => `EMULATE(${p.name}, ${p.synchronizes})`);
  const text = [prelude, ...batch.map((k) => k.text), ...thunks, ""].join("\n");
  const base = `${folder}/${await digestOf(shim + text)}`, path = `${base}.so`;
  try {
    await Deno.stat(path);
    return path;
  } catch {
    // Not compiled yet.
  }
  await Deno.writeTextFile(`${base}.cpp`, text);
  const temporary = `${base}.${Deno.pid}.so`;
  const command = new Deno.Command("g++", {
    // Compiling takes far longer than running.
    // deno-fmt-ignore
    args: ["-std=c++17", "-O0", "-fPIC", "-shared", "-w", "-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing",
      "-include", header, "-o", temporary, `${base}.cpp`],
    stderr: "piped",
  });
  const { success, stderr } = await command.output();
  if (!success) {
    const messages = new TextDecoder().decode(stderr).split("\n").slice(0, 20).join("\n");
    throw new Error(`g++ cannot compile ${base}.cpp:\n${messages}`);
  }
  await Deno.rename(temporary, path);
  return path;
}
