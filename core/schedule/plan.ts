/** A plan: what to run, in order, on numbered memory slots. Plans know no storage, so one plan serves every graph of the same form. */
import type { RoutineCall } from "../device.ts";
import type { DType } from "../dtype.ts";
import type { Kernel } from "../kernel.ts";

/** Where a slot's memory comes from. */
export type Slot =
  | { readonly kind: "leaf"; readonly leaf: number }
  | { readonly kind: "temp"; readonly dtype: DType; readonly length: number };

/** One launch. */
export type Step =
  & {
    readonly slots: readonly number[];
    /** Earlier steps that run beside the compute stream and must have finished. */
    readonly waits: readonly number[];
    /** Slots that nobody needs after this step. */
    readonly frees: readonly number[];
  }
  & (
    | { readonly kind: "kernel"; readonly kernel: Kernel; readonly extent: number }
    | { readonly kind: "routine"; readonly call: RoutineCall }
  );

/** A finished plan. */
export interface Plan {
  readonly slots: readonly Slot[];
  readonly steps: readonly Step[];
  /** For each root of the graph, the slot that holds it. */
  readonly results: readonly number[];
  /** Leaf storages written in place. */
  readonly written: readonly number[];
}
