/** One step of recurrent networks, as functions of the gates' inputs. */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import type { Tensor } from "../tensor/mod.ts";

/** Weights of one layer and direction. */
export interface CellWeights {
  /** `[gates * H, I]`. */
  readonly ih: Tensor;
  /** `[gates * H, H or P]`. */
  readonly hh: Tensor;
  /** `[gates * H]`. */
  readonly biasIh?: Tensor;
  /** `[gates * H]`. */
  readonly biasHh?: Tensor;
  /** `[P, H]`: projects the output of an LSTM. */
  readonly hr?: Tensor;
}

/** A state: hidden, and the cell of an LSTM. */
export type State = readonly [Tensor, Tensor?];

/** The next state, from the projected input `[N, gates * H]` (bias included) and the state. */
export type CellStep = (projected: Tensor, state: State, weights: CellWeights) => State;

/** Input times its weights plus the bias: `[..., I]` to `[..., gates * H]`, for all steps at once. */
export function projectInput(x: Tensor, weights: CellWeights): Tensor {
  if (isAutocasting()) return underPolicy("recurrentInput", projectInput, [x, weights]);
  const { ih, biasIh } = weights;
  const y = x.matmul(ih.t());
  return biasIh === undefined ? y : y.add(biasIh);
}

function projectHidden(h: Tensor, { hh, biasHh }: CellWeights): Tensor {
  const y = h.matmul(hh.t());
  return biasHh === undefined ? y : y.add(biasHh);
}

/** A step that autocast decides on as a whole. */
const decided = (step: CellStep): CellStep => (...args) =>
  isAutocasting() ? underPolicy("recurrentStep", step, args) : step(...args);

/** Elman's network with tanh. */
export const tanhStep: CellStep = decided((x, [h], w) => [x.add(projectHidden(h, w)).tanh()]);

/** Elman's network with ReLU. */
export const reluStep: CellStep = decided((x, [h], w) => [x.add(projectHidden(h, w)).relu()]);

/** Long short-term memory (Hochreiter & Schmidhuber 1997), gates in the order input, forget, cell, output. */
export const lstmStep: CellStep = decided((x, [h, c], w) => {
  const [i, f, g, o] = x.add(projectHidden(h, w)).chunk(4, -1);
  const cell = f.sigmoid().mul(c!).add(i.sigmoid().mul(g.tanh()));
  const hidden = o.sigmoid().mul(cell.tanh());
  return [w.hr === undefined ? hidden : hidden.matmul(w.hr.t()), cell];
});

/** Gated recurrent unit (Cho et al., arXiv:1406.1078), gates in the order reset, update, new; the reset acts after the product, as in cuDNN. */
export const gruStep: CellStep = decided((x, [h], w) => {
  const [xr, xz, xn] = x.chunk(3, -1), [hr, hz, hn] = projectHidden(h, w).chunk(3, -1);
  const r = xr.add(hr).sigmoid(), z = xz.add(hz).sigmoid();
  const n = xn.add(r.mul(hn)).tanh();
  return [n.add(z.mul(h.sub(n)))];
});
