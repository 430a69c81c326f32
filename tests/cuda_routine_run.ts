/**
 * Runs the cases of `cuda_routine_cases.ts` on the CUDA device that the environment gives, and prints what differs, as JSON. A process of its own: the tests run it
 * with stand-ins for NVIDIA's libraries, `deno task test:gpu` with the real ones. With `--backend` the backend's own table runs, vendor libraries and all; else our kernels.
 */
import { CudaBackend } from "../core/backend/cuda/mod.ts";
import { kernelRoutines } from "../core/backend/cuda/routine_table.ts";
import type { Buffer, RoutineLaunch } from "../core/device.ts";
import { codecs, dtypes, type HostArray } from "../core/dtype.ts";
import type { RoutineCase } from "./cuda_routine_case.ts";
import { routineCases } from "./cuda_routine_cases.ts";

/** What came of the cases. */
export interface Outcome {
  readonly device: string;
  readonly passed: number;
  readonly failures: readonly string[];
}

type Routine = (call: unknown, buffers: readonly Buffer[]) => RoutineLaunch;

function encoded(c: RoutineCase, i: number): HostArray {
  const { dtype } = c.call.operands[i], numbers = c.data[i];
  const array = dtypes[dtype].array(numbers.length), { encode } = codecs[dtype];
  for (let j = 0; j < numbers.length; j++) array[j] = encode(numbers[j]) as never;
  return array;
}

/** Why a result is wrong; undefined when it is right. */
function difference(c: RoutineCase, got: HostArray): string | undefined {
  const { dtype } = c.call.operands.at(-1)!, { decode } = codecs[dtype], want = c.want!;
  for (let i = 0; i < want.length; i++) {
    const g = decode(got[i]), w = want[i];
    if (g === w || (Number.isNaN(g) && Number.isNaN(w))) continue;
    if (!(Math.abs(g - w) <= c.limit * (1 + Math.abs(w)))) return `at ${i}: got ${g}, want ${w}`;
  }
  return undefined;
}

/** Memory and launch of a case. All are bound before the first runs, so that their texts can be compiled together. */
function prepare(backend: CudaBackend, routines: Record<string, Routine>, c: RoutineCase) {
  const buffers = c.call.operands.map((o, i) => backend.alloc(o.dtype, c.data[i].length));
  return { c, buffers, start: routines[c.call.name](c.call, buffers).start };
}

function run(
  backend: CudaBackend,
  { c, buffers, start }: ReturnType<typeof prepare>,
): string | undefined {
  const last = buffers[buffers.length - 1];
  try {
    buffers.forEach((b, i) => backend.write(b, encoded(c, i)));
    // Twice: nothing may be left from the first time.
    for (let turn = 0; turn < 2; turn++) {
      backend.write(last, encoded(c, buffers.length - 1));
      start();
    }
    const got = backend.read(last, 0, last.length);
    return c.want === undefined ? "no error for an index out of range" : difference(c, got);
  } catch (error) {
    const message = (error as Error).message;
    return c.want === undefined && message.startsWith("Cannot index with") ? undefined : message;
  }
}

if (import.meta.main) {
  const backend = new CudaBackend(), failures: string[] = [];
  const routines = (Deno.args.includes("--backend")
    ? backend.routines
    : kernelRoutines(backend.runtime)) as unknown as Record<string, Routine>;
  let passed = 0;
  for (
    const prepared of routineCases().map((c) =>
      prepare(backend, routines, c)
    )
  ) {
    const why = run(backend, prepared);
    if (why === undefined) passed++;
    else failures.push(`${prepared.c.label}: ${why}`);
  }
  console.log(JSON.stringify({ device: backend.runtime.facts.name, passed, failures }));
}
