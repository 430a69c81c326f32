/** Values that are not part of the graph, over the ranks. */
import { type Comm, dtypes, hostView, type ReduceOp, type Tensor, tensor } from "@pta/core";

/** Combines numbers over the ranks, each position for itself. */
export function reduceNumbers(values: readonly number[], op: ReduceOp, comm: Comm): number[] {
  const data = new Float64Array(values);
  comm.allReduce(data, op).wait();
  return [...data];
}

/**
 * Joins the tensors of all ranks along dimension 0, in rank order. The sizes of dimension 0 may differ; they are exchanged first.
 *
 * @throws {TypeError} When the tensor has no dimension
 */
export function gatherTensor(source: Tensor, comm: Comm): Tensor {
  if (source.ndim === 0) {
    throw new TypeError("Cannot gather a tensor without dimensions: unsqueeze(0) it first");
  }
  const rest = source.shape.slice(1);
  const row = rest.reduce((a, b) => a * b, 1);
  const sizes = new Int32Array(comm.worldSize);
  comm.allGather(new Int32Array([source.shape[0]]), sizes).wait();
  const longest = Math.max(...sizes) * row;
  const host = source.data();
  const padded = new (host.constructor as { new (length: number): typeof host })(longest);
  padded.set(host as never);
  const all = new (host.constructor as { new (length: number): typeof host })(
    longest * comm.worldSize,
  );
  comm.allGather(hostView(padded), hostView(all)).wait();
  const total = sizes.reduce((a, b) => a + b, 0);
  const joined = new (host.constructor as { new (length: number): typeof host })(total * row);
  let at = 0;
  for (let r = 0; r < comm.worldSize; r++) {
    joined.set(all.subarray(r * longest, r * longest + sizes[r] * row) as never, at);
    at += sizes[r] * row;
  }
  return tensor(joined, {
    dtype: source.dtype,
    shape: [total, ...rest],
    device: source.device,
  });
}

/** Combines a tensor over the ranks, element by element; float16 and bfloat16 by way of float32. */
export function reduceTensor(source: Tensor, op: ReduceOp, comm: Comm): Tensor {
  const { dtype, shape, device } = source;
  const isLow = dtypes[dtype].bytes < 4;
  const host = (isLow ? source.to("float32") : source).data().slice();
  comm.allReduce(hostView(host), op).wait();
  const sum = tensor(host, { dtype: isLow ? "float32" : dtype, shape, device });
  return isLow ? sum.to(dtype) : sum;
}

/** The values of all ranks in rank order: whatever JSON can say. */
export function gatherJson<T>(value: T, comm: Comm): T[] {
  const own = new TextEncoder().encode(JSON.stringify(value));
  const sizes = new Int32Array(comm.worldSize);
  comm.allGather(new Int32Array([own.length]), sizes).wait();
  const longest = Math.max(...sizes);
  const padded = new Uint8Array(longest), all = new Uint8Array(longest * comm.worldSize);
  padded.set(own);
  comm.allGather(padded, all).wait();
  return [...sizes].map((size, r) =>
    JSON.parse(new TextDecoder().decode(all.subarray(r * longest, r * longest + size)))
  );
}
