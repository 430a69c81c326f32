/** Host memory as NVIDIA's libraries want it: addresses, C strings, arrays of pointers, and the parameters of a kernel launch. */

const encoder = new TextEncoder(), decoder = new TextDecoder();

/**
 * The address of host memory. Typed-array memory does not move, so it may be kept for as long as the array is referenced.
 *
 * @param view Memory of at least one byte
 */
export function address(view: ArrayBufferView<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(view)));
}

/** The string at an address or pointer, up to its NUL; empty for null. */
export function readCString(at: Deno.PointerValue | bigint): string {
  const pointer = typeof at === "bigint" ? Deno.UnsafePointer.create(at) : at;
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** UTF-8 with a NUL at the end. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text + "\0");
}

/** Text of a byte array, up to its first NUL. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** The text of a status from a call that writes its address. */
export function textAt(
  call: (code: number, at: BigUint64Array<ArrayBuffer>) => number,
  code: number,
): string {
  const at = new BigUint64Array(1);
  return call(code, at) === 0 ? readCString(at[0]) : "";
}

/** The text of a status, followed by what the library last complained of. */
export function lastText(
  text: Deno.PointerValue,
  last: (message: Uint8Array<ArrayBuffer>, size: bigint) => void,
): string {
  const message = new Uint8Array(1024);
  last(message, BigInt(message.length));
  return [readCString(text), textOf(message)].filter((part) => part !== "").join(": ");
}

/** A `char **` and what it points to. */
export interface CStrings {
  /** One pointer per string; pass this. */
  readonly pointers: BigUint64Array<ArrayBuffer>;
  /** The strings: keep them referenced until the call has returned. */
  readonly strings: readonly Uint8Array<ArrayBuffer>[];
}

/** Strings as C takes them: an array of pointers. */
export function cStrings(texts: readonly string[]): CStrings {
  const strings = texts.map(cString);
  // One element at least: an empty array has no address.
  const pointers = new BigUint64Array(Math.max(1, texts.length));
  strings.forEach((s, i) => pointers[i] = address(s));
  return { pointers, strings };
}

/**
 * The parameters of kernel launches, allocated once: pointers followed by the slots of eight bytes that they point to. The driver copies the
 * parameters before the launch returns, so one block serves every launch of a thread.
 *
 * ```ts ignore
 * const block = new ParameterBlock();
 * block.pointer(0, x).pointer(1, y).f32(2, 0.5).i32(3, n);
 * driver.cuLaunchKernel(kernel, blocks, 1, 1, 256, 1, 1, 0, stream, block.address, 0n);
 * ```
 */
export class ParameterBlock {
  /** `kernelParams` of a launch. */
  readonly address: bigint;
  readonly #u32: Uint32Array<ArrayBuffer>;
  readonly #i32: Int32Array<ArrayBuffer>;
  readonly #f32: Float32Array<ArrayBuffer>;
  readonly #f64: Float64Array<ArrayBuffer>;
  readonly #u64: BigUint64Array<ArrayBuffer>;
  readonly #slots: number;

  /**
   * A block with all slots zero.
   * @param slots The largest number of parameters
   */
  constructor(slots: number = 64) {
    const memory = new ArrayBuffer(slots * 16);
    this.#slots = slots;
    this.#u32 = new Uint32Array(memory);
    this.#i32 = new Int32Array(memory);
    this.#f32 = new Float32Array(memory);
    this.#f64 = new Float64Array(memory);
    this.#u64 = new BigUint64Array(memory);
    this.address = address(this.#u64);
    for (let i = 0; i < slots; i++) this.#u64[i] = this.address + BigInt(8 * (slots + i));
  }

  /** Sets slot `i` to a device pointer, or to any whole number from 0 to 2^53 of 64 bits. */
  pointer(i: number, value: number): this {
    // Two halves: a BigInt would be allocated for each.
    this.#u32[2 * (this.#slots + this.#check(i))] = value;
    this.#u32[2 * (this.#slots + i) + 1] = value / 4294967296;
    return this;
  }

  /** Sets slot `i` to an `int`. */
  i32(i: number, value: number): this {
    this.#i32[2 * (this.#slots + this.#check(i))] = value;
    return this;
  }

  /** Sets slot `i` to an `unsigned int`. */
  u32(i: number, value: number): this {
    this.#u32[2 * (this.#slots + this.#check(i))] = value;
    return this;
  }

  /** Sets slot `i` to a `float`. */
  f32(i: number, value: number): this {
    this.#f32[2 * (this.#slots + this.#check(i))] = value;
    return this;
  }

  /** Sets slot `i` to a `double`. */
  f64(i: number, value: number): this {
    this.#f64[this.#slots + this.#check(i)] = value;
    return this;
  }

  /** Sets slot `i` to an `unsigned long long`, or to a `long long` given as its two's complement. */
  u64(i: number, value: bigint): this {
    this.#u64[this.#slots + this.#check(i)] = value;
    return this;
  }

  /** `i`, when there is such a slot: a typed array would drop the write without a word, and negative slots are the pointers. */
  #check(i: number): number {
    if (!(i >= 0 && i < this.#slots)) {
      throw new RangeError(`Cannot set kernel parameter ${i}: a block holds ${this.#slots}`);
    }
    return i;
  }
}
