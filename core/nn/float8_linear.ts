/** A fully connected layer whose products have factors of eight bits. */
import { Linear, type LinearOptions } from "./linear.ts";
import type { Module } from "./module.ts";
import { cat, dueWithNext, isGradEnabled, noGrad, type Tensor, zeros } from "../tensor/mod.ts";
import { autocastDtype } from "../amp/autocast.ts";
import { float8Scale, roundToFloat8 } from "../amp/float8.ts";
import {
  type Float8Matrix,
  matmulFloat8,
  multipliesFloat8,
  quantizeFloat8,
} from "../amp/float8_products.ts";
import { suspendAutocast } from "../amp/state.ts";
import type { DType } from "../dtype.ts";
import type { Float8Format } from "../float8_format.ts";

/** Options of {@linkcode Float8Linear}. */
export interface Float8Options {
  /**
   * Whether a tensor is scaled by its own largest value (`current`, the default), or by the largest of the last `historyLength` steps (`delayed`), which
   * hardware need not wait for.
   */
  readonly scaling?: "current" | "delayed";
  /** Steps that delayed scaling looks back; 16 by default. */
  readonly historyLength?: number;
}

/** A tensor that has been brought to the grid of its format: as bytes, where the device multiplies them, else as float32. */
interface Quantized {
  readonly values: Tensor;
  readonly scale: Tensor;
}

/** Where a layer's tensors keep their largest values. */
type Role = "input" | "weight" | "gradient";

const formats: Readonly<Record<Role, Float8Format>> = {
  input: "e4m3",
  weight: "e4m3",
  gradient: "e5m2",
};

/**
 * A {@linkcode Linear} whose three products (forward, gradient of the input, gradient of the weight) have factors of eight bits: input and weight in
 * E4M3, the gradient of the output in E5M2, each with one scale for the tensor; sums are float32. Parameters stay as they are. Tensor cores multiply
 * them where the device has such (CUDA from compute capability 8.9 on) and both sizes are whole multiples of 16; else they are emulated in float32.
 */
export class Float8Linear extends Linear {
  /** How tensors are scaled. */
  readonly scaling: "current" | "delayed";
  /** Largest values of the last steps, newest first, with delayed scaling. */
  readonly amaxHistory: Readonly<Record<"input" | "weight" | "gradient", Tensor>> | undefined;

  /**
   * Makes the layer with PyTorch's uniform initialisation.
   * @param inFeatures Size of the last dimension of the input
   * @param outFeatures Size of the last dimension of the output
   * @param options Of {@linkcode Linear}, and how tensors are scaled
   * @throws {RangeError} When a size is not a whole number of at least 1, or there is no such scaling
   */
  constructor(
    inFeatures: number,
    outFeatures: number,
    options: LinearOptions & Float8Options = {},
  ) {
    super(inFeatures, outFeatures, options);
    const { scaling = "current", historyLength = 16 } = options;
    if (scaling !== "current" && scaling !== "delayed") {
      throw new RangeError(`Cannot scale ${scaling}: it must be current or delayed`);
    }
    if (!Number.isInteger(historyLength) || historyLength < 1) {
      throw new RangeError(
        `Cannot look back ${historyLength} steps: it must be a whole number of at least 1`,
      );
    }
    this.scaling = scaling;
    if (scaling === "current") return;
    const { device } = this.weight;
    const make = (role: Role) =>
      this.registerBuffer(`amax_${role}`, zeros([historyLength], { device }).realize(), {
        persistent: false,
      });
    this.amaxHistory = { input: make("input"), weight: make("weight"), gradient: make("gradient") };
  }

  /** The factor that brings a tensor to the range of its format. Remembers the largest value, where scaling is delayed. */
  #scale(x: Tensor, role: Role): Tensor {
    const amax = x.detach().to("float32").abs().amax();
    const history = this.amaxHistory?.[role], format = formats[role];
    // The first step has no history, and looks at the present.
    const known = history === undefined ? amax : history.amax();
    const scale = float8Scale(known.gt(0).where(known, amax), format);
    if (history !== undefined && this.training) {
      const next = cat([amax.reshape(1), history.narrow(0, 0, history.numel - 1)]);
      // The scale too: a gradient that is asked for later needs it, and the history has changed then.
      dueWithNext(scale);
      dueWithNext(history.assign(next));
    }
    return scale;
  }

  /** A tensor on the grid of its format, and the factor that brought it there. */
  #rounded(x: Tensor, role: Role): Quantized {
    return noGrad(() => {
      const scale = this.#scale(x, role);
      return {
        values: roundToFloat8(x.detach().to("float32").mul(scale), formats[role]),
        scale,
      };
    });
  }

  /** A tensor as bytes. */
  #bytes(x: Tensor, role: Role, both: boolean): Float8Matrix {
    return noGrad(() => quantizeFloat8(x, this.#scale(x, role), formats[role], both));
  }

  /** The product in float32, of factors that eight bits can hold. */
  #emulated(rows: Tensor): Tensor {
    const { weight } = this;
    const a = this.#rounded(rows, "input"), w = this.#rounded(weight, "weight");
    return noGrad(() => a.values.matmul(w.values.t()).div(a.scale.mul(w.scale)))
      .withGradient([rows, weight], (gradient) => {
        const g = this.#rounded(gradient, "gradient");
        return [
          g.values.matmul(w.values).div(g.scale.mul(w.scale)).to(rows.dtype),
          g.values.t().matmul(a.values).div(g.scale.mul(a.scale)).to(weight.dtype),
        ];
      });
  }

  /** The product by hardware. Every factor has its summed dimension in order, so backward takes transposes, written when the bytes are. */
  #multiplied(rows: Tensor, out: DType): Tensor {
    const { weight } = this, records = isGradEnabled();
    const needs = [rows, weight].map((x) => records && x.node.needsGrad);
    const a = this.#bytes(rows, "input", needs[1]), w = this.#bytes(weight, "weight", needs[0]);
    return matmulFloat8({ matrix: a }, { matrix: w }, out, true)
      .withGradient([rows, weight], (gradient) => {
        const g = this.#bytes(gradient, "gradient", needs[1]);
        const turned = { transposed: true };
        return [
          needs[0] ? matmulFloat8({ matrix: g }, { matrix: w, ...turned }, rows.dtype) : undefined,
          needs[1]
            ? matmulFloat8({ matrix: g, ...turned }, { matrix: a, ...turned }, weight.dtype)
            : undefined,
        ];
      });
  }

  /**
   * `[..., inFeatures]` to `[..., outFeatures]`, in the low type of an autocast region and else in the type of the input.
   * @throws {TypeError} When the last size differs
   */
  override forward(x: Tensor): Tensor {
    if (x.ndim === 0 || x.shape.at(-1) !== this.inFeatures) {
      throw new TypeError(
        `Cannot apply a linear layer to [${x.shape.join(", ")}]: its weight is [${
          this.weight.shape.join(", ")
        }], so the last size must be ${this.inFeatures}`,
      );
    }
    const out = autocastDtype() ?? x.dtype;
    return suspendAutocast(() => {
      const { bias } = this, rows = x.reshape(-1, this.inFeatures);
      const inHardware = fitsHardware(this) && out !== "float64" && rows.shape[0] > 0 &&
        multipliesFloat8(x.device);
      const y = (inHardware ? this.#multiplied(rows, out) : this.#emulated(rows).to(out))
        .reshape([...x.shape.slice(0, -1), this.outFeatures]);
      return bias === undefined ? y : y.add(bias.to(out));
    });
  }

  /** Sizes, whether there is a bias, and the scaling. */
  override extraRepr(): string {
    return `${super.extraRepr()}, scaling=${this.scaling}`;
  }
}

/** Options of {@linkcode convertToFloat8}. */
export interface ConvertToFloat8Options extends Float8Options {
  /** Whether a layer, under its name in the model, is converted; by default every one whose sizes are multiples of 16, as hardware needs them. */
  readonly filter?: (layer: Linear, name: string) => boolean;
}

const fitsHardware = (layer: Linear): boolean =>
  layer.inFeatures % 16 === 0 && layer.outFeatures % 16 === 0;

/**
 * Replaces the linear layers of a model by {@linkcode Float8Linear}, with the same parameters, so that an optimizer made before goes on with them.
 *
 * @param model Changed in place
 * @param options Scaling, and which layers
 * @returns The names of the layers that were replaced
 */
export function convertToFloat8(model: Module, options: ConvertToFloat8Options = {}): string[] {
  const { filter = fitsHardware, ...scaling } = options, replaced: string[] = [];
  const visit = (module: Module, prefix: string) =>
    module.mapChildren((child, name) => {
      const path = `${prefix}${name}`;
      if (child instanceof Linear && !(child instanceof Float8Linear) && filter(child, path)) {
        const { weight, bias } = child;
        const made = new Float8Linear(child.inFeatures, child.outFeatures, {
          ...scaling,
          bias: bias !== undefined,
        });
        Object.assign(made, { weight, bias });
        replaced.push(path);
        return made.train(child.training);
      }
      visit(child, `${path}.`);
      return child;
    });
  visit(model, "");
  return replaced;
}
