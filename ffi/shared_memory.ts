/**
 * Memory that processes of one machine share, by the C library's `mmap` over a file that lives in memory only. Linux; elsewhere, and without
 * `--allow-ffi`, there is none.
 *
 * @module
 */
import { ffiGranted, tryLibrary } from "./library.ts";

const symbols = {
  // open has a variable number of arguments; on Linux they are passed like fixed ones
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  posix_fallocate: { parameters: ["i32", "i64", "i64"], result: "i32" },
  mmap: {
    parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"],
    result: "pointer",
  },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const O_RDWR = 2, O_CREAT = 0o100, O_EXCL = 0o200;
const PROT_READ_WRITE = 3, MAP_SHARED = 1, MAP_FAILED = -1n;
const FOLDER = "/dev/shm";

type Calls = Deno.DynamicLibrary<typeof symbols>["symbols"];
let calls: Calls | undefined | "unopened" = "unopened";

function library(): Calls | undefined {
  if (calls !== "unopened") return calls;
  calls = undefined;
  if (Deno.build.os !== "linux" || !ffiGranted()) return undefined;
  for (const name of ["libc.so.6", "libc.so"]) {
    const opened = tryLibrary(name, symbols);
    if (typeof opened === "string") continue;
    calls = opened.symbols;
    break;
  }
  return calls;
}

const cString = (text: string) => new TextEncoder().encode(`${text}\0`);

/** A piece of memory that other processes can map by its name. */
export class SharedMemory {
  /** What another process opens it by. */
  readonly name: string;
  /** The memory. It must not be touched after `close`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #pointer: Deno.PointerValue;

  private constructor(name: string, pointer: Deno.PointerObject, length: number) {
    this.name = name;
    this.#pointer = pointer;
    this.bytes = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, length));
  }

  /**
   * Makes a piece of zeroed memory.
   *
   * @param length Bytes
   * @returns `undefined` when this machine has no such memory, or not enough of it
   */
  static create(length: number): SharedMemory | undefined {
    const name = `pta_${crypto.randomUUID()}`;
    return SharedMemory.#map(name, length, true);
  }

  /**
   * Maps the memory that another process has made.
   *
   * @param name As that process has it
   * @param length Bytes, the same
   * @returns `undefined` when there is none of that name here
   */
  static open(name: string, length: number): SharedMemory | undefined {
    if (!/^pta_[0-9a-f-]{36}$/.test(name)) return undefined;
    return SharedMemory.#map(name, length, false);
  }

  static #map(name: string, length: number, isNew: boolean): SharedMemory | undefined {
    const c = library();
    if (c === undefined) return undefined;
    const path = cString(`${FOLDER}/${name}`);
    const fd = c.open(path, O_RDWR | (isNew ? O_CREAT | O_EXCL : 0), 0o600);
    if (fd < 0) return undefined;
    // without room, the first touch would end the process
    const isThere = !isNew || c.posix_fallocate(fd, 0n, BigInt(length)) === 0;
    const pointer = isThere
      ? c.mmap(null, BigInt(length), PROT_READ_WRITE, MAP_SHARED, fd, 0n)
      : null;
    c.close(fd);
    if (pointer === null || BigInt.asIntN(64, Deno.UnsafePointer.value(pointer)) === MAP_FAILED) {
      if (isNew) c.unlink(path);
      return undefined;
    }
    return new SharedMemory(name, pointer, length);
  }

  /** Takes the name away, so that nothing is left when the processes end. The memory stays with those that have mapped it. */
  unlink(): void {
    library()?.unlink(cString(`${FOLDER}/${this.name}`));
  }

  /** Gives the memory back. */
  close(): void {
    library()?.munmap(this.#pointer, BigInt(this.bytes.length));
  }
}
