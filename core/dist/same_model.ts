/** Whether all ranks hold the same model: names, shapes and dtypes first, then the values. */
import { createHash } from "node:crypto";
import type { Tensor } from "../tensor/mod.ts";
import type { Comm } from "./comm.ts";
import { broadcastFromRoot, hostView } from "./data_parallel.ts";

/** Longest complaint of one rank, in bytes. */
const COMPLAINT = 1024;

/** Named tensors, as `stateDict()` gives them. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/**
 * Gives all ranks the parameters and buffers of one of them, after a check that they hold the same model, and before a check that they now hold the
 * same values.
 *
 * @param state The model's `stateDict()`
 * @param comm The ranks; all must call it
 * @param root Rank that has the right values
 * @throws {TypeError} If names, shapes or dtypes differ; names the rank and the first difference
 * @throws {Error} If the values differ afterwards
 */
export function syncModelStates(state: NamedTensors, comm: Comm, root = 0): void {
  checkSameStructure(state, comm, root);
  broadcastFromRoot(Object.values(state), comm, root);
  checkSameValues(state, comm, root);
}

/**
 * Checks that names, shapes and dtypes are the same on all ranks, in the same order.
 *
 * @throws {TypeError} If they differ; names the rank and the first difference
 */
export function checkSameStructure(state: NamedTensors, comm: Comm, root = 0): void {
  const lines = Object.entries(state).map(([name, { dtype, shape }]) =>
    `${name} is ${dtype} [${shape.join(", ")}]`
  );
  if (digestsAgree(createHash("sha256").update(lines.join("\n")).digest(), comm)) return;
  // the slow way: everybody compares with the root
  const text = new TextEncoder().encode(lines.join("\n"));
  const length = Int32Array.of(text.length);
  comm.broadcast(length, root).wait();
  const theirs = new Uint8Array(length[0]);
  theirs.set(text.subarray(0, length[0]));
  comm.broadcast(theirs, root).wait();
  const wanted = new TextDecoder().decode(theirs).split("\n");
  const at = Array.from({ length: Math.max(lines.length, wanted.length) }, (_, i) => i)
    .find((i) => lines[i] !== wanted[i]);
  const difference = at === undefined
    ? ""
    : `${lines[at] ?? `${lines.length} tensors`}, on rank ${root} ${
      wanted[at] ?? `there are ${wanted.length} tensors`
    }`;
  raise(difference, comm, (rank, what) => {
    return `Cannot train together: rank ${rank} holds another model than rank ${root}: ${what}`;
  }, TypeError);
}

/**
 * Checks that the values are the same on all ranks, bit for bit.
 *
 * @throws {Error} If they differ; names the rank and the first tensor
 */
export function checkSameValues(state: NamedTensors, comm: Comm, root = 0): void {
  const own = Object.entries(state).map(([name, tensor]) => {
    const { buffer, byteOffset, byteLength } = hostView(tensor.data());
    // hashing refuses shared memory
    const bytes = new Uint8Array(buffer, byteOffset, byteLength).slice();
    return [name, createHash("sha256").update(bytes).digest()] as const;
  });
  const all = createHash("sha256");
  for (const [, digest] of own) all.update(digest);
  if (digestsAgree(all.digest(), comm)) return;
  const theirs = new Uint8Array(32 * own.length);
  own.forEach(([, digest], i) => theirs.set(digest, 32 * i));
  comm.broadcast(theirs, root).wait();
  const odd = own.find(([, digest], i) => digest.some((byte, k) => byte !== theirs[32 * i + k]));
  raise(odd?.[0] ?? "", comm, (rank, name) => {
    return `Cannot train together: ${name} has other values on rank ${rank} than on rank ${root}`;
  }, Error);
}

function digestsAgree(digest: Uint8Array, comm: Comm): boolean {
  const all = new Uint8Array(32 * comm.worldSize);
  comm.allGather(new Uint8Array(digest), all).wait();
  return all.every((byte, i) => byte === all[i % 32]);
}

/** Raises the same complaint on all ranks: on the first odd one as its own, on the others as that of a rank that stops them. */
function raise(
  complaint: string,
  comm: Comm,
  text: (rank: number, what: string) => string,
  Kind: new (message: string) => Error,
): void {
  const own = new Uint8Array(COMPLAINT);
  new TextEncoder().encodeInto(complaint, own);
  const all = new Uint8Array(COMPLAINT * comm.worldSize);
  comm.allGather(own, all).wait();
  for (let rank = 0; rank < comm.worldSize; rank++) {
    const part = all.subarray(rank * COMPLAINT, (rank + 1) * COMPLAINT);
    const what = new TextDecoder().decode(part).replace(/\0+$/, "");
    if (what === "") continue;
    const message = text(rank, what);
    throw new Kind(rank === comm.rank ? message : `Stopped by rank ${rank}: ${message}`);
  }
}
