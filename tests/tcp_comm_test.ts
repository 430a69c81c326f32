import { assertEquals, assertStringIncludes } from "@std/assert";
import { runLauncher } from "./launcher.ts";
import { isSoak } from "./soak.ts";

const script = "tests/fixtures/comm_rank.ts";

function ranks(n: number, args: string[], env: Record<string, string> = {}) {
  return runLauncher(["--cpu", "--num-processes", String(n), script, ...args], env);
}

for (const n of isSoak ? [2, 3, 4] : [2, 4]) {
  Deno.test(`tcp: all collectives on ${n} ranks`, async () => {
    const { code, out, err } = await ranks(n, ["all"]);
    assertEquals([code, err], [0, ""]);
    for (let r = 0; r < n; r++) assertStringIncludes(out, `rank ${r} of ${n}: all ok`);
  });
}

Deno.test("tcp: all collectives on 3 ranks without shared memory", async () => {
  const { code, out, err } = await ranks(3, ["all"], { PTA_SHARED_MEMORY: "0" });
  assertEquals([code, err], [0, ""]);
  for (let r = 0; r < 3; r++) assertStringIncludes(out, `rank ${r} of 3: all ok`);
});

Deno.test("tcp: a script that never closes its communicator still ends", async () => {
  const { code, err } = await ranks(2, ["open"]);
  assertEquals([code, err], [0, ""]);
});

const wrongEnv: [Record<string, string>, string][] = [
  [{ RANK: "0" }, "RANK is set and WORLD_SIZE is not"],
  [{ RANK: "2", WORLD_SIZE: "2" }, "Cannot read RANK=2: wanted a whole number from 0 to 1"],
  [{ RANK: "0", WORLD_SIZE: "2" }, "MASTER_PORT is not set"],
  [{ RANK: "0", WORLD_SIZE: "2", MASTER_PORT: "x" }, "Cannot read MASTER_PORT=x"],
  [{ RANK: "0", WORLD_SIZE: "2", MASTER_PORT: "29999" }, "PTA_LAUNCH_SECRET is not set"],
  [
    { RANK: "0", WORLD_SIZE: "2", MASTER_PORT: "29999", PTA_COMM_TIMEOUT: "-1" },
    "Cannot read PTA_COMM_TIMEOUT=-1",
  ],
  [
    {
      RANK: "0",
      WORLD_SIZE: "2",
      MASTER_PORT: "29999",
      PTA_LAUNCH_SECRET: "0123456789abcdef",
      PTA_HEARTBEAT_TIMEOUT: "soon",
    },
    "Cannot read PTA_HEARTBEAT_TIMEOUT=soon",
  ],
];

Deno.test("tcp: a wrong environment is one clear error", async () => {
  const outputs = await Promise.all(wrongEnv.map(([env]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, "all"],
      cwd: new URL("../", import.meta.url).pathname,
      env: { NO_COLOR: "1", ...env },
    }).output()
  ));
  outputs.forEach(({ code, stderr }, i) => {
    assertEquals(code, 1);
    assertStringIncludes(new TextDecoder().decode(stderr), wrongEnv[i][1]);
  });
});

Deno.test("tcp: without network access the error says so", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-env", script, "all"],
    cwd: new URL("../", import.meta.url).pathname,
    env: {
      NO_COLOR: "1",
      RANK: "0",
      WORLD_SIZE: "2",
      MASTER_PORT: "29999",
      PTA_LAUNCH_SECRET: "0123456789abcdef",
    },
  }).output();
  assertEquals(code, 1);
  assertStringIncludes(new TextDecoder().decode(stderr), "run with --allow-net");
});
