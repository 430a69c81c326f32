/**
 * A WebAssembly assembler: just enough of the binary format for what this backend generates.
 *
 * An instruction is a {@linkcode Code}: a function that writes its operands and then its opcode into one growing buffer, so composing
 * expressions copies nothing. Using the same `Code` twice emits it twice; keep shared values in locals. The instructions themselves
 * are in `instructions.ts`, whose groups have the names of the text format (`i32.add`, `f32x4.mul`), in camelCase.
 */

/** Value types. */
export const valueTypes = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

/** Name of a value type. */
export type ValueType = keyof typeof valueTypes;

/** Emits instructions into a writer. */
export type Code = (out: Writer) => void;

/** Index of a parameter or local of a function. */
export type Local = number;

/** A growing byte buffer with the encodings of the binary format. */
export class Writer {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  #room(extra: number): void {
    if (this.#length + extra <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + extra));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** One byte. */
  byte(b: number): void {
    if (this.#length === this.#bytes.length) this.#room(1);
    this.#bytes[this.#length++] = b;
  }

  /** Bytes as they are. */
  raw(bytes: ArrayLike<number>): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** An unsigned LEB128 of up to 32 bits. */
  unsigned(n: number): void {
    n >>>= 0;
    while (n > 127) {
      this.byte((n & 127) | 128);
      n >>>= 7;
    }
    this.byte(n);
  }

  /** A signed LEB128 of 32 bits. */
  signed(n: number): void {
    n |= 0;
    while (n < -64 || n > 63) {
      this.byte((n & 127) | 128);
      n >>= 7;
    }
    this.byte(n & 127);
  }

  /** A signed LEB128 of 64 bits. */
  signed64(n: bigint): void {
    n = BigInt.asIntN(64, n);
    while (n < -64n || n > 63n) {
      this.byte(Number(n & 127n) | 128);
      n >>= 7n;
    }
    this.byte(Number(n & 127n));
  }

  /** A little-endian 32-bit integer. */
  int32(n: number): void {
    this.#room(4);
    this.#view.setInt32(this.#length, n, true);
    this.#length += 4;
  }

  /** A little-endian float32. */
  float32(x: number): void {
    this.#room(4);
    this.#view.setFloat32(this.#length, x, true);
    this.#length += 4;
  }

  /** A little-endian float64. */
  float64(x: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#length, x, true);
    this.#length += 8;
  }

  /** A length-prefixed ASCII name. */
  name(text: string): void {
    this.unsigned(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }

  /** A length-prefixed part, filled by `body`. */
  part(body: (out: Writer) => void): void {
    const inner = new Writer();
    body(inner);
    this.unsigned(inner.length);
    this.raw(inner.#bytes.subarray(0, inner.#length));
  }

  /** A copy of what was written. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}

/** A function of the module, imported or defined; `index` is known once the module is built. */
export interface FuncRef {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
  index: number;
}

/** A function being built: parameters are locals `0 .. params.length - 1`. */
export class Func implements FuncRef {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
  /** Exported under this name when given. */
  readonly exportName?: string;
  index = -1;
  readonly #locals: ValueType[] = [];
  #body: Code[] = [];

  constructor(
    params: readonly ValueType[],
    results: readonly ValueType[] = [],
    exportName?: string,
  ) {
    this.params = params;
    this.results = results;
    this.exportName = exportName;
  }

  /** A new local, zero at entry. */
  local(type: ValueType): Local {
    return this.params.length + this.#locals.push(type) - 1;
  }

  /** Appends instructions. */
  emit(...code: Code[]): void {
    for (const c of code) this.#body.push(c);
  }

  /** Runs `build` with an empty body and returns what it emitted, as one piece of code. */
  capture(build: () => void): Code {
    const saved = this.#body;
    const body: Code[] = [];
    this.#body = body;
    try {
      build();
    } finally {
      this.#body = saved;
    }
    return (out) => {
      for (const c of body) c(out);
    };
  }

  /** Writes the function's entry of the code section. */
  write(out: Writer): void {
    out.part((w) => {
      const runs: [number, ValueType][] = [];
      for (const type of this.#locals) {
        const last = runs.at(-1);
        if (last !== undefined && last[1] === type) last[0]++;
        else runs.push([1, type]);
      }
      w.unsigned(runs.length);
      for (const [count, type] of runs) {
        w.unsigned(count);
        w.byte(valueTypes[type]);
      }
      for (const c of this.#body) c(w);
      w.byte(0x0b);
    });
  }
}

/** Pages of 64 KiB that every module of this backend declares for the memory `e.m`: all of 32 bits. */
export const maxPages = 65536;

/** A module being built. It imports the shared memory `e.m`. */
export class ModuleBuilder {
  readonly #imports: { readonly name: string; readonly ref: FuncRef }[] = [];
  readonly #funcs: Func[] = [];

  /** The function `e.<name>`, imported once however often it is asked for. */
  import(name: string, params: readonly ValueType[], results: readonly ValueType[]): FuncRef {
    const found = this.#imports.find((i) => i.name === name);
    if (found !== undefined) return found.ref;
    const ref: FuncRef = { params, results, index: this.#imports.length };
    this.#imports.push({ name, ref });
    return ref;
  }

  /** A new function, exported when `exportName` is given. */
  func(
    params: readonly ValueType[],
    results: readonly ValueType[] = [],
    exportName?: string,
  ): Func {
    const f = new Func(params, results, exportName);
    this.#funcs.push(f);
    return f;
  }

  /** The binary module. */
  build(): Uint8Array<ArrayBuffer> {
    const types: string[] = [];
    const typeOf = (f: FuncRef): number => {
      const key = `${f.params.join(",")}>${f.results.join(",")}`;
      const at = types.indexOf(key);
      return at >= 0 ? at : types.push(key) - 1;
    };
    this.#funcs.forEach((f, i) => f.index = this.#imports.length + i);
    const importTypes = this.#imports.map((i) => typeOf(i.ref));
    const funcTypes = this.#funcs.map(typeOf);
    const out = new Writer();
    out.raw([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const section = (id: number, body: (w: Writer) => void) => {
      out.byte(id);
      out.part(body);
    };
    section(1, (w) => {
      w.unsigned(types.length);
      for (const type of types) {
        w.byte(0x60);
        for (const list of type.split(">")) {
          const names = list === "" ? [] : list.split(",") as ValueType[];
          w.unsigned(names.length);
          for (const name of names) w.byte(valueTypes[name]);
        }
      }
    });
    section(2, (w) => {
      w.unsigned(this.#imports.length + 1);
      w.name("e");
      w.name("m");
      w.raw([2, 3]); // a memory, with shared limits
      w.unsigned(1);
      w.unsigned(maxPages);
      this.#imports.forEach((i, at) => {
        w.name("e");
        w.name(i.name);
        w.byte(0);
        w.unsigned(importTypes[at]);
      });
    });
    section(3, (w) => {
      w.unsigned(funcTypes.length);
      for (const type of funcTypes) w.unsigned(type);
    });
    section(7, (w) => {
      const exported = this.#funcs.filter((f) => f.exportName !== undefined);
      w.unsigned(exported.length);
      for (const f of exported) {
        w.name(f.exportName!);
        w.byte(0);
        w.unsigned(f.index);
      }
    });
    section(10, (w) => {
      w.unsigned(this.#funcs.length);
      for (const f of this.#funcs) f.write(w);
    });
    return out.take();
  }
}
