/** What a bad call is, and the small tensors that most of them are made on. */
import { type Tensor, tensor, zeros } from "@pta/core";

/** A call that must raise at once, the class of its error, and the whole message. */
type BadCall = readonly [
  call: () => unknown,
  type: new (message: string) => Error,
  message: string,
];

/** Bad calls by kind. */
export type BadCalls = Readonly<Record<string, readonly BadCall[]>>;

export const m = (): Tensor => zeros([2, 3]);
export const v = (): Tensor => tensor([1, 2, 3]);
export const ints = (): Tensor => tensor(Int32Array.of(0, 1));
export const bools = (): Tensor => tensor([true, false]);
export const leaf = (): Tensor => tensor([1, 2], { requiresGrad: true });
export const index = (...shape: number[]): Tensor => zeros(shape, { dtype: "int32" });
