/** Search for a step length along a direction. */

/** Value and slope of a function at a step length, with whatever belongs to the point. */
export interface LinePoint<P> {
  /** The step length. */
  readonly t: number;
  /** Value there. */
  readonly f: number;
  /** Derivative by the step length. */
  readonly slope: number;
  /** What else is known of the point, such as the gradient. */
  readonly payload: P;
}

/** Minimum between two points of the cubic that has their values and slopes (Nocedal and Wright, equation 3.59), within bounds. */
export function cubicMinimum<P>(
  a: LinePoint<P>,
  b: LinePoint<P>,
  bounds: readonly [number, number] = [Math.min(a.t, b.t), Math.max(a.t, b.t)],
): number {
  const [low, high] = bounds;
  const d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t);
  const square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (low + high) / 2;
  const d2 = Math.sqrt(square);
  const [x, y] = a.t <= b.t ? [a, b] : [b, a];
  const t = y.t - (y.t - x.t) * ((y.slope + d2 - d1) / (y.slope - x.slope + 2 * d2));
  return Math.min(Math.max(t, low), high);
}

/** What {@linkcode strongWolfe} may do. */
export interface SearchLimits {
  /** Largest number of evaluations after the first. */
  readonly maxIterations: number;
  /** Brackets in which no parameter moves by more end the search. */
  readonly toleranceChange: number;
  /** Largest element of the direction. */
  readonly largest: number;
}

const sufficient = 1e-4, curvature = 0.9;

/**
 * A step length that fulfils the strong Wolfe conditions, where one is found within the limits (Nocedal and Wright, algorithms 3.5 and 3.6, with
 * minFunc's safeguards, which PyTorch's LBFGS has too).
 *
 * @param evaluate The function along the line
 * @param start The point at length 0
 * @param t First length to try
 * @param limits When to give up
 * @returns The best point, and the number of evaluations
 */
export function strongWolfe<P>(
  evaluate: (t: number) => LinePoint<P>,
  start: LinePoint<P>,
  t: number,
  limits: SearchLimits,
): { point: LinePoint<P>; evaluations: number } {
  const { maxIterations, toleranceChange, largest } = limits;
  const isTooHigh = (p: LinePoint<P>) => p.f > start.f + sufficient * p.t * start.slope;
  const isFlat = (p: LinePoint<P>) => Math.abs(p.slope) <= -curvature * start.slope;
  let previous = start, next = evaluate(t), evaluations = 1, iteration = 0;
  let bracket: [LinePoint<P>, LinePoint<P>] | undefined;
  // First widen until a minimum lies in between.
  for (; iteration < maxIterations; iteration++) {
    if (isTooHigh(next) || (iteration > 1 && next.f >= previous.f)) {
      bracket = [previous, next];
      break;
    }
    if (isFlat(next)) return { point: next, evaluations };
    if (next.slope >= 0) {
      bracket = [previous, next];
      break;
    }
    const bounds = [next.t + 0.01 * (next.t - previous.t), next.t * 10] as const;
    const wider = cubicMinimum(previous, next, bounds);
    [previous, next] = [next, evaluate(wider)];
    evaluations++;
  }
  bracket ??= [start, next];
  // Then narrow the bracket. `low` is its better end.
  let isStuck = false, low = bracket[0].f <= bracket[1].f ? 0 : 1;
  for (; iteration < maxIterations; iteration++) {
    const width = Math.abs(bracket[1].t - bracket[0].t);
    if (width * largest < toleranceChange) break;
    let tried = cubicMinimum(bracket[0], bracket[1]);
    const max = Math.max(bracket[0].t, bracket[1].t), min = Math.min(bracket[0].t, bracket[1].t);
    const margin = 0.1 * (max - min);
    if (Math.min(max - tried, tried - min) < margin) {
      // Close to an end twice in a row, or on it: step away from it.
      if (isStuck || tried >= max || tried <= min) {
        tried = Math.abs(tried - max) < Math.abs(tried - min) ? max - margin : min + margin;
        isStuck = false;
      } else isStuck = true;
    } else isStuck = false;
    const point = evaluate(tried);
    evaluations++;
    if (isTooHigh(point) || point.f >= bracket[low].f) {
      bracket[1 - low] = point;
      low = bracket[0].f <= bracket[1].f ? 0 : 1;
      continue;
    }
    const isDone = isFlat(point);
    if (!isDone && point.slope * (bracket[1 - low].t - bracket[low].t) >= 0) {
      bracket[1 - low] = bracket[low];
    }
    bracket[low] = point;
    if (isDone) break;
  }
  return { point: bracket[low], evaluations };
}
