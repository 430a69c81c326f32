/** Step metrics, prefix, state, file, table and picture of a history. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  historyTable,
  InMemoryRunHistory,
  JsonlRunHistory,
  plotLines,
  plotMetrics,
  type RunHistory,
} from "@pta/trainer";

/** Three epochs of losses, an accuracy, and a rate for each of six steps. */
function fill(history: RunHistory, epochs = 3): void {
  for (let epoch = 1; epoch <= epochs; epoch++) {
    for (let i = 0; i < 2; i++) {
      const step = 2 * (epoch - 1) + i + 1;
      history.record("learning_rate", 0.1 / step, { step });
    }
    history.record("train_loss_epoch", 1 / epoch);
    history.record("accuracy", 20 * epoch, { unit: " %", direction: "higher" });
    history.incrementEpoch();
  }
}

Deno.test("history: values of steps keep their step beside the epoch", () => {
  const history = new InMemoryRunHistory();
  fill(history, 2);
  assertEquals(history.get("learning_rate").values, [
    { epoch: 1, value: 0.1, step: 1 },
    { epoch: 1, value: 0.05, step: 2 },
    { epoch: 2, value: 0.1 / 3, step: 3 },
    { epoch: 2, value: 0.025, step: 4 },
  ]);
  assertEquals(history.get("train_loss_epoch").values[1], { epoch: 2, value: 0.5 });
});

Deno.test("history: the prefix goes before what is recorded, and only there", () => {
  const history = new InMemoryRunHistory();
  history.record("eval_loss_epoch", 2);
  history.metricPrefix = "ema_";
  history.record("eval_loss_epoch", 1);
  assertEquals(history.latest("eval_loss_epoch"), 2);
  history.metricPrefix = "";
  assertEquals(history.names, ["eval_loss_epoch", "ema_eval_loss_epoch"]);
  assertEquals(history.best("ema_eval_loss_epoch").value, 1);
});

Deno.test("history: the state survives JSON bit by bit, NaN and infinities too", () => {
  const history = new InMemoryRunHistory();
  fill(history);
  for (const value of [NaN, Infinity, -Infinity, 0.1 + 0.2, -0, 1e-310]) {
    history.record("odd", value, { step: 7 });
  }
  const again = new InMemoryRunHistory();
  again.record("other", 1);
  again.loadStateDict(JSON.parse(JSON.stringify(history.stateDict())));
  assertEquals(again.currentEpoch, 4);
  // JSON writes -0 as 0.
  const plain = (h: InMemoryRunHistory) =>
    h.all().map((m) => ({ ...m, values: m.values.map((v) => ({ ...v, value: v.value + 0 })) }));
  assertEquals(plain(again), plain(history));
  assertEquals(again.best("accuracy").value, 60);
  assertThrows(() => again.record("accuracy", 1, { unit: "s" }), RangeError, 'was " %" before');
});

const linesOf = (path: string) =>
  Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));

Deno.test("history: a JSONL file has each value as it is recorded", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/history.jsonl`;
    const history = new JsonlRunHistory(path, { now: () => 5000 });
    history.reset();
    fill(history, 1);
    history.record("odd", NaN);
    assertEquals(linesOf(path), [
      {
        name: "learning_rate",
        value: 0.1,
        unit: "",
        direction: "none",
        epoch: 1,
        step: 1,
        time: 5,
      },
      {
        name: "learning_rate",
        value: 0.05,
        unit: "",
        direction: "none",
        epoch: 1,
        step: 2,
        time: 5,
      },
      { name: "train_loss_epoch", value: 1, unit: "", direction: "lower", epoch: 1, time: 5 },
      { name: "accuracy", value: 20, unit: " %", direction: "higher", epoch: 1, time: 5 },
      { name: "odd", value: "NaN", unit: "", direction: "none", epoch: 2, time: 5 },
    ]);
    history.reset();
    assertEquals(Deno.readTextFileSync(path), "");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("history: resuming takes away the lines after the state, also half a line", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/history.jsonl`;
    const whole = new JsonlRunHistory(path, { now: () => 1000 });
    fill(whole, 2);
    const state = whole.stateDict(), upToHere = Deno.readTextFileSync(path);
    whole.record("train_loss_epoch", 0.3);
    Deno.writeTextFileSync(path, '{"name":"train_lo', { append: true });

    const resumed = new JsonlRunHistory(path, { now: () => 2000 });
    resumed.loadStateDict(state);
    assertEquals(Deno.readTextFileSync(path), upToHere);
    resumed.record("train_loss_epoch", 0.25);
    assertEquals(linesOf(path).at(-1).time, 2);
    assertEquals(linesOf(path).length, 9);

    // A file of another run is written anew.
    Deno.writeTextFileSync(path, '{"name":"a","value":1,"epoch":1}\n');
    resumed.loadStateDict(state);
    assertEquals(linesOf(path).length, 8);
    assertEquals(linesOf(path).filter((l) => l.name === "accuracy").map((l) => l.value), [20, 40]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("history: tables by epoch and by step", () => {
  const history = new InMemoryRunHistory();
  fill(history, 3);
  assertEquals(
    history.toTable({ names: ["train_loss_epoch", "accuracy"] }),
    [
      "epoch  train_loss_epoch  accuracy (%)",
      "-----  ----------------  ------------",
      "    1                 1            20",
      "    2               0.5            40",
      "    3           0.33333            60",
    ].join("\n"),
  );
  assertEquals(
    history.toTable({ by: "step", digits: 2 }).split("\n").slice(0, 4),
    ["step  learning_rate", "----  -------------", "   1            0.1", "   2           0.05"],
  );
  assertThrows(() => historyTable(history.all(), { names: ["f1"] }), RangeError, '"f1"');
});

Deno.test("history: the picture has one curve a metric, interrupted by NaN", () => {
  const history = new InMemoryRunHistory();
  for (const value of [3, 2, NaN, 1, 0.5]) {
    history.record("train_loss_epoch", value);
    history.record("eval_loss_epoch", 2 * value);
    history.record("accuracy", value);
    history.incrementEpoch();
  }
  const svg = history.plot();
  assert(svg.startsWith("<svg ") && svg.endsWith("</svg>\n"));
  assertEquals([...svg.matchAll(/<polyline/g)].length, 4);
  assert(svg.includes(">train_loss_epoch</text>") && svg.includes(">eval_loss_epoch</text>"));
  assert(!svg.includes(">accuracy</text>") && !svg.includes("NaN"));
  assertThrows(() => history.plot(["nothing"]), RangeError, "nothing");
});

Deno.test("history: metrics of any store are drawn, over steps when they belong to steps", () => {
  const history = new InMemoryRunHistory();
  fill(history);
  const steps = plotMetrics([history.get("learning_rate")]);
  assert(steps.includes(">optimizer step</text>"));
  assert(plotMetrics(history.all()).includes(">epoch</text>"));
  assert(history.plot(["accuracy"]).includes(">accuracy (%)</text>"));
});

Deno.test("history: the picture of curves puts points where they belong", () => {
  const svg = plotLines([{ label: "a < b", points: [[0, 0], [10, 5]] }], {
    width: 190,
    height: 170,
    xLabel: "x",
    yLabel: "y",
    title: "t & u",
    marks: [{ x: 10, y: 5, text: "here" }],
  });
  // The frame is 70..170 by 40..120.
  assert(svg.includes('points="70.0,120.0 170.0,40.0"'), svg);
  assert(svg.includes("a &lt; b") && svg.includes("t &amp; u") && svg.includes("here"));
  const log = plotLines([{ label: "a", points: [[1, 1], [10, 10], [100, 100], [0, 5]] }], {
    width: 190,
    height: 150,
    logX: true,
    logY: true,
  });
  assert(log.includes('points="70.0,100.0 120.0,60.0 170.0,20.0"'), log);
});
