/** Reductions beyond the primitive ones. */
import { SpecialTensor } from "./special.ts";

/** Reductions beyond the primitive ones. */
export abstract class StatisticsTensor extends SpecialTensor {}
