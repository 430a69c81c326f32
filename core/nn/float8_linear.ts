/** A fully connected layer whose products have factors of eight bits. */
import { Linear, type LinearOptions } from "./linear.ts";
import type { Module } from "./module.ts";
import { cat, dueWithNext, noGrad, type Tensor, zeros } from "../tensor/mod.ts";
import { autocastDtype } from "../amp/autocast.ts";
import { type Float8Format, float8Scale, roundToFloat8 } from "../amp/float8.ts";
import { suspendAutocast } from "../amp/state.ts";

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

/** Where a layer's tensors keep their largest values. */
type Role = "input" | "weight" | "gradient";

const formats: Readonly<Record<Role, Float8Format>> = {
  input: "e4m3",
  weight: "e4m3",
  gradient: "e5m2",
};

/**
 * A {@linkcode Linear} whose three products (forward, gradient of the input, gradient of the weight) have factors of eight bits: input and weight in
 * E4M3, the gradient of the output in E5M2, each with one scale for the tensor; sums are float32. Parameters stay as they are. Emulated in float32
 * on every device.
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

  /** A tensor on the grid of its format, and the factor that brought it there. */
  #quantize(x: Tensor, role: Role): { values: Tensor; scale: Tensor } {
    return noGrad(() => {
      const full = x.detach().to("float32"), amax = full.abs().amax();
      const history = this.amaxHistory?.[role], format = formats[role];
      // The first step has no history, and looks at the present.
      const known = history === undefined ? amax : history.amax();
      const scale = float8Scale(known.gt(0).where(known, amax), format);
      if (history !== undefined && this.training) {
        const next = cat([amax.reshape(1), history.narrow(0, 0, history.numel - 1)]);
        dueWithNext(history.assign(next));
      }
      return { values: roundToFloat8(full.mul(scale), format), scale };
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
      const { weight, bias } = this, rows = x.reshape(-1, this.inFeatures);
      const a = this.#quantize(rows, "input"), w = this.#quantize(weight, "weight");
      const y = noGrad(() => a.values.matmul(w.values.t()).div(a.scale.mul(w.scale)))
        .withGradient([rows, weight], (gradient) => {
          const g = this.#quantize(gradient, "gradient");
          return [
            g.values.matmul(w.values).div(g.scale.mul(w.scale)).to(rows.dtype),
            g.values.t().matmul(a.values).div(g.scale.mul(a.scale)).to(weight.dtype),
          ];
        })
        .to(out)
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
