import { nn } from "@pta/accelerated";
import {
  type Adapters,
  argument,
  numbersOf,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

const { functional: F } = nn;

type Options = NonNullable<Parameters<typeof F.interpolate>[1]>;

const list = (v: Value | undefined): number | number[] | undefined =>
  v === undefined || v === null ? undefined : typeof v === "number" ? v : numbersOf(v);

const resize = (s: Sample, given: Partial<Options> = {}) =>
  F.interpolate(tensorOf(s.input), {
    size: list(argument(s, 0, "size")),
    scaleFactor: list(argument(s, 1, "scale_factor")),
    mode: (s.kwargs.mode ?? undefined) as Options["mode"],
    alignCorners: s.kwargs.align_corners === true,
    recomputeScaleFactor: s.kwargs.recompute_scale_factor === true,
    antialias: s.kwargs.antialias === true,
    ...given,
  });

const modes = ["bilinear", "nearest", "bicubic"] as const;
const paddings = ["zeros", "border", "reflection"] as const;
/** An option by its name or, in the native form, its number. */
const named = <T extends string>(names: readonly T[], v: Value | undefined): T | undefined =>
  v == null ? undefined : typeof v === "number" ? names[v] : v as T;
const sample = (s: Sample) =>
  F.gridSample(tensorOf(s.input), tensorOf(s.args[0]), {
    mode: named(modes, argument(s, 1, "mode") ?? argument(s, 1, "interpolation_mode")),
    paddingMode: named(paddings, argument(s, 2, "padding_mode")),
    alignCorners: argument(s, 3, "align_corners") === true,
  });

/** Adapters by PyTorch's name. */
export const vision: Adapters = {
  "nn.functional.pad": (s) =>
    F.pad(tensorOf(s.input), numbersOf(argument(s, 0, "pad")), {
      mode: (argument(s, 1, "mode") ?? undefined) as Parameters<typeof F.pad>[2] extends infer O
        ? NonNullable<O> extends { mode?: infer M } ? M : never
        : never,
      value: Number(argument(s, 2, "value") ?? 0),
    }),
  "nn.functional.interpolate": (s) => resize(s),
  "nn.functional.grid_sample": sample,
  grid_sampler_2d: sample,
  grid_sampler_3d: sample,
  "nn.functional.upsample_nearest": (s) => resize(s, { mode: "nearest" }),
  "nn.functional.upsample_bilinear": (s) => resize(s, { mode: "bilinear", alignCorners: true }),
  _upsample_bilinear2d_aa: (s) =>
    resize(s, {
      mode: "bilinear",
      antialias: true,
      size: list(s.kwargs.output_size),
      scaleFactor: list(s.kwargs.scale_factors),
    }),
};

/** Names left out, and why. */
export const visionReasons: Record<string, string> = {};
