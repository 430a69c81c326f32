/** Steps along the nearest orthogonal matrix to a momentum. */
import type { Tensor } from "../tensor/mod.ts";
import { notNegative, Optimizer, type OptionCheck } from "./optimizer.ts";
import {
  oneMinus,
  type OptimizerOptions,
  type ParamGroup,
  type ParamGroupInput,
  type Params,
} from "./param_group.ts";

/** How {@linkcode Muon} fits its step to the shape of a matrix. */
export type MuonAdjustment = "original" | "match_rms_adamw";

/** Options of {@linkcode Muon}. */
export interface MuonOptions extends OptimizerOptions {
  /** Pull towards zero, apart from the gradient; 0.1 by default. */
  readonly weightDecay?: number;
  /** Share of the old average of gradients; 0.95 by default. */
  readonly momentum?: number;
  /** Whether to look ahead along the momentum; true by default. */
  readonly nesterov?: boolean;
  /** Coefficients of the Newton-Schulz polynomial; `[3.4445, -4.775, 2.0315]` by default. */
  readonly nsCoefficients?: readonly [number, number, number];
  /** Least norm of an update; 1e-7 by default. */
  readonly eps?: number;
  /** Newton-Schulz iterations, fewer than 100; 5 by default. */
  readonly nsSteps?: number;
  /**
   * Factor of the learning rate for a matrix [A, B]: `"original"` (and null, the default) `sqrt(max(1, A / B))` (Jordan), `"match_rms_adamw"`
   * `0.2 sqrt(max(A, B))` (Moonshot), with which rates made for AdamW serve.
   */
  readonly adjustLrFn?: MuonAdjustment | null;
}

const checks: Readonly<Record<string, OptionCheck>> = {
  weightDecay: notNegative,
  momentum: notNegative,
  nsCoefficients: [(x: readonly number[]) => x.length === 3, "three numbers"],
  nsSteps: [
    (x: number) => Number.isInteger(x) && x >= 0 && x < 100,
    "a whole number from 0 to 99",
  ],
  adjustLrFn: [
    (x: unknown) => x === null || x === "original" || x === "match_rms_adamw",
    "original, match_rms_adamw or null",
  ],
};

const lrFactors: Readonly<Record<MuonAdjustment, (rows: number, columns: number) => number>> = {
  original: (rows, columns) => Math.sqrt(Math.max(1, rows / columns)),
  match_rms_adamw: (rows, columns) => 0.2 * Math.sqrt(Math.max(rows, columns)),
};

/**
 * Muon (Jordan et al. 2024) in PyTorch's form: orthogonalizes the momentum of each matrix by Newton-Schulz iterations in bfloat16. For weights of
 * hidden layers; biases, embeddings and heads belong to another optimizer. Takes three matrix products for each iteration and parameter.
 */
export class Muon extends Optimizer<MuonOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Matrices, or groups of them
   * @param options Learning rate (1e-3 by default), weight decay, momentum, Newton-Schulz coefficients and steps, fit to the shape
   * @throws {RangeError} When an option is out of range
   * @throws {TypeError} When a parameter is no matrix
   */
  constructor(params: Params<MuonOptions>, options: Partial<MuonOptions> = {}) {
    const { lr = 1e-3, weightDecay = 0.1, momentum = 0.95, nesterov = true, maximize = false } =
      options;
    const { nsCoefficients = [3.4445, -4.775, 2.0315], eps = 1e-7, nsSteps = 5 } = options;
    const { adjustLrFn = null } = options;
    super(params, {
      lr,
      weightDecay,
      momentum,
      nesterov,
      nsCoefficients,
      eps,
      nsSteps,
      adjustLrFn,
      maximize,
    }, checks);
  }

  /**
   * Adds matrices, with options of their own where given.
   *
   * @throws {TypeError} When one is no matrix, or as in {@linkcode Optimizer.addParamGroup}
   */
  override addParamGroup(group: ParamGroupInput<MuonOptions>): void {
    const params = group.params === undefined ? undefined : [...group.params];
    params?.forEach((p, i) => {
      if (p?.ndim === undefined || p.ndim === 2) return;
      throw new TypeError(
        `Cannot optimize item ${i}, [${p.shape.join(", ")}], with Muon: it must be a matrix`,
      );
    });
    super.addParamGroup({ ...group, params: params! });
  }

  /** The changes of one step. */
  protected override update(group: ParamGroup<MuonOptions>, params: readonly Tensor[]): Tensor[] {
    const { nesterov, adjustLrFn } = group.options;
    return params.flatMap((p) => {
      const state = this.stateOf(p), buffer = state.momentumBuffer ??= this.newState(p);
      const momentum = group.value("momentum", p.dtype), g = this.gradientOf(p, group);
      const next = buffer.add(g.sub(buffer).mul(oneMinus(momentum)));
      const update = nesterov ? g.add(next.sub(g).mul(momentum)) : next;
      const direction = orthogonalized(update, group.options).to(p.dtype);
      const lr = group.lrTensor.to(p.dtype), factor = lrFactors[adjustLrFn ?? "original"];
      const decay = lr.mul(group.value("weightDecay", p.dtype)).neg().add(1);
      const [rows, columns] = p.shape;
      const moved = p.mul(decay).sub(direction.mul(lr.mul(factor(rows, columns))));
      return [buffer.assign(next), p.assign(moved)];
    });
  }
}

/**
 * Newton-Schulz iterations `X = a X + (b XX' + c (XX')^2) X` in bfloat16, which push all singular values towards 1.
 *
 * @param update The matrix
 * @param options Coefficients, least norm, iterations
 */
function orthogonalized(
  update: Tensor,
  options: Pick<Required<MuonOptions>, "nsCoefficients" | "eps" | "nsSteps">,
): Tensor {
  const [a, b, c] = options.nsCoefficients, isTall = update.shape[0] > update.shape[1];
  const half = update.to("bfloat16"), wide = isTall ? half.t() : half;
  // Each product and sum is made in float32 and rounded once, as PyTorch's addmm does.
  const f32 = (t: Tensor) => t.to("float32"), bf16 = (t: Tensor) => t.to("bfloat16");
  const norm = bf16(f32(wide).square().sum().sqrt()).clamp({ min: options.eps });
  let x = bf16(f32(wide).div(f32(norm)));
  for (let i = 0; i < options.nsSteps; i++) {
    const gram = f32(bf16(f32(x).matmul(f32(x).t())));
    const polynomial = f32(bf16(gram.mul(b).add(gram.matmul(gram).mul(c))));
    x = bf16(f32(x).mul(a).add(polynomial.matmul(f32(x))));
  }
  return isTall ? x.t() : x;
}
