/** Sequences of different lengths in one tensor, and back. */
import { shapeText } from "../shape.ts";
import { stack, type Tensor } from "../tensor/mod.ts";

/** Options of {@linkcode padSequence}. */
export interface PadSequenceOptions {
  /** Whether the result is `[N, T, ...]` and not `[T, N, ...]`; false by default. */
  readonly batchFirst?: boolean;
  /** What fills the rest; 0 by default. */
  readonly paddingValue?: number;
  /** Where the rest is; `right` by default. */
  readonly paddingSide?: "right" | "left";
}

/**
 * Sequences `[L, ...]` side by side, each filled up to the longest. Recurrent networks take the lengths: `lstm.forward(x, undefined, { lengths })`.
 *
 * @param sequences At least one; equal but for their first size
 * @param options Layout and filling
 * @returns `[T, N, ...]`, or `[N, T, ...]` when batchFirst
 * @throws {TypeError} When there is none, or one has no dimension or other sizes than the first
 */
export function padSequence(
  sequences: readonly Tensor[],
  options: PadSequenceOptions = {},
): Tensor {
  const { batchFirst = false, paddingValue = 0, paddingSide = "right" } = options;
  if (sequences.length === 0) throw new TypeError("Cannot pad no sequences");
  const inner = ({ shape }: Tensor) => `[L${shape.slice(1).map((n) => `, ${n}`).join("")}]`;
  sequences.forEach((s, i) => {
    if (s.ndim > 0 && inner(s) === inner(sequences[0])) return;
    throw new TypeError(
      `Cannot pad sequence ${i} of shape ${shapeText(s.shape)}: ${
        s.ndim === 0 ? "it has no dimension" : `it must be ${inner(sequences[0])}`
      }`,
    );
  });
  const longest = Math.max(...sequences.map((s) => s.shape[0]));
  const padded = sequences.map((s) => {
    const missing = longest - s.shape[0];
    const ends = paddingSide === "right" ? [0, missing] : [missing, 0];
    return s.pad([...Array(2 * (s.ndim - 1)).fill(0), ...ends], paddingValue);
  });
  return stack(padded, batchFirst ? 0 : 1);
}

/**
 * The sequences without what {@linkcode padSequence} filled up at their ends.
 *
 * @param padded `[T, N, ...]`, or `[N, T, ...]` when batchFirst
 * @param lengths Steps of each of the N sequences
 * @param options Layout
 * @throws {TypeError} When there are not N lengths
 * @throws {RangeError} When a length is not from 0 to T
 */
export function unpadSequence(
  padded: Tensor,
  lengths: readonly number[],
  options: Pick<PadSequenceOptions, "batchFirst"> = {},
): Tensor[] {
  const sequences = options.batchFirst ? padded : padded.transpose(0, 1);
  const [count, steps] = sequences.shape;
  if (lengths.length !== count) {
    throw new TypeError(`Cannot unpad ${count} sequences with ${lengths.length} lengths`);
  }
  return sequences.unbind(0).map((s, i) => {
    if (!Number.isInteger(lengths[i]) || lengths[i] < 0 || lengths[i] > steps) {
      throw new RangeError(
        `Cannot unpad sequence ${i} to ${
          lengths[i]
        } steps: it must be a whole number from 0 to ${steps}`,
      );
    }
    return s.slice(0, 0, lengths[i]);
  });
}
