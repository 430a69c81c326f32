/** Lengths of sequences that were padded to one. */
import { arange, Tensor, tensor } from "../tensor/mod.ts";

/** Options of a call of the recurrent networks. */
export interface RecurrentCall {
  /**
   * Steps of each sequence of the batch that count, `[N]`, for sequences of different lengths that were padded at their ends. Outputs after the
   * end are 0, final states are those of the last step that counts, and a second direction begins there: what a packed sequence does in
   * PyTorch. Lengths in a tensor stay on the device, where a captured step sees other ones.
   */
  readonly lengths?: Tensor | readonly number[];
}

/**
 * For each step, which sequences have not ended, `[N, 1]`; undefined without lengths.
 *
 * @param sequence `[T, N, I]`
 * @param single Whether it is one without a batch dimension, which has no length
 * @throws {TypeError} When there are not N lengths
 * @throws {RangeError} When a length on the host is not from 1 to T
 */
export function stepsThatCount(
  action: string,
  lengths: RecurrentCall["lengths"],
  sequence: Tensor,
  single: boolean,
): Tensor[] | undefined {
  if (lengths === undefined) return undefined;
  const { device } = sequence, [steps, batch] = sequence.shape;
  const given = lengths instanceof Tensor ? lengths.shape : [lengths.length];
  if (single || given.length !== 1 || given[0] !== batch) {
    throw new TypeError(
      `Cannot ${action} with lengths [${given.join(", ")}]: ${
        single ? "a single sequence has none" : `it must be [${batch}], one for each sequence`
      }`,
    );
  }
  if (!(lengths instanceof Tensor)) {
    const odd = lengths.find((n) => !Number.isInteger(n) || n < 1 || n > steps);
    if (odd !== undefined) {
      throw new RangeError(
        `Cannot ${action} with a length of ${odd}: it must be a whole number from 1 to ${steps}`,
      );
    }
  }
  const ends = lengths instanceof Tensor
    ? lengths
    : tensor([...lengths], { dtype: "int32", device });
  const at = arange(0, steps, 1, { dtype: "int32", device });
  return at.unsqueeze(1).lt(ends.unsqueeze(0)).unsqueeze(2).unbind(0);
}
