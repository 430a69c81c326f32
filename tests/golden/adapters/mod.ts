/** Every adapter, by PyTorch's operator name, and the reasons for those that are missing. */
import type { Adapters } from "../adapter.ts";
import { elementary, elementaryReasons } from "./elementary.ts";
import { special, specialReasons } from "./special.ts";
import { reductions, reductionsReasons } from "./reductions.ts";
import { sorting, sortingReasons } from "./sorting.ts";
import { movement, movementReasons } from "./movement.ts";
import { indexing, indexingReasons } from "./indexing.ts";
import { creation, creationReasons } from "./creation.ts";
import { linalg, linalgReasons } from "./linalg.ts";
import { windows, windowsReasons } from "./windows.ts";
import { normalization, normalizationReasons } from "./normalization.ts";
import { losses, lossesReasons } from "./losses.ts";
import { activations, activationsReasons } from "./activations.ts";
import { attention, attentionReasons } from "./attention.ts";
import { vision, visionReasons } from "./vision.ts";

/** Joins tables; a name in two of them is an error. */
function joined<T>(tables: readonly Readonly<Record<string, T>>[]): Record<string, T> {
  const all: Record<string, T> = {};
  for (const table of tables) {
    for (const [name, value] of Object.entries(table)) {
      if (name in all) throw new Error(`Cannot register ${name}: another table has it`);
      all[name] = value;
    }
  }
  return all;
}

/** Adapters by PyTorch's name. */
export const adapters: Adapters = joined([
  elementary,
  special,
  reductions,
  sorting,
  movement,
  indexing,
  creation,
  linalg,
  windows,
  normalization,
  losses,
  activations,
  attention,
  vision,
]);

/** Names left out on purpose, and why. */
export const reasons: Record<string, string> = joined([
  elementaryReasons,
  specialReasons,
  reductionsReasons,
  sortingReasons,
  movementReasons,
  indexingReasons,
  creationReasons,
  linalgReasons,
  windowsReasons,
  normalizationReasons,
  lossesReasons,
  activationsReasons,
  attentionReasons,
  visionReasons,
]);
