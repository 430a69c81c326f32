/** The examples run as a newcomer runs them. */
import { assert, assertEquals } from "@std/assert";

const root = new URL("..", import.meta.url);

async function run(args: string[]): Promise<{ code: number; lines: string[]; errors: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...args],
    cwd: root,
    stdin: "null",
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  return { code, lines, errors: new TextDecoder().decode(stderr) };
}

Deno.test("examples: digits learns with no permission but to read its data, and repeats itself", async () => {
  const args = ["--allow-read=examples", "examples/digits.ts", "--epochs", "4"];
  const [first, again] = [await run(args), await run(args)];
  assertEquals(first.code, 0, first.errors);
  const last = first.lines.at(-1)!;
  const accuracy = Number(/^test_accuracy=(0\.\d{4})$/.exec(last)?.[1]);
  assert(accuracy > 0.9, last);
  assertEquals(again.lines.at(-1), last);
});

Deno.test("examples: digits on two ranks ends as on one", async () => {
  const args = ["examples/digits.ts", "--epochs", "3"];
  const one = await run(["-A", ...args]);
  const two = await run(["-A", "launch/launch.ts", "--cpu", "--num-processes", "2", ...args]);
  assertEquals(two.code, 0, two.errors);
  const accuracy = (lines: string[]) =>
    Number(lines.map((l) => /test_accuracy=(\S+)/.exec(l)?.[1]).find((x) => x !== undefined));
  const losses = (lines: string[]) =>
    lines.flatMap((l) => /train_loss_epoch: (\S+),/.exec(l)?.[1] ?? []).map(Number);
  assert(Math.abs(accuracy(two.lines) - accuracy(one.lines)) <= 1 / 359 + 1e-4);
  assertEquals(losses(two.lines).length, 3);
  losses(one.lines).forEach((loss, epoch) => {
    assert(Math.abs(losses(two.lines)[epoch] - loss) <= 1e-4 * loss + 1e-5, `epoch ${epoch + 1}`);
  });
});

for (
  const [name, last] of [
    ["custom_callback", /^Training ended after \d+ steps$/],
    ["custom_loop", /^epoch 2: test_accuracy=0\.\d{4}$/],
    ["metrics", /^best_top_three=(0\.\d{4}|1\.0000)$/],
  ] as const
) {
  Deno.test(`examples: ${name} runs`, async () => {
    const { code, lines, errors } = await run(["-A", `examples/${name}.ts`, "--epochs", "2"]);
    assertEquals(code, 0, errors);
    assert(last.test(lines.at(-1)!), lines.join("\n"));
  });
}

Deno.test("examples: the convolutional network is right about more than 0.97 after four epochs", async () => {
  const args = ["--allow-read=examples", "examples/digits_conv.ts", "--epochs", "4"];
  const { code, lines, errors } = await run(args);
  assertEquals(code, 0, errors);
  const accuracy = Number(/^test_accuracy=(.*)$/.exec(lines.at(-1)!)?.[1]);
  assert(accuracy > 0.97, lines.join("\n"));
});

for (const name of ["char_gpt", "lstm_text"]) {
  Deno.test(`examples: ${name} learns and writes`, async () => {
    const few = ["--steps", "30", "--characters", "40", "--batch-size", "8"];
    const { code, lines, errors } = await run(["-A", `examples/${name}.ts`, ...few]);
    assertEquals(code, 0, errors);
    const loss = Number(/^val_loss=(.*)$/.exec(lines.at(-1)!)?.[1]);
    assert(loss > 1 && loss < 3.6, lines.join("\n"));
    assertEquals(lines.filter((line) => line === "---").length, 2);
  });
}

Deno.test("examples: a wrong flag ends with the usage", async () => {
  const { code, errors } = await run(["-A", "examples/digits.ts", "--epoch", "2"]);
  assertEquals(code, 2);
  assert(
    errors.includes("Cannot use --epoch 2: the flags are --epochs 40 --batch-size 32"),
    errors,
  );
});

Deno.test("examples: mnist without a network says in one line where its files belong", async () => {
  const { code, errors } = await run([
    "--deny-net",
    "--allow-read",
    "--allow-env",
    "examples/mnist.ts",
  ]);
  assertEquals(code, 1);
  assert(
    errors.trim().split("\n").at(-1)!.startsWith("Cannot load MNIST: put the four files of"),
    errors,
  );
  assert(errors.includes(".cache/mnist"), errors);
});

Deno.test("examples: each is short and imports the public module alone", async () => {
  const limits = {
    digits: 60,
    mnist: 60,
    custom_callback: 60,
    custom_loop: 60,
    metrics: 60,
    digits_conv: 70,
    lstm_text: 80,
    char_gpt: 120,
  };
  for (const [name, most] of Object.entries(limits)) {
    const text = await Deno.readTextFile(new URL(`examples/${name}.ts`, root));
    assert(text.trimEnd().split("\n").length < most, name);
    const imports = [...text.matchAll(/from "([^"]+)"/g)].map((m) => m[1]);
    assert(
      imports.every((i) => i === "@pta/accelerated" || i.startsWith("./")),
      `${name}: ${imports}`,
    );
  }
});
