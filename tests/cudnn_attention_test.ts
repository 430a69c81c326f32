/** Attention of tensors by the backend's cuDNN graphs, executed by the emulated library, against products and a softmax. */
import { assert, assertEquals } from "@std/assert";
import { CudnnAttention } from "../core/backend/cuda/cudnn_attention_launch.ts";
import type { Report } from "./cudnn_attention_run.ts";
import { whyNotEmulated } from "./emulator/build.ts";
import { unlessSoak } from "./soak.ts";

const at = (file: string) => new URL(file, import.meta.url).pathname;
const reason = unlessSoak(whyNotEmulated());
const skipped = reason === undefined ? "" : ` (skipped: ${reason})`;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Calls of the list that cuDNN does, and those that it does not. */
const byCudnn = 10;
const byProducts = ["one position", "size of 12", "float32", "leading dimensions that differ"];

Deno.test("cudnn attention: not by a library that does not know the operation", () => {
  const asked: string[] = [];
  const plans = (version: number) => {
    const graphs = {
      calls: { cudnnGetVersion: () => version },
      counts: { built: 0 },
      plan: (key: string) => void asked.push(key),
    };
    const attention = new CudnnAttention({} as never, graphs as never);
    const base = {
      dtype: "float16",
      batch: 1,
      heads: 1,
      keyHeads: 1,
      size: 8,
      valueSize: 8,
    } as const;
    for (const [queries, keys] of [[1, 1], [1, 2]]) {
      for (const direction of ["forward", "backward"] as const) {
        attention.plans(direction, { ...base, queries, keys, causal: false });
      }
    }
    return asked.splice(0).map((key) => key.split(" ")[1]);
  };
  // The operation that masks came with 9.21.
  assertEquals(plans(92000), []);
  assertEquals(plans(92100), ["forward", "forward", "backward"]);
});

Deno.test("cudnn attention: a new shape in every step is not planned for ever", () => {
  const counts = { built: 0 };
  const graphs = {
    calls: { cudnnGetVersion: () => 92400 },
    counts,
    plan: () => ({ workspace: counts.built++ }),
  };
  const attention = new CudnnAttention({} as never, graphs as never);
  const base = {
    dtype: "float16",
    batch: 1,
    heads: 1,
    keyHeads: 1,
    size: 8,
    valueSize: 8,
  } as const;
  const plans = (length: number) =>
    attention.plans("forward", { ...base, queries: length, keys: length, causal: true });
  const taken = Array.from({ length: 200 }, (_, i) => plans(i + 2)).filter((t) => t).length;
  assertEquals([taken, counts.built], [128, 128]);
  // Those that are there serve on.
  assertEquals([plans(2), plans(500), counts.built], [true, false, 128]);
});

for (const on of [true, false]) {
  Deno.test({
    name: `cudnn attention: forward, gradients, steps${on ? "" : ", switched off"}${skipped}`,
    ignore: reason !== undefined,
    fn: async (t) => {
      const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
        // deno-fmt-ignore
        args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", at("cudnn_attention_run.ts")],
        env: on ? {} : { PTA_CUDNN: "off" },
      }).output();
      assertEquals(code, 0, text(stderr));
      const report: Report = JSON.parse(text(stdout).trim().split("\n").at(-1)!);
      const { attended, inferred, trained, second, plans } = report;
      await t.step("as exact as half precision lets them", () => {
        for (const { label, errors } of [...attended, ...inferred, second]) {
          assert(errors.every((e) => e < 1.2e-2), `${label}: ${errors}`);
        }
        assertEquals(new Set(attended.map((a) => a.errors.length)), new Set([4]));
      });
      await t.step("a routine for the result and one for all gradients", () => {
        const short = attended.filter((a) => a.routines === 2).map((a) => a.label);
        const long = attended.filter((a) => a.routines === 6).map((a) => a.label);
        assertEquals(short.length, on ? byCudnn : 0);
        assertEquals(long.slice(-byProducts.length), byProducts);
        assertEquals(long.length, byProducts.length + (on ? 0 : byCudnn));
        assertEquals(inferred.map((a) => a.routines), on ? [1, 2] : [2, 2]);
        // Forward and backward of each case, and of the steps; forward alone of the one position.
        assertEquals(plans, on ? 2 * byCudnn + 3 : 0);
      });
      await t.step("steps in bfloat16, captured, checkpointed", () => {
        const { want, plain, captured, checkpointed, launches } = trained;
        assertEquals(want.length, 6);
        assert(want[5] < 0.9 * want[0]);
        for (const got of [plain, captured, checkpointed]) {
          want.forEach((w, i) => assert(Math.abs(got[i] - w) <= 5e-3 * w, `${got}, not ${want}`));
        }
        // Two products forward and three backward, beside attention's.
        assertEquals(launches.routines, on ? 5 + 2 : 5 + 6);
      });
    },
  });
}
