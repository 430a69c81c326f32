/** Parametrizations that are ready to use: `torch.nn.utils.parametrizations`. */
export { WeightNorm, weightNorm, type WeightNormOptions } from "./weight_norm.ts";
export { SpectralNorm, spectralNorm, type SpectralNormOptions } from "./spectral_norm.ts";
export {
  Orthogonal,
  orthogonal,
  type OrthogonalMap,
  type OrthogonalOptions,
} from "./orthogonal.ts";
