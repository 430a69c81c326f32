import { assert, assertEquals, assertThrows } from "@std/assert";
import { InMemoryRunHistory } from "@pta/trainer";

Deno.test("history keeps values with their epoch, unit and direction", () => {
  const history = new InMemoryRunHistory();
  history.record("eval_loss_epoch", 2);
  history.record("accuracy", 0.5, { unit: "%", direction: "higher" });
  history.incrementEpoch();
  history.record("eval_loss_epoch", 1);
  history.incrementEpoch();
  history.record("eval_loss_epoch", 3);
  assertEquals(history.currentEpoch, 3);
  assertEquals(history.names, ["eval_loss_epoch", "accuracy"]);
  assertEquals(history.latest("eval_loss_epoch"), 3);
  assertEquals(history.values("eval_loss_epoch"), [2, 1, 3]);
  assertEquals(history.best("eval_loss_epoch"), { epoch: 2, value: 1 });
  assertEquals(history.best("accuracy"), { epoch: 1, value: 0.5 });
  assertEquals(history.get("accuracy"), {
    name: "accuracy",
    unit: "%",
    direction: "higher",
    values: [{ epoch: 1, value: 0.5 }],
  });
  assertEquals(history.all().map((m) => m.name), ["eval_loss_epoch", "accuracy"]);
});

Deno.test("history: best passes over NaN and takes the earliest of equals", () => {
  const history = new InMemoryRunHistory();
  for (const value of [NaN, 4, 4, NaN, 5]) {
    history.record("loss", value);
    history.incrementEpoch();
  }
  assertEquals(history.best("loss"), { epoch: 2, value: 4 });
  history.record("only_nan_loss", NaN);
  assert(Number.isNaN(history.best("only_nan_loss").value));
});

Deno.test("history: a name that was never recorded is an error that lists the names, and does not create it", () => {
  const history = new InMemoryRunHistory();
  history.record("train_loss_epoch", 1);
  for (const read of ["get", "values", "latest", "best"] as const) {
    assertThrows(() => history[read]("eval_loss"), RangeError, "recorded are train_loss_epoch");
  }
  assertEquals(history.names, ["train_loss_epoch"]);
  assertEquals(history.has("eval_loss"), false);
});

Deno.test("history: facts cannot change and best needs a direction", () => {
  const history = new InMemoryRunHistory();
  history.record("time", 1, { unit: "s" });
  assertThrows(() => history.record("time", 1, { unit: "ms" }), RangeError, 'it was "s" before');
  assertThrows(() => history.best("time"), RangeError, "without a direction");
  history.record("time", 2);
  assertEquals(history.values("time"), [1, 2]);
});

Deno.test("history: what it hands out cannot change it, and reset empties it", () => {
  const history = new InMemoryRunHistory();
  history.record("loss", 1);
  history.values("loss").push(7);
  (history.get("loss").values as unknown[]).push(7);
  assertEquals(history.values("loss"), [1]);
  history.incrementEpoch();
  history.reset();
  assertEquals(history.names, []);
  assertEquals(history.currentEpoch, 1);
});
