/** Memory that two neighbours on one machine share: data goes through it, and the connection only says where it lies. */
import { SharedMemory } from "@pta/ffi/shared_memory";
import { CHUNK } from "./frames.ts";
import type { StoreClient } from "./store_client.ts";

/** Pieces that may be under way at once: few, so that they stay in the processor's cache. */
const SLOTS = 6;
/** Less than this travels faster in the frame itself. */
export const SMALL = 1 << 14;

/** The pieces, seen from the side that writes them. */
export class Slots {
  readonly #memory: SharedMemory;
  readonly #free: number[] = Array.from({ length: SLOTS }, (_, i) => i);
  #wake: (() => void) | undefined;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
  }

  /** Copies bytes into a free piece and returns its number; waits while there is none. */
  async put(bytes: Uint8Array): Promise<number> {
    while (this.#free.length === 0) await new Promise<void>((go) => this.#wake = go);
    const slot = this.#free.pop()!;
    this.#memory.bytes.set(bytes, slot * CHUNK);
    return slot;
  }

  /** The reader is done with a piece. */
  release(slot: number): void {
    this.#free.push(slot);
    this.#wake?.();
  }

  /**
   * The bytes of a piece, on the side that reads.
   *
   * @throws {Error} If there is no such piece
   */
  get(slot: number, length: number): Uint8Array<ArrayBuffer> {
    if (!(slot < SLOTS && length <= CHUNK)) throw new Error("Cannot read the frame: malformed");
    return this.#memory.bytes.subarray(slot * CHUNK, slot * CHUNK + length);
  }
}

/**
 * Looks whether a rank shares memory with its neighbours.
 *
 * @param store Carries the name of the memory
 * @param isWanted False: the data stays on the connections, on both sides
 * @returns What this rank writes to the next one, and what it reads from the one before; nothing where they are on different machines
 */
export async function shareSlots(
  store: StoreClient,
  rank: number,
  worldSize: number,
  isWanted: boolean,
): Promise<{ out: Slots | undefined; in: Slots | undefined }> {
  const length = SLOTS * CHUNK;
  const own = isWanted ? SharedMemory.create(length) : undefined;
  try {
    const proof = crypto.getRandomValues(new Uint8Array(16));
    own?.bytes.set(proof);
    await store.set(`shared/${rank}`, own === undefined ? "" : `${own.name} ${proof.toHex()}`);
    const prev = (rank + worldSize - 1) % worldSize;
    const [name, wanted] = (await store.waitText(`shared/${prev}`)).split(" ");
    const theirs = name === "" || !isWanted ? undefined : SharedMemory.open(name, length);
    // a name may exist on two machines; what is written there cannot
    const isSame = theirs?.bytes.subarray(0, 16).toHex() === wanted;
    await store.set(`shared/${prev}/seen`, theirs !== undefined && isSame ? "yes" : "no");
    const isSeen = await store.waitText(`shared/${rank}/seen`) === "yes";
    return {
      out: own !== undefined && isSeen ? new Slots(own) : undefined,
      in: theirs !== undefined && isSame ? new Slots(theirs) : undefined,
    };
  } finally {
    // mapped memory outlives its name, and nothing is left when the ranks are killed
    own?.unlink();
  }
}
