/** The emulated CUDA libraries: they do what is right, and say what is wrong. Each scenario runs in a process of its own through the bindings. */
import { assert, assertEquals } from "@std/assert";
import { buildEmulator, whyNotEmulated } from "./emulator/build.ts";
import type { Outcome } from "./emulator_scenarios.ts";
import { unlessSoak } from "./soak.ts";

const emulated = whyNotEmulated();
const script = new URL("emulator_scenarios.ts", import.meta.url).pathname;

async function run(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ outcome: Outcome; findings: string[] }> {
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, name],
    env: { ...buildEmulator(), ...env },
  }).output();
  const errors = new TextDecoder().decode(stderr);
  assertEquals(code, 0, errors);
  return {
    outcome: JSON.parse(new TextDecoder().decode(stdout)),
    findings: errors.split("\n").filter((line) => line.startsWith("emulator: ")),
  };
}

/** Those that `deno task test` runs; the others wait for `deno task soak`. */
const first = new Set([
  "copiesAndKernels",
  "graph",
  "writePastTheEnd",
  "missingWait",
  "useAfterFree",
  "a copy that is not waited for shows with delays",
]);

function test(name: string, fn: () => Promise<void>): void {
  const reason = first.has(name) ? emulated : unlessSoak(emulated);
  const why = reason === undefined ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: `emulator: ${name}${why}`, ignore: reason !== undefined, fn });
}

/** What is right, with its values; the same with delays. */
const right: Readonly<Record<string, number[]>> = {
  copiesAndKernels: [5000],
  wholeBlock: [768, 768, 18],
  eventsOrderStreams: [3],
  graph: [0, 18, 6],
  muchDynamicShared: [1],
  parameterBlockIsCopied: [1, 2, 1],
};

for (const [name, values] of Object.entries(right)) {
  test(name, async () => {
    for (const delay of ["0", "1"]) {
      const { outcome, findings } = await run(name, { PTA_EMULATOR_DELAY: delay });
      assertEquals(findings, []);
      assertEquals(outcome, { values });
    }
  });
}

/** What is wrong: the status of the call that says so, and what the line about it holds. */
const wrong: Readonly<Record<string, [status: string | undefined, line: RegExp]>> = {
  writePastTheEnd: ["CUDA_ERROR_ILLEGAL_ADDRESS", /kernel fill writes past the end of .*400 bytes/],
  writeFarPastTheEnd: [
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    /kernel fill writes byte \d+ of an allocation of 400 bytes/,
  ],
  missingWait: [
    "CUDA_ERROR_LAUNCH_FAILED",
    /kernel add reads .* which kernel fill writes on another stream/,
  ],
  missingWaitInAGraph: [
    "CUDA_ERROR_LAUNCH_FAILED",
    /kernel fill writes .* which kernel fill writes on another stream/,
  ],
  useAfterFree: [
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    /kernel add reads byte 0 of 400 bytes that have been freed/,
  ],
  copyAfterFree: ["CUDA_ERROR_INVALID_VALUE", /cuMemcpyDtoHAsync: .* have been freed/],
  doubleFree: ["CUDA_ERROR_INVALID_VALUE", /400 bytes are freed twice/],
  waitInsideACapture: ["CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", /cuStreamSynchronize during/],
  hostReadInsideACapture: ["CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", /cuMemcpyDtoH during/],
  allocationInsideACapture: ["CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", /cuMemAlloc during/],
  unjoinedCapture: ["CUDA_ERROR_STREAM_CAPTURE_UNJOINED", /not waited for/],
  tooManyThreads: ["CUDA_ERROR_INVALID_VALUE", /1025 threads in a block, 1024 at most/],
  beyondLaunchBounds: [
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
    /512 threads .* launch bounds say 256/,
  ],
  tooMuchStaticShared: ["CUDA_ERROR_INVALID_SOURCE", /52000 bytes of static shared memory/],
  tooMuchDynamicShared: ["CUDA_ERROR_INVALID_VALUE", /233472 bytes of dynamic shared memory/],
  pastDynamicShared: [
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    /past the end of its 64 bytes of dynamic shared/,
  ],
  unevenBarrier: ["CUDA_ERROR_LAUNCH_FAILED", /threads of one warp wait|never reach a barrier/],
  unalignedAccess: ["CUDA_ERROR_MISALIGNED_ADDRESS", /not aligned/],
};

for (const [name, [status, line]] of Object.entries(wrong)) {
  test(name, async () => {
    const { outcome, findings } = await run(name);
    assertEquals(outcome.status, status);
    assert(findings.some((found) => line.test(found)), findings.join("\n"));
  });
}

test("fresh memory is NaN", async () => {
  const { outcome } = await run("freshMemoryIsNaN");
  assertEquals(outcome.values, [null, null, null, null] as unknown as number[]);
});

test("a copy that is not waited for shows with delays", async () => {
  assertEquals((await run("staleRead")).outcome.values, [1, 1]);
  const late = await run("staleRead", { PTA_EMULATOR_DELAY: "1" });
  assertEquals(late.outcome.values, [7, 1]);
});

test("faults are found with delays, and with buffers that share allocations", async () => {
  for (const name of ["missingWait", "writeFarPastTheEnd", "useAfterFree"]) {
    const { findings } = await run(name, { PTA_EMULATOR_DELAY: "1", PTA_CUDA_CACHE: "1" });
    assert(findings.some((found) => wrong[name][1].test(found)), findings.join("\n"));
  }
});

test("memory ends where it is said to", async () => {
  const { outcome } = await run("tooMuchMemory", { PTA_EMULATOR_MEMORY: String(4 << 20) });
  assertEquals(outcome.status, "CUDA_ERROR_OUT_OF_MEMORY");
});

test("leaks are counted", async () => {
  const { findings } = await run("leak", { PTA_EMULATOR_LEAKS: "1" });
  assertEquals(findings, ["emulator: 1 allocations of 300 bytes together are left at the end"]);
});

test("products of eight-bit floats agree with loops, and what the library does not take is refused", async () => {
  for (const delay of ["0", "1"]) {
    const { outcome } = await run("float8Products", { PTA_EMULATOR_DELAY: delay });
    const [difference, ...misuses] = outcome.values!;
    assert(difference < 1e-6, `${difference}`);
    assertEquals(misuses, new Array(12).fill(1));
  }
});

test("products by cuBLASLt agree with loops, and misuse is refused", async () => {
  for (const delay of ["0", "1"]) {
    const { outcome } = await run("products", { PTA_EMULATOR_DELAY: delay });
    const values = outcome.values!, misuses = values.splice(8);
    values.forEach((difference, i) => assert(difference < 2e-5, `case ${i}: ${difference}`));
    assertEquals(misuses, [1, 1, 1]);
  }
});
