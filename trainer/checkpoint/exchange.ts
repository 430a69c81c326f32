/** Bytes over the ranks, and failures of one rank made known to all. */
import type { Comm } from "@pta/core";

/** The bytes of every rank, in rank order; lengths may differ. All ranks must call it. */
export function gatherBytes(own: Uint8Array, comm: Comm | undefined): Uint8Array[] {
  if (comm === undefined) return [own];
  const sizes = new Float64Array(comm.worldSize);
  comm.allGather(new Float64Array([own.length]), sizes).wait();
  const longest = Math.max(...sizes);
  if (longest === 0) return Array.from(sizes, () => new Uint8Array(0));
  const padded = new Uint8Array(longest), all = new Uint8Array(longest * comm.worldSize);
  padded.set(own);
  comm.allGather(padded, all).wait();
  return Array.from(sizes, (size, r) => all.slice(r * longest, r * longest + size));
}

/** What rank 0 has, on every rank. All ranks must call it; what the others give is not looked at. */
export function bytesOfRoot(own: Uint8Array | undefined, comm: Comm | undefined): Uint8Array {
  if (comm === undefined) return own!;
  const size = new Float64Array([own?.length ?? 0]);
  comm.broadcast(size).wait();
  const bytes = comm.rank === 0 ? own!.slice() : new Uint8Array(size[0]);
  if (bytes.length > 0) comm.broadcast(bytes).wait();
  return bytes;
}

const encoder = new TextEncoder(), decoder = new TextDecoder();

/**
 * Runs something that may fail on any rank. When it has, every rank throws: those that failed their own error, the others one that says which rank
 * failed and why. All ranks must call it.
 *
 * @param body What to do on this rank; `undefined` where there is nothing to do
 */
export async function together<T>(
  body: () => T | Promise<T>,
  comm: Comm | undefined,
): Promise<T> {
  if (comm === undefined) return await body();
  let result: T | undefined, failure: unknown;
  let text = "";
  try {
    result = await body();
  } catch (error) {
    failure = error;
    text = error instanceof Error ? error.message || error.name : `${error}`;
  }
  const texts = gatherBytes(encoder.encode(text), comm).map((b) => decoder.decode(b));
  if (text !== "") throw failure;
  const rank = texts.findIndex((t) => t !== "");
  if (rank >= 0) throw new Error(`Rank ${rank} failed: ${texts[rank]}`);
  return result as T;
}
