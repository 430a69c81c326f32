/** CUDA C to machine code: in batches, cached in memory and on disk. */
import { compileCuda, cString, type NvrtcCalls, openNvrtc } from "@pta/ffi";
import { log } from "../../debug.ts";
import { env } from "../../env.ts";
import { DiskCache } from "./disk_cache.ts";
import { prelude } from "./prelude.ts";
import { programOptions } from "./print.ts";
import type { CudaRuntime } from "./runtime.ts";

/** A text that is, or will be, compiled. */
export class Program {
  /** Module that the text is in, once it has been loaded. */
  module: bigint | undefined;
  readonly #programs: Programs;
  readonly #functions: Map<string, bigint> = new Map();

  /**
   * Remembers a text; nothing is compiled.
   * @param programs Who compiles it
   * @param text Functions, without the prelude
   * @param batches Whether it may share a module with others
   */
  constructor(programs: Programs, readonly text: string, readonly batches: boolean) {
    this.#programs = programs;
  }

  /**
   * A function of the program; compiles when that has not happened yet.
   *
   * @param name Name as in the text
   * @param shared Bytes of dynamic shared memory that it will be launched with
   * @throws {NvrtcError} When the text does not compile
   */
  function(name: string, shared: number = 0): bigint {
    let fn = this.#functions.get(name);
    if (fn === undefined) {
      if (this.module === undefined) this.#programs.compile(this);
      fn = this.#programs.functionOf(this.module!, name, shared);
      this.#functions.set(name, fn);
    }
    return fn;
  }
}

/** Programs of one device. A batch of texts is compiled together: that costs far less than one after the other. */
export class Programs {
  readonly #runtime: CudaRuntime;
  readonly #known: Map<string, Program> = new Map();
  readonly #pending: Set<Program> = new Set();
  readonly #disk: DiskCache = new DiskCache();
  readonly #modules: Map<string, bigint> = new Map();
  #nvrtc: { calls: NvrtcCalls; options: string[]; stamp: string } | undefined;
  /** Programs handed to the compiler so far, and modules taken from the disk. */
  readonly counts: { compiled: number; fromDisk: number } = { compiled: 0, fromDisk: 0 };

  /**
   * Opens nothing yet.
   * @param runtime The device to compile for
   */
  constructor(runtime: CudaRuntime) {
    this.#runtime = runtime;
  }

  /**
   * A program by its text; not compiled yet.
   *
   * @param text Functions, without the prelude
   * @param batches Whether names of the text collide with no other's, so that it may be compiled together with them
   */
  program(text: string, batches: boolean = false): Program {
    let program = this.#known.get(text);
    if (program === undefined) {
      this.#known.set(text, program = new Program(this, text, batches));
      if (batches) this.#pending.add(program);
    }
    return program;
  }

  /** Compiles a program, and with it all that wait. */
  compile(program: Program): void {
    const all = program.batches ? [...this.#pending] : [program];
    if (program.batches) this.#pending.clear();
    const { options, stamp } = this.#compiler();
    const keys = new Map(all.map((p) => [p, this.#disk.key(`${stamp}\n${p.text}`)]));
    const missing: Program[] = [];
    for (const p of all) {
      const home = this.#disk.homeOf(keys.get(p)!);
      p.module = home === undefined ? undefined : this.#fromDisk(home);
      if (p.module === undefined) missing.push(p);
    }
    if (missing.length === 0) return;
    const start = performance.now();
    const source = [prelude, ...missing.map((p) => p.text)].join("\n");
    const { cubin, ptx } = compileCuda(this.#nvrtc!.calls, { source, options });
    this.counts.compiled += missing.length;
    // Where the compiler is older than the device, the driver makes machine code of the assembly.
    const image = cubin.length > 0 ? cubin : cString(ptx);
    log(2, `compiled ${missing.length} programs in ${(performance.now() - start).toFixed(0)} ms`);
    const module = this.#load(image);
    for (const p of missing) p.module = module;
    this.#disk.store(image, missing.map((p) => keys.get(p)!));
  }

  /** A function of a module. */
  functionOf(module: bigint, name: string, shared: number): bigint {
    const at = new BigUint64Array(1), { driver } = this.#runtime;
    driver.cuModuleGetFunction(at, module, cString(name));
    // More than 48 KiB of shared memory must be asked for.
    if (shared > 48 << 10) driver.cuFuncSetAttribute(at[0], 8, shared);
    return at[0];
  }

  #fromDisk(home: string): bigint | undefined {
    const known = this.#modules.get(home);
    if (known !== undefined) return known;
    const image = this.#disk.load(home);
    if (image === undefined) return undefined;
    try {
      const module = this.#load(image);
      this.#modules.set(home, module);
      this.counts.fromDisk++;
      return module;
    } catch {
      // A file that this driver does not take is as good as none.
      return undefined;
    }
  }

  #load(image: Uint8Array<ArrayBuffer>): bigint {
    const at = new BigUint64Array(1);
    this.#runtime.activate();
    this.#runtime.driver.cuModuleLoadData(at, image);
    return at[0];
  }

  #compiler(): { options: string[]; stamp: string } {
    if (this.#nvrtc === undefined) {
      const { calls, version } = openNvrtc();
      const [major, minor] = this.#runtime.facts.capability, asked = major * 10 + minor;
      const newest = newestArchitecture(calls);
      const arch = newest === undefined || asked <= newest ? `sm_${asked}` : `compute_${newest}`;
      const options = [`-arch=${arch}`, ...programOptions];
      if (env("PTA_CUDA_LINEINFO") === "1") options.push("-lineinfo");
      const stamp = `nvrtc ${version.join(".")} ${options.join(" ")}\n${prelude}`;
      this.#nvrtc = { calls, options, stamp };
    }
    return this.#nvrtc;
  }
}

/** The newest architecture that the compiler knows. */
function newestArchitecture(calls: NvrtcCalls): number | undefined {
  const count = new Int32Array(1);
  calls.nvrtcGetNumSupportedArchs(count);
  if (count[0] <= 0) return undefined;
  const archs = new Int32Array(count[0]);
  calls.nvrtcGetSupportedArchs(archs);
  return Math.max(...archs);
}
