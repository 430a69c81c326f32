/** What a bad argument to a module is, and values that most of them need. */
import { type nn, type Tensor, tensor } from "@pta/accelerated";

/** A constructor that must throw, and what its message says: the class, the argument, what it got, what it wants. */
type Making = readonly [make: () => unknown, ...says: string[]];
/** A layer, inputs it cannot take, and what the message says after the path of the layer. */
type Calling = readonly [layer: () => nn.Module, inputs: readonly unknown[], ...says: string[]];

/** Bad arguments by the name of the test. */
export interface BadArguments {
  readonly making: Readonly<Record<string, Making>>;
  readonly calling: Readonly<Record<string, Calling>>;
}

/** A value of the wrong type, as JavaScript users can pass one. */
export const wrong = (value: unknown): never => value as never;
export const indices = (...values: number[]): Tensor => tensor(values, { dtype: "int64" });
