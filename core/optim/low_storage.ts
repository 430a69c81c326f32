/** Parameters and optimizer state stored in 16 bits and computed with in float32. */
import type { DType } from "../dtype.ts";
import type { Node } from "../node.ts";
import { castNode, wrap } from "../tensor/base.ts";
import { rand, type Tensor } from "../tensor/mod.ts";

/** How an optimizer stores what it changes. */
export interface StorageOptions {
  /** dtype of what is remembered for each parameter, step counts apart; the parameter's own by default. */
  readonly stateDtype?: DType;
  /**
   * Whether bfloat16 parameters, and state in bfloat16, are rounded up or down by chance, with the mean at the exact value: small updates then count,
   * which rounding to nearest would lose. Everything 16-bit is computed in float32. False by default.
   */
  readonly stochasticRounding?: boolean;
}

const half: ReadonlySet<DType> = new Set(["float16", "bfloat16"]);

/**
 * Rounds float32 to bfloat16 up or down, each with the probability that makes the mean exact. Values below the normal range go to the nearest.
 *
 * @param x float32, any shape
 * @returns bfloat16, the same shape
 */
export function stochasticBfloat16(x: Tensor): Tensor {
  const nearest = x.to("bfloat16").to("float32"), rest = x.sub(nearest);
  // 1.25 of the smallest relative spacing moves a number to its neighbour, whichever end of its binade it is at.
  const away = rest.mul(nearest).sign().mul(1.25 * 2 ** -8).add(1);
  const other = nearest.mul(away).to("bfloat16").to("float32"), gap = other.sub(nearest);
  const isMoved = gap.ne(0).logicalAnd(
    rand(x.shape, { device: x.device }).lt(rest.div(gap.eq(0).where(1, gap))),
  );
  return isMoved.where(other, nearest).to("bfloat16");
}

/** Shows 16-bit tensors as float32 while an update is described, and turns its assignments into rounded ones afterwards. */
export class LowStorage {
  readonly #isStochastic: boolean;
  readonly #shown: Map<Tensor, { readonly low: Node; value?: Tensor }> = new Map();

  /** @param isStochastic Whether bfloat16 is rounded by chance */
  constructor(isStochastic: boolean) {
    this.#isStochastic = isStochastic;
  }

  /** Shows a tensor as float32, when it has 16 bits; assignments wait for {@linkcode LowStorage.settle}. */
  show(t: Tensor): void {
    if (!half.has(t.dtype) || this.#shown.has(t)) return;
    const entry: { readonly low: Node; value?: Tensor } = { low: t.node };
    this.#shown.set(t, entry);
    t.node = castNode(entry.low, "float32");
    Object.defineProperty(t, "assign", {
      configurable: true,
      value: (value: Tensor) => {
        entry.value = value;
        return t;
      },
    });
  }

  /** Gives tensors their own form back, and assigns what waited. */
  settle(): void {
    for (const [t, { low, value }] of this.#shown) {
      delete (t as Partial<Tensor>).assign;
      t.node = low;
      if (value === undefined) continue;
      const isChance = this.#isStochastic && t.dtype === "bfloat16";
      t.assign(
        isChance ? stochasticBfloat16(value.to("float32")) : wrap(castNode(value.node, t.dtype)),
      );
    }
    this.#shown.clear();
  }
}
