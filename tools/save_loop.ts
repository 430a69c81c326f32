/** Saves states without end, each made of its own number, until it is killed: `save_loop.ts FOLDER`. */
import { full, type Tensor } from "@pta/core";
import "@pta/core/backend";
import { nextStatePath, removeOldStates } from "../trainer/checkpoint/folder.ts";
import { writeState } from "../trainer/checkpoint/training_state.ts";

const [folder] = Deno.args;
const tensors = (count: number, value: number): Record<string, Tensor> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`t${i}`, full([20_000], value).realize()]),
  );

for (let n = 1;; n++) {
  const all = tensors(6, n);
  const { t0, t1, ...model } = all;
  await writeState(
    () => nextStatePath(folder, n),
    { model, optimizer: { state: { 0: { t0 } }, n }, sections: { n, object: { t1 } } },
    {
      epoch: 0,
      stepInEpoch: n,
      numUpdates: n,
      worldSize: 1,
      savedAt: new Date().toISOString(),
      metric: undefined,
    },
    undefined,
  );
  console.log(`saved ${n}`);
  await removeOldStates(folder, { keepLast: 2, isBetter: undefined });
  for (const t of Object.values(all)) t.dispose();
}
