/** Mixed precision: regions of low precision, and loss scaling. */
export {
  autocast,
  autocastDtype,
  autocastForward,
  type AutocastForwardOptions,
  type AutocastOptions,
  autocastPolicy,
  type Forwardable,
  isAutocastEnabled,
} from "./autocast.ts";
export type { Policy } from "./policies.ts";
export type { LowDType, PolicyList } from "./state.ts";
export { toFloat32 } from "./cast.ts";
export { GradScaler } from "./grad_scaler.ts";
export type { GradScalerOptions, GradScalerState } from "./scaler_options.ts";
export { type Float8Facts, type Float8Format, float8Formats } from "../float8_format.ts";
export { float8Scale, roundToFloat8 } from "./float8.ts";
export { multipliesFloat8 } from "./float8_products.ts";
