/** Padding with what is inside. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";

/** What stands around the elements. */
export type PadMode = "constant" | "reflect" | "replicate" | "circular";

/** Options of {@linkcode pad}. */
export interface PadOptions {
  /** `constant` by default. */
  readonly mode?: PadMode;
  /** The constant; 0 by default. */
  readonly value?: number;
}

/** For a position outside `0 .. size - 1`, the element that stands there. */
const places: Readonly<Record<Exclude<PadMode, "constant">, (i: number, size: number) => number>> =
  {
    reflect: (i, size) => i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i,
    replicate: (i, size) => Math.min(Math.max(i, 0), size - 1),
    circular: (i, size) => (i % size + size) % size,
  };

/** Largest width on one side for a size. */
const limits: Readonly<Record<Exclude<PadMode, "constant">, (size: number) => number>> = {
  reflect: (size) => size - 1,
  replicate: (size) => size > 0 ? Infinity : 0,
  circular: (size) => size,
};

/** Elements of a dimension at places known now. */
export function pick(x: Tensor, dim: number, at: readonly number[]): Tensor {
  return x.indexSelect(dim, tensor(Int32Array.from(at), { device: x.device }));
}

/**
 * `[before, after]` elements around dimensions, flat, last dimension first, as PyTorch orders them; negative widths cut.
 *
 * @param x Any shape; modes other than `constant` leave the first dimension alone
 * @param widths Two for each padded dimension
 * @param options Mode and value
 * @returns The padded tensor
 * @throws {TypeError} When the widths are odd in number or too many
 * @throws {RangeError} When there is not enough inside to fill a width, or the mode is unknown
 */
export function pad(x: Tensor, widths: readonly number[], options: PadOptions = {}): Tensor {
  const { mode = "constant", value = 0 } = options;
  if (mode === "constant") return x.pad(widths, value);
  if (mode === "reflect" && isAutocasting()) return underPolicy("reflectionPad", pad, arguments);
  if (!(mode in places)) {
    throw new RangeError(
      `Cannot pad with mode ${mode}: it must be constant, ${Object.keys(places).join(", ")}`,
    );
  }
  const shape = `[${x.shape.join(", ")}]`;
  if (widths.length % 2 !== 0 || widths.length / 2 >= x.ndim) {
    throw new TypeError(
      `Cannot pad ${shape} by [${
        widths.join(", ")
      }] with mode ${mode}: give two widths for each of the last dims, at most ${x.ndim - 1}`,
    );
  }
  let y = x;
  if (mode === "circular") {
    // What is cut does not come back at the other end.
    y = x.pad(widths.map((w) => Math.min(w, 0)));
    widths = widths.map((w) => Math.max(w, 0));
  }
  for (let i = 0; i < widths.length; i += 2) {
    const d = x.ndim - 1 - i / 2, size = y.shape[d], [before, after] = [widths[i], widths[i + 1]];
    if (before === 0 && after === 0) continue;
    const most = limits[mode](size);
    if (before > most || after > most || size + before + after < 1) {
      throw new RangeError(
        `Cannot pad dim ${d} of ${shape} by ${before} and ${after} with mode ${mode}: widths must be at most ${most}`,
      );
    }
    const at = Array.from(
      { length: size + before + after },
      (_, j) => places[mode](j - before, size),
    );
    y = pick(y, d, at);
  }
  return y;
}
