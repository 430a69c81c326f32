/** The examples of what surrounds the loop, run as a newcomer runs them: what each prints last says that it has done its work. */
import { assert, assertEquals } from "@std/assert";

const root = new URL("..", import.meta.url);

async function run(args: string[]): Promise<{ code: number; lines: string[]; errors: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...args],
    cwd: root,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  return { code, lines, errors: new TextDecoder().decode(stderr) };
}

/** The numbers of `name=1.5 other=2`. */
const numbersOf = (line: string) =>
  Object.fromEntries([...line.matchAll(/(\w+)=([-\d.e]+)/g)].map((m) => [m[1], Number(m[2])]));

type Numbers = Record<string, number>;
const examples: Record<string, { args: string[]; isGood: (numbers: Numbers) => boolean }> = {
  metrics_in_callback: {
    args: ["--epochs", "4"],
    isGood: ({ precision, recall }) => precision > 0.85 && recall > 0.85,
  },
  metrics_in_loop: { args: ["--epochs", "4"], isGood: ({ accuracy }) => accuracy > 0.85 },
  custom_event: {
    args: ["--epochs", "2"],
    isGood: ({ hard_batches, worst }) => hard_batches > 0 && worst > 1,
  },
  finetune: {
    args: ["--epochs", "4"],
    isGood: ({ head_alone, everything }) => head_alone > 0.5 && everything > head_alone,
  },
  progressive_resizing: {
    args: ["--epochs", "2"],
    isGood: ({ test_accuracy }) => test_accuracy > 0.7,
  },
  ema_mixup: {
    args: ["--epochs", "3"],
    isGood: ({ accuracy, ema_accuracy }) => accuracy > 0.9 && ema_accuracy > 0.9,
  },
  own_scheduler: {
    args: ["--epochs", "2"],
    isGood: ({ first_rate, last_rate }) => first_rate === 0.1 && last_rate > 0 && last_rate < 0.005,
  },
  multi_loss: {
    args: ["--epochs", "3"],
    isGood: ({ class_loss, image_loss }) => class_loss < 0.8 && image_loss < 0.06,
  },
};

for (const [name, { args, isGood }] of Object.entries(examples)) {
  Deno.test(`examples: ${name} does what it shows`, async () => {
    const { code, lines, errors } = await run(["-A", `examples/${name}.ts`, ...args]);
    assertEquals(code, 0, errors);
    assert(isGood(numbersOf(lines.at(-1)!)), lines.slice(-3).join("\n"));
  });
}

Deno.test("examples: ema_mixup on two ranks, with normalisation over both", async () => {
  const launch = ["-A", "launch/launch.ts", "--cpu", "--num-processes", "2"];
  const { code, lines, errors } = await run([...launch, "examples/ema_mixup.ts", "--epochs", "2"]);
  assertEquals(code, 0, errors);
  const last = lines.findLast((line) => line.includes("ema_accuracy="));
  assert(last !== undefined && numbersOf(last).accuracy > 0.85, lines.slice(-5).join("\n"));
});

Deno.test("examples: those of the trainer are short and import the public module alone", async () => {
  for (const name of Object.keys(examples)) {
    const text = await Deno.readTextFile(new URL(`examples/${name}.ts`, root));
    assert(text.trimEnd().split("\n").length <= 105, name);
    const imports = [...text.matchAll(/from "([^"]+)"/g)].map((m) => m[1]);
    assert(
      imports.every((i) => i === "@pta/accelerated" || i.startsWith("./")),
      `${name}: ${imports}`,
    );
  }
});
