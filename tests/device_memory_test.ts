/** Bytes alive stand still over many training steps, captured and not, on each device. */
import { backendOf, capture, keep, nn, optim, rand, randint, realize, stepScope } from "@pta/core";
import { assert, assertEquals } from "@std/assert";
import { devices, missing, on } from "./devices.ts";

/** Steps in all; on the slow reference a tenth of them. */
const STEPS = 1000;

for (const device of devices) {
  for (const captured of [true, false]) {
    const reason = missing(device), steps = STEPS / (device === "ref" || !captured ? 10 : 1);
    Deno.test({
      name: `memory stands still over ${steps} ${
        captured ? "captured" : "plain"
      } steps [${device}]`,
      ignore: reason !== undefined,
      fn: () =>
        on(device, () => {
          const model = new nn.Sequential(
            new nn.Linear(12, 16),
            new nn.LayerNorm(16),
            new nn.GELU(),
            new nn.Dropout(0.1),
            new nn.Linear(16, 4),
          );
          const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
          const x = keep(rand([8, 12])), y = keep(randint(0, 4, [8], { dtype: "int32" }));
          realize(x, y);
          const body = () => {
            optimizer.zeroGrad();
            const loss = nn.functional.crossEntropy(model.forward(x) as typeof x, y);
            loss.backward();
            optimizer.step();
            return loss;
          };
          const step = captured ? capture(body) : body;
          const backend = backendOf(device), alive: number[] = [];
          let last = NaN;
          for (let i = 0; i < steps; i++) {
            using _scope = stepScope();
            last = step().item();
            if (i >= 4) alive.push(backend.stats.bytesAlive);
          }
          assert(Number.isFinite(last));
          assertEquals(new Set(alive).size, 1, `bytes alive: ${[...new Set(alive)].slice(0, 5)}`);
        }),
    });
  }
}
