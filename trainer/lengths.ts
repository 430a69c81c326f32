/** How many batches a pass has, the same on every rank. */
import type { BatchLoader } from "./batch_source.ts";
import type { TrainerServices } from "./services.ts";

/**
 * As many batches as the fullest rank has; when the last batch is dropped, as many as every rank has. All ranks must call it.
 *
 * @param trainer Knows the other ranks
 * @param loader This rank's loader
 * @param options `dropsLast`: whether every rank drops its last batch
 * @returns `undefined` when a rank does not know
 * @throws {RangeError} When no rank has a batch
 */
export function agreeOnLength(
  trainer: TrainerServices,
  loader: BatchLoader,
  options: { readonly dropsLast?: boolean } = {},
): number | undefined {
  const { length } = loader;
  const [isKnown, least] = trainer.reduce([length === undefined ? 0 : 1, length ?? 0], "min");
  if (isKnown === 0) return undefined;
  const [most] = trainer.reduce([length!], "max");
  if (most === 0 || (options.dropsLast && least === 0)) {
    throw new RangeError(
      options.dropsLast
        ? "Cannot begin: the data does not give every rank a full batch"
        : "Cannot begin: the data gives no batch",
    );
  }
  return options.dropsLast ? least : most;
}
