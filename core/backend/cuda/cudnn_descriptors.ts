/** Descriptors of cuDNN's backend API, with an attribute setter for each type of value. */
import {
  cudnnBackendAttributeName_t as names,
  cudnnBackendAttributeType_t as types,
  cudnnBackendDescriptorType_t as kinds,
  type CudnnCalls,
  CudnnError,
  textOf,
} from "@pta/ffi";

/** Name of an attribute, without `CUDNN_ATTR_`. */
export type AttributeName = keyof typeof names extends infer N
  ? N extends `CUDNN_ATTR_${infer Rest}` ? Rest : never
  : never;
/** Kind of a descriptor, without `CUDNN_BACKEND_` and `_DESCRIPTOR`. */
export type DescriptorKind = keyof typeof kinds extends infer N
  ? N extends `CUDNN_BACKEND_${infer Rest}_DESCRIPTOR` ? Rest : never
  : never;
/** Enumerations that attributes take. */
export type EnumType = keyof typeof types extends infer N
  ? N extends `CUDNN_TYPE_${infer Rest}` ? Rest : never
  : never;

const nameOf = (name: AttributeName): number => names[`CUDNN_ATTR_${name}`];
const typeOf = (type: EnumType): number => types[`CUDNN_TYPE_${type}`];
/** Enumerations to read at most. */
const NOTES = 32;

/** One descriptor. Setters return it; {@linkcode finalize} ends them. */
export class Descriptor {
  /** The library's own handle. */
  readonly handle: bigint;
  readonly #calls: CudnnCalls;

  /** @param calls cuDNN; @param kind What is described */
  constructor(calls: CudnnCalls, readonly kind: DescriptorKind) {
    const at = new BigUint64Array(1);
    calls.cudnnBackendCreateDescriptor(kinds[`CUDNN_BACKEND_${kind}_DESCRIPTOR`], at);
    this.#calls = calls;
    this.handle = at[0];
  }

  /** Sets whole numbers of 64 bits. */
  int64(name: AttributeName, values: readonly number[]): this {
    return this.#set(name, "INT64", values.length, BigInt64Array.from(values, BigInt));
  }

  /** Sets a whole number of 32 bits. */
  int32(name: AttributeName, value: number): this {
    return this.#set(name, "INT32", 1, Int32Array.of(value));
  }

  /** Sets a value of an enumeration. */
  choice(name: AttributeName, type: EnumType, value: number): this {
    return this.#set(name, type, 1, Int32Array.of(value));
  }

  /** Sets a truth value. */
  bool(name: AttributeName, value: boolean): this {
    return this.#set(name, "BOOLEAN", 1, Uint8Array.of(value ? 1 : 0));
  }

  /** Sets a float32. */
  float(name: AttributeName, value: number): this {
    return this.#set(name, "FLOAT", 1, Float32Array.of(value));
  }

  /** Sets a float64. */
  double(name: AttributeName, value: number): this {
    return this.#set(name, "DOUBLE", 1, Float64Array.of(value));
  }

  /** Sets other descriptors, which must be final. */
  descriptors(name: AttributeName, ...values: readonly Descriptor[]): this {
    const handles = BigUint64Array.from(values, (d) => d.handle);
    return this.#set(name, "BACKEND_DESCRIPTOR", values.length, handles);
  }

  /** Sets the handle of the library. */
  library(name: AttributeName, handle: bigint): this {
    return this.#set(name, "HANDLE", 1, BigUint64Array.of(handle));
  }

  /** Sets addresses. */
  pointers(name: AttributeName, values: BigUint64Array<ArrayBuffer>): this {
    return this.#set(name, "VOID_PTR", values.length, values);
  }

  /** Sets text. */
  text(name: AttributeName, value: string): this {
    const bytes = new TextEncoder().encode(value + "\0");
    return this.#set(name, "CHAR", bytes.length, bytes);
  }

  /**
   * Ends the description.
   * @throws {CudnnError} When it is not complete, or cuDNN does not support what it says
   */
  finalize(): this {
    this.#calls.cudnnBackendFinalize(this.handle);
    return this;
  }

  /** Whole numbers of 64 bits. */
  readInt64(name: AttributeName): number {
    const at = new BigInt64Array(1);
    this.#get(name, "INT64", 1, at);
    return Number(at[0]);
  }

  /** Values of an enumeration. */
  readChoices(name: AttributeName, type: EnumType): number[] {
    const at = new Int32Array(NOTES), count = this.#get(name, type, NOTES, at);
    return [...at.subarray(0, count)];
  }

  /** Text. */
  readText(name: AttributeName): string {
    const bytes = new Uint8Array(Math.max(1, this.#get(name, "CHAR", 0, null)));
    this.#get(name, "CHAR", bytes.length, bytes);
    return textOf(bytes);
  }

  /** Descriptors of a kind, made here and filled by cuDNN. */
  readDescriptors(name: AttributeName, kind: DescriptorKind, most: number): Descriptor[] {
    const count = Math.min(most, this.#get(name, "BACKEND_DESCRIPTOR", 0, null));
    const made = Array.from({ length: count }, () => new Descriptor(this.#calls, kind));
    if (count === 0) return made;
    const handles = BigUint64Array.from(made, (d) => d.handle);
    const filled = this.#get(name, "BACKEND_DESCRIPTOR", count, handles);
    for (const rest of made.splice(filled)) rest.destroy();
    return made;
  }

  /** Gives it back. */
  destroy(): void {
    this.#calls.cudnnBackendDestroyDescriptor(this.handle);
  }

  #set(
    name: AttributeName,
    type: EnumType,
    count: number,
    values: ArrayBufferView<ArrayBuffer>,
  ): this {
    try {
      this.#calls.cudnnBackendSetAttribute(
        this.handle,
        nameOf(name),
        typeOf(type),
        count,
        values,
      );
    } catch (error) {
      throw named(error, `${this.kind} ${name}`);
    }
    return this;
  }

  #get(
    name: AttributeName,
    type: EnumType,
    count: number,
    into: ArrayBufferView<ArrayBuffer> | null,
  ): number {
    const found = new BigInt64Array(1);
    const code = nameOf(name);
    this.#calls.cudnnBackendGetAttribute(this.handle, code, typeOf(type), count, found, into);
    return Number(found[0]);
  }
}

/** The error of a setter, with what was set. */
function named(error: unknown, what: string): unknown {
  if (!(error instanceof CudnnError)) return error;
  const { call, code, status, text } = error;
  return new CudnnError({ call: `${call} of ${what}`, code, status, text });
}
