/** Connectionist temporal classification by plain loops: likelihoods of all alignments, forward and backward in time. */
import type { RoutineParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** `log(exp(a) + exp(b) + exp(c))`. */
function logSum(a: number, b: number, c: number): number {
  const top = Math.max(a, b, c);
  if (top === -Infinity) return top;
  return top + Math.log(Math.exp(a - top) + Math.exp(b - top) + Math.exp(c - top));
}

/** `[x, path, lengths, out]`: see `RoutineParams.alignments`. */
export function alignments(
  { blank, impossible }: RoutineParams["alignments"],
  [x, path, lengths, out]: readonly PlainOperand[],
): void {
  const [steps, batch, classes] = x.shape, states = path.shape[1], row = out.shape[1];
  const alpha = new Float64Array(steps * states), beta = new Float64Array(states);
  const later = new Float64Array(states + 2);
  for (let n = 0; n < batch; n++) {
    const at = n * states, result = n * row;
    const length = lengths.data[2 * n], used = 2 * lengths.data[2 * n + 1] + 1;
    const label = (s: number) => path.data[at + s];
    const score = (t: number, s: number) => {
      const v = x.data[(t * batch + n) * classes + label(s)];
      return v < impossible ? -Infinity : v;
    };
    // A label may follow the label before directly, unless they are equal.
    const skips = (s: number) => s >= 2 && label(s) !== blank && label(s) !== label(s - 2);
    for (let i = 0; i < row; i++) out.data[result + i] = 0;
    if (length === 0) {
      // An input of no steps can only be aligned with a target of no classes.
      out.data[result] = used === 1 ? 0 : -impossible;
      continue;
    }
    for (let s = 0; s < used; s++) alpha[s] = s < 2 ? score(0, s) : -Infinity;
    for (let t = 1; t < length; t++) {
      const now = t * states, before = now - states;
      for (let s = 0; s < used; s++) {
        alpha[now + s] = score(t, s) + logSum(
          alpha[before + s],
          s > 0 ? alpha[before + s - 1] : -Infinity,
          skips(s) ? alpha[before + s - 2] : -Infinity,
        );
      }
    }
    const last = (length - 1) * states;
    const total = logSum(
      alpha[last + used - 1],
      used > 1 ? alpha[last + used - 2] : -Infinity,
      -Infinity,
    );
    out.data[result] = total === -Infinity ? -impossible : -total;
    if (row === 1 || total === -Infinity) continue;
    // Beta holds what follows a state, its own step left out.
    later.fill(-Infinity);
    for (let t = length - 1; t >= 0; t--) {
      for (let s = 0; s < used; s++) {
        beta[s] = t === length - 1
          ? s >= used - 2 ? 0 : -Infinity
          : logSum(later[s], later[s + 1], s + 2 < used && skips(s + 2) ? later[s + 2] : -Infinity);
        const share = Math.exp(alpha[t * states + s] + beta[s] - total);
        out.data[result + 1 + t * classes + label(s)] += share;
      }
      for (let s = 0; s < used; s++) later[s] = beta[s] + score(t, s);
    }
  }
}
