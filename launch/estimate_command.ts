/** `estimate MODEL`: parameters and memory, from the header of a safetensors file or from a module. */
import { readFlags } from "./args.ts";
import { runChild } from "./child.ts";
import { type Estimate, estimateMemory, type ModelFacts, OPTIMIZERS } from "./memory.ts";
import { checkScript } from "./run.ts";
import { readValue, UsageError } from "./settings.ts";
import { nearest } from "./suggest.ts";

/** Longest header that the format allows, in bytes. */
const MAX_HEADER = 100_000_000;

/** Runs `estimate`. */
export async function estimateCommand(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, {
    values: ["batch-size", "mixed-precision", "optimizer", "num-processes"],
    switches: ["json"],
    anywhere: true,
  });
  const [path, ...more] = flags.rest;
  if (path === undefined) throw new UsageError("Missing the model: estimate MODEL");
  if (more.length > 0) throw new UsageError(`Unexpected ${more[0]}: wanted one MODEL`);
  const batchSize = count("batch-size", flags.own, 1);
  const ranks = count("num-processes", flags.own, 8);
  const given = String(flags.own["mixed-precision"] ?? "no");
  const precision = readValue("mixedPrecision", given, `--mixed-precision ${given}`);
  const optimizer = optimizerOf(flags.own.optimizer as string | undefined);
  checkScript(path);
  const model = /\.safetensors$/.test(path)
    ? await readHeader(path)
    : await measure(path, batchSize, precision, optimizer);
  const found = estimateMemory(model, { optimizer, mixed: precision !== "no", ranks });
  if (flags.own.json) {
    console.log(JSON.stringify({ ...found, batchSize, precision, optimizer, ranks }));
  } else console.log(textOf(path, found, { batchSize, precision, optimizer, ranks }));
  return 0;
}

function count(flag: string, own: Readonly<Record<string, unknown>>, missing: number): number {
  const text = own[flag];
  if (text === undefined) return missing;
  if (!/^\d{1,9}$/.test(String(text)) || Number(text) < 1) {
    throw new UsageError(`Cannot read --${flag} ${text}: wanted a whole number of at least 1`);
  }
  return Number(text);
}

function optimizerOf(name = "adamw"): string {
  if (Object.hasOwn(OPTIMIZERS, name)) return name;
  const near = nearest(name, Object.keys(OPTIMIZERS));
  throw new UsageError(
    `Unknown optimizer ${name}: ${
      near === undefined
        ? `known are ${Object.keys(OPTIMIZERS).join(", ")}`
        : `did you mean ${near}?`
    }`,
  );
}

/** Names and shapes of a safetensors file: eight bytes of length, then JSON. */
async function readHeader(path: string): Promise<ModelFacts> {
  const wrong = (why: string) => new UsageError(`Cannot read the header of ${path}: ${why}`);
  using file = await Deno.open(path);
  const start = new Uint8Array(8);
  if (await fill(file, start) < 8) throw wrong("the file is too short");
  const length = new DataView(start.buffer).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER)) throw wrong(`it would have ${length} bytes`);
  const bytes = new Uint8Array(Number(length));
  if (await fill(file, bytes) < bytes.length) throw wrong("the file ends within it");
  let header: Record<string, { shape?: unknown }>;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw wrong("it is no JSON");
  }
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => {
      const shape = entry?.shape;
      if (!Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
        throw wrong(`${name} has no shape`);
      }
      return { name, shape: shape as number[] };
    });
  if (tensors.length === 0) throw wrong("it holds no tensors");
  return { tensors };
}

async function fill(file: Deno.FsFile, bytes: Uint8Array): Promise<number> {
  let at = 0;
  while (at < bytes.length) {
    const read = await file.read(bytes.subarray(at));
    if (read === null) break;
    at += read;
  }
  return at;
}

/** A script of its own plans steps on the null device. */
async function measure(
  path: string,
  batchSize: number,
  precision: string,
  optimizer: string,
): Promise<ModelFacts> {
  const isUrl = /^(https?|jsr|npm|data|file):/.test(path);
  const url = isUrl ? path : fileUrl(await Deno.realPath(path));
  const { code, out, err } = await runChild(
    "measure_model.ts",
    [url, String(batchSize), precision, optimizer],
    { PTA_DEVICE: "null" },
  );
  // the module may have printed something before
  const line = out.trimEnd().split("\n").at(-1) ?? "";
  if (code === 0 && line.startsWith("{")) return JSON.parse(line);
  const lines = err.trim().split("\n");
  const why = lines.find((l) => l.startsWith("Cannot estimate ")) ??
    `Cannot estimate ${path}: ${
      lines.find((l) => l.startsWith("error:"))?.replace("error: Uncaught (in promise) ", "") ??
        lines[0]
    }`;
  throw new UsageError(why.replaceAll(url, path));
}

/** URL of an absolute path, which may hold any letter. */
function fileUrl(path: string): string {
  const url = new URL("file:///");
  url.pathname = path.replaceAll("%", "%25").replaceAll("\\", "/");
  return url.href;
}

function textOf(
  path: string,
  found: Estimate,
  how: { batchSize: number; precision: string; optimizer: string; ranks: number },
): string {
  const { parameters, trainable, largest, stages } = found;
  const isKnown = stages[0].activations !== undefined;
  const number = (n: number) => n.toLocaleString("en-US");
  const head = ["", "weights", "gradients", "optimizer", "activations", "total"];
  const rows = stages.map((s) => [
    s.stage === 0 ? "each rank whole" : `ZeRO ${s.stage}`,
    size(s.weights),
    size(s.gradients),
    size(s.optimizer),
    s.activations === undefined ? "unknown" : size(s.activations),
    `${size(s.total)}${isKnown ? "" : " +"}`,
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
  const line = (row: string[]) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[i])).join("  ");
  return [
    `${path}: ${number(parameters)} parameters${
      trainable === parameters ? "" : `, ${number(trainable)} of them take gradients`
    }`,
    `Largest layer: ${largest.name}, ${number(largest.parameters)} parameters, ${
      size(largest.bytes)
    }`,
    `Memory of each of ${how.ranks} ranks: batch size ${how.batchSize}, precision ${how.precision}, ${how.optimizer}`,
    "",
    line(head).trimEnd(),
    ...rows.map(line),
    ...(isKnown ? [] : [
      "",
      "Activations depend on the batch: a module that exports exampleBatch(batchSize) tells them",
    ]),
  ].join("\n");
}

function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 2)} ${units[power]}`;
}
