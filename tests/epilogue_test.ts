/** Products that do the bias and the activation after them: which graphs are folded, and that results stay. */
import { assert, assertEquals } from "@std/assert";
import { type Backend, backendOf, clearPlans, randn, setDefaultDevice } from "@pta/core";
import type { NullBackend } from "../core/backend/null/null.ts";
import { whyNotEmulated } from "./emulator/build.ts";
import { layerCases } from "./epilogue_cases.ts";
import type { Epilogues } from "./epilogue_run.ts";
import { eachDevice } from "./devices.ts";

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

const reason = whyNotEmulated(), at = (file: string) => new URL(file, import.meta.url).pathname;
const limits: Readonly<Record<string, number>> = {
  float32: 1e-5,
  bfloat16: 3e-2,
  float16: 4e-3,
  float64: 1e-5,
};

for (
  const [about, env, biased] of [
    ["by cuBLASLt", { PTA_CUBLAS_EPILOGUE: "1" }, 8],
    ["not asked for", {}, 0],
  ] as const
) {
  Deno.test({
    name: `epilogues: emulated GPU, ${about}${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    ignore: reason !== undefined,
    fn: async () => {
      const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", at("emulator/run.ts"), "deno", "run", "-A", at("epilogue_run.ts")],
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
