/** The import rules reject the arrows that must not exist and nothing else. */
import { assertEquals } from "@std/assert";
import { cycles } from "../tools/cycles.ts";
import plugin from "../tools/layers_plugin.ts";

const root = new URL("..", import.meta.url).pathname;
const messages = (file: string, source: string): string[] =>
  Deno.lint.runPlugin(plugin, root + file, source).map((d) => d.message);

Deno.test("layers: imports along the arrows pass", () => {
  const good: [string, string][] = [
    ["core/backend/wasm/mod.ts", `import { openBlas } from "@pta/ffi";`],
    ["core/backend/wasm/mod.ts", `import { sizeOf } from "../../shape.ts";`],
    ["core/nn/linear.ts", `import { Tensor } from "../tensor/mod.ts";`],
    ["core/mod.ts", `export * as nn from "./nn/mod.ts";`],
    ["trainer/loop.ts", `import { Tensor } from "@pta/core";`],
    ["launch/launch.ts", `import { names } from "@pta/core/dist/rank";`],
    ["launch/scripts/self_test.ts", `import { nn } from "@pta/accelerated";`],
    ["launch/scripts/libraries.ts", `import { openBlas } from "@pta/ffi";`],
    ["mod.ts", `import "@pta/core/backend"; export * from "@pta/trainer";`],
    [
      "examples/digits.ts",
      `import { nn } from "@pta/accelerated"; import { x } from "./flags.ts";`,
    ],
    ["tests/x_test.ts", `import { wasm } from "../core/backend/wasm/mod.ts";`],
    ["ffi/library.ts", `import { assert } from "@std/assert";`],
    // Type-only imports vanish at run time.
    ["core/tensor/base.ts", `import type { Wasm } from "../backend/wasm/mod.ts";`],
    ["core/tensor/base.ts", `import { type Wasm } from "../backend/wasm/mod.ts";`],
    ["core/tensor/base.ts", `export type { Wasm } from "../backend/wasm/mod.ts";`],
  ];
  for (const [file, source] of good) assertEquals(messages(file, source), [], `${file}: ${source}`);
});

Deno.test("layers: imports against the arrows are reported", () => {
  const bad: [string, string][] = [
    ["ffi/library.ts", `import { sizeOf } from "@pta/core";`],
    ["core/realize.ts", `import { wasm } from "./backend/mod.ts";`],
    ["core/tensor/base.ts", `import { Wasm, type Other } from "../backend/wasm/mod.ts";`],
    ["core/tensor/base.ts", `const m = await import("../backend/wasm/mod.ts");`],
    ["core/tensor/base.ts", `export * from "../backend/wasm/mod.ts";`],
    ["core/tensor/base.ts", `export { Wasm } from "../backend/wasm/mod.ts";`],
    ["core/tensor/base.ts", `import { Linear } from "../nn/linear.ts";`],
    ["core/nn/linear.ts", `import { open } from "@pta/ffi";`],
    ["core/mod.ts", `import "./backend/mod.ts";`],
    ["core/dist/tcp.ts", `import { memory } from "../backend/wasm/memory.ts";`],
    ["trainer/loop.ts", `import { wasm } from "@pta/core/backend";`],
    ["trainer/loop.ts", `import { Tensor } from "../core/mod.ts";`],
    ["launch/launch.ts", `import { Tensor } from "@pta/core";`],
    ["launch/launch.ts", `import { Trainer } from "@pta/trainer";`],
    ["launch/test_command.ts", `import "./scripts/self_test.ts";`],
    ["launch/scripts/self_test.ts", `import { nn } from "@pta/core";`],
    ["examples/digits.ts", `import { nn } from "@pta/core";`],
    ["examples/digits.ts", `import { nn } from "@pta/core/nn";`],
  ];
  for (const [file, source] of bad) {
    assertEquals(messages(file, source).length, 1, `${file}: ${source}`);
  }
});

Deno.test("layers: the complaint names both ends and what is allowed", () => {
  assertEquals(messages("launch/launch.ts", `import { Tensor } from "@pta/core";`), [
    "Cannot import core/mod.ts (core/mod) from launch: it may import core/dist/rank",
  ]);
});

Deno.test("cycles: finds circles of any length and self-imports, and no others", () => {
  const graph = new Map([
    ["a", ["b", "c"]],
    ["b", ["c"]],
    ["c", ["d"]],
    ["d", ["b"]],
    ["e", ["e", "a"]],
  ]);
  assertEquals(cycles(graph).map((group) => group.toSorted()), [["b", "c", "d"], ["e"]]);
  assertEquals(cycles(new Map([["a", ["b"]], ["b", ["c"]], ["c", []]])), []);
});
