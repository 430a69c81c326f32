/** Training states on disk: nested values come back bit by bit, damage is named, the previous state is used only if asked. */
import "@pta/core/backend";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { data, nn, optim, safetensors, Tensor, tensor } from "@pta/core";
import { TrainingStateError } from "../trainer/checkpoint/error.ts";
import { removeUnfinished, unfinishedPrefix, writeDirectory } from "../trainer/checkpoint/files.ts";
import { listStates, nextStatePath, removeOldStates } from "../trainer/checkpoint/folder.ts";
import { findState, type ResumeFrom } from "../trainer/checkpoint/resume_from.ts";
import { packState, unpackState } from "../trainer/checkpoint/state_tree.ts";
import { type LoadedState, readState, writeState } from "../trainer/checkpoint/training_state.ts";
import { smallModel } from "./trainer_support.ts";

/** A state through JSON text and host arrays, as the disk has it. */
function roundTrip(state: unknown): unknown {
  const { json, tensors } = packState(state, "x");
  const fields = Object.entries(tensors).map(([key, t]) =>
    [key, t instanceof Tensor ? new data.HostField(t.data(), t.shape, t.dtype) : t] as const
  );
  return unpackState(JSON.parse(JSON.stringify(json)), Object.fromEntries(fields));
}

Deno.test("nested states come back as they were", () => {
  const state = {
    numbers: [0, -0, NaN, Infinity, -Infinity, 0.1, 2 ** 53, 5e-324],
    text: 'with "quotes" and \n',
    big: 12345678901234567890n,
    nothing: [null, undefined, true, false],
    when: new Date(12345),
    map: new Map<unknown, unknown>([["a", 1], [2, { b: [NaN] }]]),
    set: new Set([1, "1"]),
    arrays: [new Float32Array([1, NaN, -0]), new Float64Array(2), new BigInt64Array([-5n])],
    $odd: { $number: "NaN", $$twice: 1, "": { "": 2 }, "a.b": 1 },
    empty: [{}, [], new Map(), new Float32Array(0)],
    ["__proto__"]: 5,
  };
  assertEquals(roundTrip(state), state);
  const numbers = (roundTrip(state) as typeof state).numbers;
  assertEquals(Object.is(numbers[1], -0), true);
});

Deno.test("tensors of nested states keep their bits, and paths that read the same stay apart", () => {
  const t = tensor(new Float32Array([1, NaN, -0]), { shape: [3, 1] });
  const u = tensor(new Float64Array([0.1]));
  const back = roundTrip({ a: { b: t, again: t }, "a.b": u }) as {
    a: { b: Tensor; again: Tensor };
    "a.b": Tensor;
  };
  assertEquals([...back.a.b.data()].map((x) => Object.is(x, -0)), [false, false, true]);
  assertEquals([back.a.b.shape, back.a.b.dtype, back["a.b"].dtype], [[3, 1], "float32", "float64"]);
  assertEquals(back.a.again === back.a.b, true);
  assertEquals(back["a.b"].item(), 0.1);
});

Deno.test("what cannot be saved is named by its path", () => {
  const allowed =
    ", and a state holds numbers, texts, tensors, typed arrays, dates, maps, sets, arrays and plain objects";
  const cases: [unknown, string][] = [
    [{ a: [1, () => 1] }, `Cannot save callbacks.x.a.1: it is function${allowed}`],
    [{ a: new URL("file:///") }, `Cannot save callbacks.x.a: it is a URL${allowed}`],
    [Symbol.iterator, `Cannot save callbacks.x: it is symbol${allowed}`],
    [{ u: new Uint32Array(1) }, `Cannot save callbacks.x.u: it is a Uint32Array${allowed}`],
  ];
  for (const [state, message] of cases) {
    assertEquals(assertThrows(() => packState(state, "callbacks.x"), TypeError).message, message);
  }
  const loop: { self?: unknown } = {};
  loop.self = [loop];
  assertEquals(
    assertThrows(() => packState(loop, "x"), TypeError).message,
    "Cannot save x.self.0: it contains itself",
  );
});

function trained(): { model: nn.Module; optimizer: optim.Optimizer } {
  const model = smallModel();
  const optimizer = new optim.AdamW(model.parameters());
  nn.functional.crossEntropy(
    model.forward(tensor(new Float32Array(8), { shape: [2, 4] })) as Tensor,
    tensor(new BigInt64Array([0n, 1n])),
  ).backward();
  optimizer.step();
  return { model, optimizer };
}

async function save(folder: string, numUpdates = 7, metric?: number): Promise<string> {
  const { model, optimizer } = trained();
  return await writeState(
    () => nextStatePath(folder, numUpdates),
    {
      model: model.stateDict(),
      optimizer: optimizer.stateDict(),
      sections: { position: { epoch: 1 }, object: { list: [NaN, model.parameters()[0]] } },
    },
    {
      epoch: 1,
      stepInEpoch: 2,
      numUpdates,
      worldSize: 1,
      savedAt: new Date(0).toISOString(),
      metric: metric === undefined ? undefined : { name: "loss", value: metric },
    },
    undefined,
  );
}

const load = async (
  from: ResumeFrom,
  folder = "nowhere",
  notes: string[] = [],
): Promise<LoadedState | undefined> =>
  await readState(() => findState(from, folder, (line) => notes.push(line)), undefined);

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "pta states " });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a state on disk comes back bit by bit, and the model file stands alone", () =>
  inFolder(async (folder) => {
    const path = await save(folder);
    assertEquals(path, `${folder}/state_000001_step_7`);
    const files = [...Deno.readDirSync(path)].map((e) => e.name).sort();
    assertEquals(files, [
      "manifest.json",
      "model.safetensors",
      "objects.safetensors",
      "optimizer.safetensors",
      "state.json",
    ]);
    const { model, optimizer } = trained();
    const state = (await load(path))!;
    for (const [key, t] of Object.entries(model.stateDict())) {
      assertEquals(state.model[key].data, t.data());
    }
    const other = new optim.AdamW(smallModel(1).parameters());
    other.loadStateDict(state.optimizer() as never);
    const flat = (o: optim.Optimizer) =>
      [...o.state.values()].map((s) =>
        Object.entries(s).map(([key, t]) => [key, t.shape, t.data()])
      );
    assertEquals(flat(other), flat(optimizer));
    // Every parameter has its own step count there, as in PyTorch.
    const names = Object.keys(
      safetensors.loadHost(await Deno.readFile(`${path}/optimizer.safetensors`)).tensors,
    );
    assertEquals(names.filter((name) => name.endsWith(".step")).length, 4);
    const { object, position } = state.sections(0) as Record<string, { list: unknown[] }>;
    assertEquals(position, { epoch: 1 } as never);
    assertEquals(object.list[0], NaN);
    assertEquals((object.list[1] as Tensor).data(), model.parameters()[0].data());
    assertEquals(state.manifest.worldSize, 1);
  }));

/** Ways to spoil a state, and what is then said after `Cannot load the training state "DIR": `. */
const damages: [string, (dir: string) => void | Promise<void>, string | RegExp][] = [
  ["truncated model", (d) => Deno.truncate(`${d}/model.safetensors`, 100), ""],
  [
    "flipped byte",
    (d) => flip(`${d}/model.safetensors`, 400),
    "model.safetensors is damaged: its SHA-256 is not the one in manifest.json",
  ],
  [
    "flipped byte of the optimizer",
    (d) => flip(`${d}/optimizer.safetensors`, -1),
    "optimizer.safetensors is damaged: its SHA-256 is not the one in manifest.json",
  ],
  [
    "flipped byte of the state",
    (d) => flip(`${d}/state.json`, 20),
    "state.json is damaged: its SHA-256 is not the one in manifest.json",
  ],
  ["missing file", (d) => Deno.remove(`${d}/state.json`), "state.json is missing"],
  [
    "missing manifest",
    (d) => Deno.remove(`${d}/manifest.json`),
    "it has no manifest.json, so it is not one or not whole; it holds model.safetensors, objects.safetensors, optimizer.safetensors, state.json",
  ],
  [
    "cut manifest",
    (d) => Deno.truncate(`${d}/manifest.json`, 100),
    /^manifest.json is damaged: .* in JSON at position 100/,
  ],
  [
    "changed manifest",
    (d) => edit(`${d}/manifest.json`, '"numUpdates": 7', '"numUpdates": 8'),
    "manifest.json is damaged: its own SHA-256 does not fit",
  ],
  [
    "future version",
    (d) => edit(`${d}/manifest.json`, '"version": 1', '"version": 2'),
    "manifest.json says version 2, and this release reads version 1",
  ],
  [
    "foreign manifest",
    (d) => Deno.writeTextFile(`${d}/manifest.json`, '{"name": "an app"}'),
    'manifest.json says format undefined, and it must be "pta-training-state"',
  ],
];

async function flip(path: string, at: number): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes[(at + bytes.length) % bytes.length] ^= 1;
  await Deno.writeFile(path, bytes);
}

async function edit(path: string, from: string, to: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  if (!text.includes(from)) throw new Error(`no ${from}`);
  await Deno.writeTextFile(path, text.replace(from, to));
}

for (const [name, spoil, wanted] of damages) {
  Deno.test(`a damaged state says what is wrong, and the previous one is used if asked: ${name}`, () =>
    inFolder(async (folder) => {
      const good = await save(folder), path = await save(folder);
      const { size } = await Deno.stat(`${path}/model.safetensors`);
      await spoil(path);
      const reason = wanted || `model.safetensors has 100 bytes, and manifest.json says ${size}`;
      for (const from of [path, folder, "latest", { directory: path }] as const) {
        const error = await assertRejects(() => load(from, folder), TrainingStateError);
        assertEquals(error.directory, path);
        const start = `Cannot load the training state "${path}": `;
        assertEquals(error.message.slice(0, start.length), start);
        const rest = error.message.slice(start.length);
        if (typeof reason === "string") assertEquals(rest, reason);
        else assertEquals(reason.test(rest), true, rest);
      }
      const fallback = "previous";
      for (const from of [{ fallback }, { fallback, directory: path }] as const) {
        const notes: string[] = [];
        assertEquals((await load(from, folder, notes))!.directory, good);
        assertEquals(notes.length, 1);
        assertEquals(notes[0].endsWith(`. Trying the one before, "${good}"`), true);
      }
    }));
}

Deno.test("states that are not there", () =>
  inFolder(async (folder) => {
    const notes: string[] = [];
    assertEquals(await load("latest", folder, notes), undefined);
    assertEquals(notes, [`There is no training state in "${folder}": a new run starts`]);
    const fault = async (from: ResumeFrom) => {
      const { fault, message } = await assertRejects(() => load(from, folder), TrainingStateError);
      return `${fault}: ${message}`;
    };
    assertEquals(
      await fault(`${folder}/none`),
      `missing: Cannot load the training state "${folder}/none": there is no such directory`,
    );
    assertEquals(
      await fault(folder),
      `foreign: Cannot load the training state "${folder}": it has no manifest.json, so it is not one or not whole; it is empty`,
    );
    await Deno.writeTextFile(`${folder}/optimizer.bin`, "");
    assertEquals(
      await fault({ directory: folder, fallback: "previous" }),
      `foreign: Cannot load the training state "${folder}": it has no manifest.json, so it is not one or not whole; it holds optimizer.bin`,
    );
  }));

Deno.test("retention keeps the latest, the best and whatever is damaged", () =>
  inFolder(async (folder) => {
    const values = [5, 1, NaN, 4, 3, 2];
    for (const [i, value] of values.entries()) await save(folder, i, value);
    const numbers = async () => (await listStates(folder)).map((s) => s.number);
    assertEquals(await numbers(), [1, 2, 3, 4, 5, 6]);
    await Deno.truncate(`${folder}/state_000005_step_4/model.safetensors`, 10);
    const isBetter = (a: number, b: number) => a < b;
    assertEquals(await removeOldStates(folder, { keepLast: 2, isBetter }), [
      `${folder}/state_000001_step_0`,
      `${folder}/state_000003_step_2`,
    ]);
    // 2 is the best, 4 and 6 are the latest that are whole, 5 is damaged.
    assertEquals(await numbers(), [2, 4, 5, 6]);
    await removeOldStates(folder, { keepLast: 1, isBetter: undefined });
    assertEquals(await numbers(), [5, 6]);
    assertEquals(await nextStatePath(folder, 9), `${folder}/state_000007_step_9`);
  }));

Deno.test("a directory that cannot be written leaves nothing, and leftovers are swept", () =>
  inFolder(async (folder) => {
    const names = () => [...Deno.readDirSync(folder)].map((e) => e.name);
    await assertRejects(
      () => writeDirectory(`${folder}/x`, { "no/such/file": "text" }, ["last", () => ""]),
      Deno.errors.NotFound,
    );
    assertEquals(names(), []);
    await Deno.mkdir(`${folder}/${unfinishedPrefix}1/deep`, { recursive: true });
    await Deno.mkdir(`${folder}/mine`);
    await removeUnfinished(folder);
    assertEquals(names(), ["mine"]);
    await removeUnfinished(`${folder}/none`);
  }));
