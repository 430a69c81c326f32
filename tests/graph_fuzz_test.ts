import { AssertionError } from "@std/assert";
import { realize } from "@pta/core";
import { close } from "./assert.ts";
import { devices, missing, on } from "./devices.ts";
import { type FuzzOptions, runProgram } from "./graph_fuzz.ts";

const first = Number(Deno.env.get("PTA_FUZZ_FIRST") ?? 1);
const runs = Number(Deno.env.get("PTA_FUZZ_RUNS") ?? 60);

function check(seed: number, options: FuzzOptions, fuse: boolean): void {
  on(options.device, () => {
    let text: readonly string[] = [];
    try {
      const result = runProgram(seed, options);
      text = result.text;
      realize(...result.values.map((v) => v.t));
      if (options.device === "null") return;
      const tolerance = options.dtype === "float64"
        ? { atol: 1e-9, rtol: 1e-9 }
        : { atol: 2e-4, rtol: 2e-4 };
      result.values.forEach((v, i) =>
        close(v.t, v.p, tolerance, `value ${i} of ${result.values.length}`)
      );
    } catch (error) {
      throw new AssertionError(
        `seed ${seed}, ${JSON.stringify(options)}, fuse ${fuse}: ${(error as Error).stack}\n  ${
          text.join("\n  ")
        }`,
      );
    }
  }, { fuse });
}

for (const device of [...devices, "null"]) {
  const reason = missing(device);
  // The null device computes nothing, so there it only matters that a plan is found.
  for (const fuse of device === "null" ? [true] : [true, false]) {
    Deno.test({
      name: `random graphs agree with plain arrays [${device}, ${fuse ? "fused" : "unfused"}${
        reason ? `: ${reason}` : ""
      }]`,
      ignore: reason !== undefined,
      fn: () => {
        const failures: string[] = [];
        for (let i = 0; i < runs; i++) {
          const seed = first + i;
          const dtype = device === "cpu" && seed % 2 === 0 ? "float32" : "float64";
          const options = {
            device,
            dtype,
            length: 6 + (seed % 5) * 6,
            assigns: seed % 3 === 0,
          } as const;
          try {
            check(seed, options, fuse);
          } catch (error) {
            failures.push((error as Error).message);
          }
        }
        if (failures.length > 0) {
          throw new AssertionError(
            `${failures.length} of ${runs} programs fail:\n${failures.slice(0, 3).join("\n\n")}`,
          );
        }
      },
    });
  }
}
