/** Kernels of the CUDA backend's routines: run on emulated devices against plain loops, and compiled by the real NVRTC. */
import { assert, assertEquals } from "@std/assert";
import { compileCuda, type NvrtcCalls, openNvrtc } from "@pta/ffi";
import { prelude } from "../core/backend/cuda/prelude.ts";
import { programOptions } from "../core/backend/cuda/print.ts";
import { kernelRoutines } from "../core/backend/cuda/routine_table.ts";
import type { CudaRuntime, Geometry } from "../core/backend/cuda/runtime.ts";
import type { Buffer } from "../core/device.ts";
import { routineCases } from "./cuda_routine_cases.ts";
import type { Outcome } from "./cuda_routine_run.ts";
import { whyNotEmulated } from "./emulator/build.ts";
import { unlessSoak } from "./soak.ts";

const at = (file: string) => new URL(file, import.meta.url).pathname;
const emulated = whyNotEmulated();

function onEmulator(name: string, args: readonly string[], reason = emulated): void {
  Deno.test({
    name: `cuda routines: ${name} on the emulator${
      reason === undefined ? "" : ` (skipped: ${reason})`
    }`,
    ignore: reason !== undefined,
    fn: async () => {
      const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", ...args],
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assertEquals(code, 0, text(stderr));
      const { passed, failures }: Outcome = JSON.parse(text(stdout).trim().split("\n").at(-1)!);
      assertEquals(failures, []);
      assertEquals(passed, routineCases().length);
      assertEquals(text(stderr).split("\n").filter((line) => line.startsWith("emulator:")), []);
    },
  });
}
onEmulator(
  "kernels of our own agree with plain loops",
  [at("cuda_routine_run.ts")],
  unlessSoak(emulated),
);
onEmulator("the backend's routines agree with plain loops", [
  at("cuda_routine_run.ts"),
  "--backend",
]);

/** Texts of all cases, and what is launched of them. */
function texts(): { all: Map<string, string>; launches: { name: string; geometry: Geometry }[] } {
  const all = new Map<string, string>(), launches: { name: string; geometry: Geometry }[] = [];
  const runtime = {
    indexError: 0,
    workspace: () => 0,
    launcher: (text: string, name: string, geometry: Geometry) => {
      all.set(text, name);
      launches.push({ name, geometry });
      return () => {};
    },
  } as unknown as CudaRuntime;
  const routines = kernelRoutines(runtime);
  for (const { call } of routineCases()) {
    const buffers = call.operands.map(() => ({ pointer: 512 }) as unknown as Buffer);
    (routines[call.name] as (c: unknown, b: Buffer[]) => unknown)(call, buffers);
  }
  return { all, launches };
}

Deno.test("cuda routines: names of functions occur in one text only", () => {
  const seen = new Map<string, string>();
  for (const text of texts().all.keys()) {
    const made = text.matchAll(
      /(?:__global__ void __launch_bounds__\(\d+\)|struct|typedef u64|__device__ __forceinline__ [\w ]+?) (\w+)(?= ?[({;])/g,
    );
    for (const [, name] of made) {
      assertEquals(seen.get(name) ?? text, text, `${name} is in two texts`);
      seen.set(name, text);
    }
  }
  assert(seen.size > 100);
});

Deno.test("cuda routines: no launch asks for more than a device has", () => {
  for (const { name, geometry: { grid, block } } of texts().launches) {
    const [x, y = 1, z = 1] = grid, threads = block.reduce((a, b) => a * b, 1);
    assert(x < 2 ** 31 && y < 65536 && z < 65536, name);
    assert(threads >= 1 && threads <= 1024 && threads % 32 === 0, name);
    assert([...grid, ...block].every(Number.isInteger), name);
  }
});

let nvrtc: NvrtcCalls | undefined, absent = "";
try {
  nvrtc = openNvrtc().calls;
} catch (error) {
  absent = ` (skipped: ${(error as Error).message.split(". ")[0]})`;
}

Deno.test({
  name: `cuda routines: NVRTC compiles every text without a warning${absent}`,
  ignore: nvrtc === undefined,
  fn: () => {
    const all = [...texts().all.keys()], architectures = ["sm_80", "sm_90", "sm_100"];
    // Each text for one of them in turn, or for all with `PTA_CUDA_ALL=1`.
    const every = Deno.env.get("PTA_CUDA_ALL") === "1";
    architectures.forEach((arch, turn) => {
      const mine = every ? all : all.filter((_, i) => i % architectures.length === turn);
      const source = [prelude, ...mine].join("\n");
      const options = [`-arch=${arch}`, ...programOptions];
      const { cubin, log } = compileCuda(nvrtc!, { source, options });
      assertEquals(log, "");
      assert(cubin.length > 0);
    });
  },
});
