/** Where numbers become the 64-bit integers of a call: a BigInt made from a number costs ten times as much as two halves written here. */

const memory = new ArrayBuffer(128);

/** Halves, the low one first. */
export const u32: Uint32Array<ArrayBuffer> = new Uint32Array(memory);

/** The same memory as the library takes it. */
export const u64: BigUint64Array<ArrayBuffer> = new BigUint64Array(memory);

/**
 * Checks a struct that is passed by value: the call reads so many bytes, whatever the array's length is.
 *
 * @throws {RangeError} When `value` has another length
 */
export function checkBytes(call: string, name: string, value: Uint8Array, bytes: number): void {
  if (value.byteLength !== bytes) {
    throw new RangeError(
      `Cannot pass ${value.byteLength} bytes as ${name} of ${call}: it takes ${bytes}`,
    );
  }
}
