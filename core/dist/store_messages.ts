/** Messages between the store and its clients: limits, names, and how a request is laid out in bytes. */
import { concat } from "./auth.ts";

/** Longest key, in bytes of UTF-8. */
export const MAX_KEY = 256;
/** Longest value, in bytes. */
export const MAX_VALUE = 1 << 20;

/** What a client may ask. */
export type Op =
  | "set"
  | "get"
  | "wait"
  | "add"
  | "compareAndSet"
  | "remove"
  | "beat"
  | "report"
  | "bye";
const OPS: Op[] = [
  "set",
  "get",
  "wait",
  "add",
  "compareAndSet",
  "remove",
  "beat",
  "report",
  "bye",
];
/** What the store answers. */
export type Answer = "value" | "nothing" | "late" | "error";
/** Answers by their code. */
export const ANSWERS: Answer[] = ["value", "nothing", "late", "error"];
/** A message or value. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** One question of a client. */
export interface Request {
  readonly op: Op;
  readonly key: string;
  readonly seconds: number;
  readonly value: Bytes;
}

// op (1), length of the key (2), seconds (8), key, value
const HEAD = 11;

/**
 * The bytes of a request.
 *
 * @throws {RangeError} If the key or the value is too long
 */
export function formatRequest({ op, key, seconds, value }: Request): Bytes {
  const name = encode(key);
  if (name.length === 0 || name.length > MAX_KEY) {
    throw new RangeError(`Cannot use a key of ${name.length} bytes: wanted 1 to ${MAX_KEY}`);
  }
  if (value.length > MAX_VALUE) {
    throw new RangeError(
      `Cannot set "${key}" to ${value.length} bytes: at most ${MAX_VALUE}`,
    );
  }
  const head = new DataView(new ArrayBuffer(HEAD));
  head.setUint8(0, OPS.indexOf(op));
  head.setUint16(1, name.length);
  head.setFloat64(3, seconds);
  return concat(new Uint8Array(head.buffer), name, value);
}

/**
 * Reads a request back.
 *
 * @throws {SyntaxError} If it is malformed
 * @throws {RangeError} If a number in it is out of bounds
 */
export function parseRequest(message: Bytes): Request {
  if (message.length < HEAD) throw new SyntaxError("Cannot read the request: too short");
  const head = new DataView(message.buffer);
  const op = OPS[head.getUint8(0)];
  const length = head.getUint16(1);
  const seconds = head.getFloat64(3);
  if (op === undefined || length > MAX_KEY || HEAD + length > message.length) {
    throw new SyntaxError("Cannot read the request: malformed");
  }
  if (!(seconds >= 0 && seconds <= 1e6)) {
    throw new RangeError(`Cannot wait ${seconds} s: wanted 0 to 1000000`);
  }
  const key = decode(message.slice(HEAD, HEAD + length));
  const value = message.slice(HEAD + length);
  if (value.length > MAX_VALUE) throw new RangeError(`Cannot set "${key}": value too long`);
  return { op, key, seconds, value };
}

/** The value of a `compareAndSet`: what is expected (`undefined`: nothing), and what replaces it. */
export function formatExchange(expected: Bytes | undefined, desired: Bytes): Bytes {
  const head = new DataView(new ArrayBuffer(5));
  head.setUint8(0, expected === undefined ? 0 : 1);
  head.setUint32(1, expected?.length ?? 0);
  return concat(new Uint8Array(head.buffer), expected ?? new Uint8Array(), desired);
}

/**
 * Reads the value of a `compareAndSet` back.
 *
 * @throws {SyntaxError} If it is malformed
 */
export function parseExchange(value: Bytes): { expected: Bytes | undefined; desired: Bytes } {
  const head = value.length < 5 ? undefined : new DataView(value.buffer, value.byteOffset);
  const length = head?.getUint32(1) ?? 0;
  if (head === undefined || 5 + length > value.length) {
    throw new SyntaxError("Cannot read the request: malformed");
  }
  return {
    expected: head.getUint8(0) === 0 ? undefined : value.slice(5, 5 + length),
    desired: value.slice(5 + length),
  };
}

/** Text as UTF-8. */
export function encode(text: string): Bytes {
  return new TextEncoder().encode(text);
}

/** UTF-8 as text. */
export function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
