/** Printed CUDA C, run on the CPU, against the reference: random kernels under every schedule, the operator matrix, random graphs and models. */
import { assert, assertEquals } from "@std/assert";
import { type Printed, printKernel } from "../core/backend/cuda/print.ts";
import { type Schedule, scheduleFor, scheduleKey } from "../core/backend/cuda/print_schedule.ts";
import { codecs, type DType, dtypes, type HostArray } from "../core/dtype.ts";
import { recordGraphs } from "./cuda_graphs.ts";
import { handKernels } from "./cuda_hand_kernels.ts";
import { type Sample, sampleOf, schedulesOf } from "./cuda_kernels.ts";
import { Emulated, whyNoCompiler } from "./emulator/emulate.ts";
import { randomKernel } from "./kernel_fuzz.ts";
import { isSoak } from "./soak.ts";

const folder = new URL("../.cache/emulator", import.meta.url).pathname;
const reason = whyNoCompiler();
/** Thousands of kernels take g++ minutes: `deno task soak` runs all, any other run one in so many of each kind. */
const share = isSoak ? 1 : 20;

/** How far apart results may be beside the rounding of 16-bit dtypes. */
interface Limit {
  readonly absolute: number;
  readonly relative: number;
}

interface Item {
  readonly label: string;
  readonly sample: Sample;
  readonly schedule: Schedule;
  readonly printed: Printed;
  readonly limit: Limit;
}

const item = (label: string, sample: Sample, schedule: Schedule, limit: Limit): Item => ({
  label,
  sample,
  schedule,
  printed: printKernel(sample.kernel, schedule),
  limit,
});

// A value on the border between two 16-bit numbers may fall on either side, and later steps see that.
const units: Partial<Record<DType, number>> = { float16: 2 ** -9, bfloat16: 2 ** -6 };

function compare(dtype: DType, got: HostArray, want: HostArray, limit: Limit): void {
  const { decode } = codecs[dtype], unit = limit.relative === 0 ? 0 : units[dtype] ?? 0;
  for (let i = 0; i < want.length; i++) {
    const g = decode(got[i]), w = decode(want[i]);
    if (g === w || (Number.isNaN(g) && Number.isNaN(w))) continue;
    const most = dtypes[dtype].kind === "float"
      ? limit.absolute + (limit.relative + unit) * Math.abs(w)
      : 0;
    if (!(Math.abs(g - w) <= most)) throw new Error(`${dtype} at ${i}: got ${g}, want ${w}`);
  }
}

function check(emulated: Emulated, { sample, printed, limit }: Item, mostBlocks: number): void {
  const { kernel, extent, before, after } = sample;
  const { buffers, error } = emulated.run(kernel, printed, extent, before, mostBlocks);
  const message = error[0] === 0n
    ? undefined
    : `Cannot index with ${error[1]}: the dimension has size ${error[2]}`;
  assertEquals(message === undefined, sample.error === undefined, `${message} ${sample.error}`);
  kernel.buffers.forEach(({ dtype, access }, i) => {
    if (access === "read") return;
    try {
      compare(dtype, buffers[i], after[i], limit);
    } catch (e) {
      throw new Error(`buffer ${i}, ${(e as Error).message}`);
    }
  });
}

async function run(items: readonly Item[]): Promise<void> {
  using emulated = await Emulated.compile(items.map((x) => x.printed), folder);
  const failures: string[] = [];
  for (const x of items) {
    try {
      // With few blocks each goes on to further rows and points, and uses its shared memory again.
      for (const mostBlocks of [Infinity, 2]) check(emulated, x, mostBlocks);
    } catch (error) {
      const text = failures.length < 3 ? `\n${x.sample.kernel.key}\n${x.printed.text}` : "";
      failures.push(`${x.label} [${scheduleKey(x.schedule)}]: ${(error as Error).message}${text}`);
    }
  }
  assert(
    failures.length === 0,
    `${failures.length} of ${items.length}:\n${failures.slice(0, 20).join("\n")}`,
  );
}

function test(name: string, items: () => readonly Item[]): void {
  Deno.test({
    name: `cuda text on the CPU: ${name}${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    ignore: reason !== undefined,
    fn: () => run(items()),
  });
}

test("kernels by hand", () =>
  handKernels().flatMap(({ name, sample, limit }, i) => {
    // The schedule of a launch, and two others in turn: the random kernels try them all.
    const [first, ...others] = schedulesOf(sample.kernel, sample.extent);
    const turn = [others[i % others.length], others[(i * 7 + 3) % others.length]];
    const schedules = share === 1 || i % share === 0 ? [first, ...turn] : [first];
    return [...new Set(schedules)].map((s) => item(name, sample, s, limit));
  }));

test("random kernels under every schedule", () =>
  Array.from({ length: 60 / share }, (_, i) => i).flatMap((seed) => {
    const { b, extent, data } = randomKernel(seed), sample = sampleOf(b.build(), extent, data);
    const limit = { absolute: 2e-3, relative: 1e-3 };
    return schedulesOf(sample.kernel, extent).map((s) => item(`seed ${seed}`, sample, s, limit));
  }));

test("the operator matrix, random graphs and models", () =>
  recordGraphs(25).filter((_, i) => i % share === 0).map((sample) =>
    item(
      sample.kernel.name,
      sample,
      scheduleFor(sample.kernel, sample.extent),
      { absolute: 1e-5, relative: 2e-5 },
    )
  ));
