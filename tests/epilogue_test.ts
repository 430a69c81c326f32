/** Products that do the bias and the activation after them: which graphs are folded, and that results stay. */
import { assert, assertEquals } from "@std/assert";
import { type Backend, backendOf, clearPlans, randn, setDefaultDevice } from "@pta/core";
import { compileCuda, type NvrtcCalls, openNvrtc } from "@pta/ffi";
import { prelude } from "../core/backend/cuda/prelude.ts";
import { programOptions } from "../core/backend/cuda/print.ts";
import { cudaEnding } from "../core/backend/cuda/routine_epilogue.ts";
import type { CudaRuntime } from "../core/backend/cuda/runtime.ts";
import type { Buffer } from "../core/device.ts";
import { contiguousStrides } from "../core/shape.ts";
import type { NullBackend } from "../core/backend/null/null.ts";
import { whyNotEmulated } from "./emulator/build.ts";
import { layerCases } from "./epilogue_cases.ts";
import type { Epilogues } from "./epilogue_run.ts";
import { eachDevice } from "./devices.ts";
import { unlessSoak } from "./soak.ts";

type Wants = NonNullable<Backend["wantsEpilogue"]>;

/** Runs with a device that wants every product's end; what it was asked about and has agreed to. */
function wanting<T>(device: string, fn: () => T): { result: T; folded: string[] } {
  const backend = backendOf(device) as { wantsEpilogue?: Wants }, folded: string[] = [];
  const before = backend.wantsEpilogue;
  clearPlans();
  backend.wantsEpilogue = (call) => {
    folded.push(call.params.activation);
    return true;
  };
  try {
    return { result: fn(), folded };
  } finally {
    backend.wantsEpilogue = before;
    clearPlans();
  }
}

/** What is folded in each case. */
const folds: Readonly<Record<string, string[]>> = {
  bias: ["none"],
  relu: ["relu"],
  "gelu, more dimensions": ["gelu"],
  "one after the other": ["relu", "relu"],
  "a value that others read": ["none"],
  "a product that others read": [],
  "a row added to itself": [],
  "gelu by erf": ["none"],
  training: ["none"],
};

eachDevice("epilogues: folded and plain graphs agree", (device) => {
  assertEquals(Object.keys(folds), Object.keys(layerCases));
  for (const [name, run] of Object.entries(layerCases)) {
    const want = run("float32"), { result, folded } = wanting(device, () => run("float32"));
    assertEquals(folded, folds[name], name);
    const size = Math.max(...want.map(Math.abs));
    assertEquals(result.length, want.length);
    result.forEach((x, i) =>
      assert(Math.abs(x - want[i]) < 1e-5 * size, `${name}: ${x} ${want[i]}`)
    );
  }
});

Deno.test("epilogues: one routine and nothing else", () => {
  const before = setDefaultDevice("null"), backend = backendOf("null") as unknown as NullBackend;
  try {
    const [x, w, b] = [[4, 8], [8, 8], [8]].map((shape) => randn(shape).realize());
    const { result } = wanting("null", () => {
      backend.trace.length = 0;
      x.matmul(w).add(b).relu().realize();
      return [...backend.trace];
    });
    assertEquals(result, ["matmulEpilogue"]);
  } finally {
    setDefaultDevice(before);
  }
});

let nvrtc: NvrtcCalls | undefined, absent = "";
try {
  nvrtc = openNvrtc().calls;
} catch (error) {
  absent = ` (skipped: ${(error as Error).message.split(". ")[0]})`;
}

Deno.test({
  name: `epilogues: NVRTC compiles the kernels of our own without a warning${absent}`,
  ignore: nvrtc === undefined,
  fn: () => {
    const texts: string[] = [];
    const runtime = {
      launcher: (text: string) => {
        texts.push(text);
        return () => {};
      },
    } as unknown as CudaRuntime;
    for (const activation of ["none", "relu", "gelu"] as const) {
      for (const dtype of ["float32", "bfloat16", "float16"] as const) {
        const operands = [[4, 8], [8, 16], [16], [4, 16]].map((shape) => ({
          dtype,
          shape,
          strides: contiguousStrides(shape),
          offset: 0,
        }));
        const buffers = operands.map(() => ({ pointer: 512 }) as unknown as Buffer);
        cudaEnding(runtime, { name: "matmulEpilogue", params: { activation }, operands }, buffers);
      }
    }
    assertEquals(new Set(texts).size, 9);
    const source = [prelude, ...texts].join("\n");
    const { cubin, log } = compileCuda(nvrtc!, {
      source,
      options: ["-arch=sm_90", ...programOptions],
    });
    assertEquals(log, "");
    assert(cubin.length > 0);
  },
});

const reason = unlessSoak(whyNotEmulated()),
  at = (file: string) => new URL(file, import.meta.url).pathname;
const limits: Readonly<Record<string, number>> = {
  float32: 1e-5,
  bfloat16: 3e-2,
  float16: 4e-3,
  float64: 1e-5,
};

for (
  const [about, env, biased, args] of [
    ["by cuBLASLt", { PTA_CUBLAS_EPILOGUE: "1" }, 8, []],
    ["by kernels of our own", { PTA_CUBLAS: "off" }, 0, ["--own"]],
    ["not asked for", {}, 0, []],
  ] as const
) {
  Deno.test({
    name: `epilogues: emulated GPU, ${about}${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    ignore: reason !== undefined,
    fn: async () => {
      const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          at("emulator/run.ts"),
          "deno",
          "run",
          "-A",
          at("epilogue_run.ts"),
          ...args,
        ],
        env,
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assertEquals(code, 0, text(stderr));
      const results: Epilogues[] = JSON.parse(text(stdout).trim().split("\n").at(-1)!);
      for (const { dtype, errors, biased: found } of results) {
        assertEquals(found, dtype === "float64" ? 0 : biased, dtype);
        for (const [name, error] of Object.entries(errors)) {
          assert(error < limits[dtype], `${dtype} ${name}: ${error}`);
        }
      }
    },
  });
}
