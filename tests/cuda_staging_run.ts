/** What tests/cuda_staging_test.ts has an emulated device do, in a process of its own: `deno run -A tests/cuda_staging_run.ts NAME [FAULT]` prints numbers as JSON. */
import {
  backendOf,
  capture,
  manualSeed,
  nn,
  optim,
  setDefaultDevice,
  stepScope,
  type Tensor,
  tensor,
} from "@pta/accelerated";
import { isOutOfMemory } from "../trainer/callbacks/batch_size_finder.ts";
import { type CudaBuffer, CudaMemory } from "../core/backend/cuda/memory.ts";
import type { CudaBackend } from "../core/backend/cuda/mod.ts";
import { Staging } from "../core/backend/cuda/staging.ts";
import { Transfer } from "../core/backend/cuda/transfer.ts";
import { newStats } from "../core/backend/stats.ts";
import { Dice } from "./graph_fuzz.ts";

const [name, fault] = Deno.args;
const device = Deno.env.get("PTA_DEVICE") ?? "cpu";
setDefaultDevice(device);

/** Calls that a fault leaves out. */
function plant(call: "cuStreamWaitEvent" | "cuEventSynchronize"): void {
  const { driver } = (backendOf("cuda") as CudaBackend).runtime;
  (driver as unknown as Record<string, () => void>)[call] = () => {};
}

/** Rows of 32 KiB and their classes. */
function batch(i: number): [Tensor, Tensor] {
  const dice = new Dice(50 + i);
  const x = Float32Array.from({ length: 32 * 256 }, () => dice.next() - 0.5);
  return [
    tensor(x, { shape: [32, 256] }),
    tensor(Int32Array.from({ length: 32 }, () => dice.int(4))),
  ];
}

/** Losses of a captured training step, whose batches are uploaded while the step before waits. */
function training(): number[] {
  manualSeed(1);
  const model = new nn.Sequential(new nn.Linear(256, 8), new nn.ReLU(), new nn.Linear(8, 4));
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
  const lossFunc = new nn.CrossEntropyLoss(), sum = tensor([0]).realize();
  const step = capture((x: Tensor, t: Tensor) => {
    optimizer.zeroGrad();
    const loss = lossFunc.forward(model.forward(x), t);
    loss.backward();
    optimizer.step();
    sum.assign(sum.mul(0.5).add(loss.detach())).realize();
    return loss;
  });
  for (let i = 0; i < 12; i++) {
    using _scope = stepScope();
    const loss = step(...batch(i));
    // Nothing is read before, so that steps and copies pile up.
    if (i === 11) return [loss.item(), sum.item(), step.replays];
  }
  return [];
}

/** What arrives of random uploads through few and small slabs, some of which are taken late, twice or never: places of wrong bytes. */
function slabs(): number[] {
  const { runtime } = backendOf("cuda") as CudaBackend, stats = newStats();
  const memory = new CudaMemory(runtime, stats), transfer = new Transfer(runtime, stats);
  const isExact = Deno.env.get("PTA_CUDA_CACHE") === "0";
  const staging = new Staging(runtime, { slab: 4096, least: 512, most: 20000, isExact });
  const dice = new Dice(9), wrong: number[] = [];
  const held: { buffer: ReturnType<typeof memory.alloc>; bytes: Uint8Array }[] = [];
  let staged = 0;
  const check = ({ buffer, bytes }: (typeof held)[number], i: number) => {
    const into = new Uint8Array(bytes.length);
    transfer.download(buffer.pointer, into);
    if (into.some((b, at) => b !== bytes[at])) wrong.push(i);
  };
  // First many that nobody asks for meanwhile, so that nothing waits but the slabs.
  const pile = Array.from({ length: 40 }, (_, i) => {
    const bytes = new Uint8Array(3000).fill(i + 1), buffer = memory.alloc("uint8", 3000);
    if (staging.upload(buffer, bytes)) staged++;
    return { buffer, bytes };
  });
  pile.forEach(check);
  for (let i = 0; i < 150; i++) {
    const bytes = Uint8Array.from({ length: 1 + dice.int(15000) }, () => dice.int(256));
    const buffer = memory.alloc("uint8", bytes.length), sent = bytes.slice();
    if (staging.upload(buffer, sent)) staged++;
    else transfer.upload(buffer.pointer, sent);
    sent.fill(255);
    if (buffer.staged !== undefined && i % 3 === 0) {
      const copy = memory.alloc("uint8", bytes.length);
      buffer.staged.take(copy.pointer);
      if (i % 2 === 0) check({ buffer: copy, bytes }, i);
      memory.free(copy);
    }
    held.push({ buffer, bytes });
    if (held.length < 5) continue;
    const [one] = held.splice(dice.int(5), 1);
    if (i % 4 !== 0) check(one, i);
    memory.free(one.buffer);
  }
  held.forEach(check);
  return [wrong.length, Number(staged > 100), Number(staging.slabs <= 4 + 2 * 4)];
}

/** What the device does when it is full: what is kept without need goes first, and errors are those of a device without room. */
function full(): number[] {
  const backend = backendOf("cuda") as CudaBackend, { runtime, memory } = backend;
  const room = () => {
    const free = new BigUint64Array(1), total = new BigUint64Array(1);
    runtime.driver.cuMemGetInfo(free, total);
    return Number(free[0]);
  };
  const staging = new Staging(runtime), bytes = new Uint8Array(3 << 20).fill(7);
  const upload = (): [CudaBuffer, boolean] => {
    const buffer = memory.alloc("uint8", bytes.length);
    return [buffer, staging.upload(buffer, bytes)];
  };
  const says = (what: () => unknown): number => {
    try {
      what();
      return 0;
    } catch (error) {
      return Number(error instanceof RangeError && isOutOfMemory(error));
    }
  };
  const made = Array.from({ length: 4 }, upload), isStaged = made.every(([, staged]) => staged);
  // One of them has not been asked for: its slabs stay.
  for (const [buffer] of made.slice(1)) {
    void buffer.pointer;
    memory.free(buffer);
  }
  const before = staging.slabs, large = room() + (4 << 20);
  const whole = memory.alloc("uint8", large), after = staging.slabs;
  const kept = backend.read(made[0][0], 0, bytes.length).every((b) => b === 7);
  memory.free(made[0][0]);
  const much = says(() => memory.alloc("uint8", large));
  const scratch = says(() => runtime.workspace(large));
  // No slab is left, and none can be made.
  const rest = memory.alloc("uint8", bytes.length);
  while (room() > 0) runtime.request(room());
  const refused = [staging.upload(rest, bytes), staging.upload(rest, bytes), staging.slabs];
  memory.free(whole);
  return [isStaged, before > after, after > 0, kept, much, scratch, ...refused].map(Number);
}

const scenarios: Readonly<Record<string, () => number[]>> = { slabs, training, full };
if (fault !== undefined) plant(fault as Parameters<typeof plant>[0]);
console.log(JSON.stringify(scenarios[name]()));
