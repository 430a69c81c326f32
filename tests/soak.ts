/** What takes long: `deno task test` keeps a part of it, `deno task soak` runs all. */

/** Whether everything runs. */
export const isSoak = Deno.env.get("PTA_TEST_SOAK") === "1";

/** Why a test does not run here: a reason of its own, or that only `deno task soak` runs it. */
export const unlessSoak = (reason: string | undefined): string | undefined =>
  reason ?? (isSoak ? undefined : "deno task soak runs it");
