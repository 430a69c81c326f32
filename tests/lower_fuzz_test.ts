/** Random kernels as generated code against the interpreter. A failure names its seed. */
import { randomKernel } from "./kernel_fuzz.ts";
import { compareRuns } from "./kernel_interpreter.ts";

for (let group = 0; group < 10; group++) {
  Deno.test(`random kernels, group ${group}`, () => {
    for (let i = 0; i < 40; i++) {
      const seed = group * 1000 + i, { b, extent, data } = randomKernel(seed);
      try {
        compareRuns(b.build(), extent, data, { absolute: 2e-3, relative: 1e-3 }, 16);
      } catch (error) {
        throw new Error(`Seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
  });
}
