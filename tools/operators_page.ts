/**
 * `deno task operators` writes `docs/operators.md`: for each public name of PyTorch's (`tests/golden/names.py`) ours, how it is proven, or why it is
 * not here. Nothing on the page is typed: what exists is looked up in the library, what is proven in the fixtures and the tests, and a name that is
 * neither here nor explained in `operators_reasons.ts` is an error.
 */
import * as pta from "@pta/accelerated";
import { adapters, reasons } from "../tests/golden/adapters/mod.ts";
import { camelCase } from "../tests/golden/adapters/modules.ts";
import { readLines } from "../tests/golden/fixture.ts";
import { leftOut, renamed } from "./operators_reasons.ts";

const root = new URL("..", import.meta.url), fixtures = new URL("tests/golden/fixtures/", root);

/** What `names.py` writes. */
interface Names {
  readonly version: string;
  readonly namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly samples: Readonly<Record<string, string>>;
}

/** Where our names for a namespace are looked for, in this order; `Tensor` stands for methods. */
const places: Readonly<Record<string, readonly string[]>> = {
  "torch": ["", "Tensor", "linalg", "nn.functional", "nn"],
  "torch.linalg": ["linalg"],
  "torch.special": ["Tensor"],
  "torch.nn": ["nn"],
  "torch.nn.functional": ["nn.functional", "Tensor", ""],
  "torch.nn.init": ["nn.init"],
  "torch.nn.utils": ["nn", "optim"],
  "torch.nn.utils.parametrize": ["nn.parametrize"],
  "torch.nn.utils.parametrizations": ["nn.parametrizations"],
  "torch.optim": ["optim"],
  "torch.optim.lr_scheduler": ["optim"],
};

/** One line of the page. */
interface Row {
  readonly name: string;
  readonly here: string;
  readonly proof: string;
  readonly state: State;
}

const states = {
  samples: "compared with PyTorch on its own samples",
  unit: "in unit tests",
  untested: "not tested yet",
  leftOut: "left out",
} as const;
type State = keyof typeof states;

/** Whether a path such as `nn.functional.relu`, or `Tensor.abs` for a method, leads to something. */
function exists(path: string): boolean {
  const parts = path.split(".");
  let at: object = pta;
  if (parts[0] === "Tensor" && parts.length === 2) {
    at = pta.Tensor.prototype;
    parts.shift();
  }
  for (const part of parts.slice(0, -1)) {
    const next = (at as Record<string, unknown>)[part];
    if (typeof next !== "object" || next === null) return false;
    at = next;
  }
  return parts.at(-1)! in at;
}

/** Our name's path, if there is one. */
function ours(namespace: string, name: string): string | undefined {
  const other = renamed[`${namespace}.${name}`];
  const own = other === undefined
    ? (places[namespace] ?? []).map((p) => p === "" ? camelCase(name) : `${p}.${camelCase(name)}`)
    : [other];
  return own.find(exists);
}

/** Number of samples by the name under which a fixture keeps them. */
async function sampleCounts(): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const add = (key: string, n: number) => counts.set(key, (counts.get(key) ?? 0) + n);
  type Line = { name: string; samples: unknown[] };
  const read = (file: string) => readLines<Line>(new URL(file, fixtures).pathname);
  for await (const { name, samples } of read("operators.jsonl.gz")) {
    if (name in adapters) add(`torch.${name}`, samples.length);
  }
  for await (const { name, samples } of read("modules.jsonl.gz")) {
    add(`torch.${name}`, samples.length);
  }
  for (const suite of ["optimizers", "schedulers"]) {
    const space = suite === "optimizers" ? "torch.optim" : "torch.optim.lr_scheduler";
    for await (const { name, samples } of read(`${suite}.jsonl.gz`)) {
      add(`${space}.${name}`, samples.length);
    }
  }
  return counts;
}

/** Everything that the unit tests name after a dot or before a bracket. */
function namedInTests(): Set<string> {
  const found = new Set<string>();
  for (const { name } of Deno.readDirSync(new URL("tests/", root))) {
    if (!/(_test|cases)\.ts$/.test(name)) continue;
    const text = Deno.readTextFileSync(new URL(`tests/${name}`, root));
    for (const [, a, b] of text.matchAll(/\.([A-Za-z]\w*)|\b([A-Za-z]\w*)(?=\s*[(<])/g)) {
      found.add(a ?? b);
    }
  }
  return found;
}

/** The page's text. */
export async function operatorsPage(): Promise<string> {
  const names: Names = JSON.parse(Deno.readTextFileSync(new URL("names.json", fixtures)));
  const counts = await sampleCounts(), tested = namedInTests();
  const unexplained: string[] = [], used = new Set<string>();
  for (const [name, path] of Object.entries(renamed)) {
    if (!exists(path) && !explained(name, names)) unexplained.push(`${name} (renamed to ${path})`);
  }
  const row = (namespace: string, name: string): Row => {
    const path = ours(namespace, name), full = `${namespace}.${name}`;
    if (path === undefined) {
      const found = leftOut.find(([pattern]) => pattern.test(full))?.[1];
      if (found !== undefined) used.add(found);
      const reason = explained(full, names);
      if (reason === undefined) unexplained.push(full);
      return { name, here: "", proof: reason ?? "", state: "leftOut" };
    }
    const here = path.startsWith("Tensor.")
      ? `\`Tensor.prototype.${path.slice(7)}\``
      : `\`${path}\``;
    const samples = [...sampledAs(full, names), `torch.${path}`].map((key) => counts.get(key) ?? 0)
      .find((n) => n > 0);
    if (samples !== undefined) {
      return { name, here, proof: `${samples} samples`, state: "samples" };
    }
    const isNamed = tested.has(path.split(".").at(-1)!);
    return isNamed
      ? { name, here, proof: "unit tests", state: "unit" }
      : { name, here, proof: "not tested yet", state: "untested" };
  };
  const tables = Object.entries(names.namespaces).map(([namespace, list]) =>
    [namespace, Object.keys(list).map((name) => row(namespace, name))] as const
  );
  const stale = leftOut.filter(([, reason]) => !used.has(reason));
  if (stale.length > 0) {
    throw new Error(
      `Cannot write the page of operators: ${stale.map(([p]) => p).join(", ")} explains nothing`,
    );
  }
  if (unexplained.length > 0) {
    throw new Error(
      `Cannot write the page of operators: ${unexplained.join(", ")} ${
        unexplained.length === 1 ? "is" : "are"
      } neither here nor explained in tools/operators_reasons.ts`,
    );
  }
  const all = tables.flatMap(([, rows]) => rows);
  return [
    "# Operators",
    "",
    wrap(
      `PyTorch ${names.version}'s public names and ours. Written by \`deno task operators\`; change the library, the ` +
        "tests or `tools/operators_reasons.ts`, never this page. _Samples_ are those of PyTorch's own database, run " +
        "by `deno task golden`; _unit tests_ are those of `tests/` that name the function.",
    ),
    "",
    summary("All", all),
    ...tables.flatMap(([namespace, rows]) => section(namespace, rows)),
    "",
  ].join("\n");
}

/** The keys of fixtures that may hold a function's samples. */
function sampledAs(full: string, { samples }: Names): string[] {
  const name = full.replace(/^torch\./, "");
  const keys = [name, samples[name], `nn.functional.${name}`, samples[`nn.functional.${name}`]];
  return keys.filter((k) => k !== undefined).map((k) => `torch.${k}`);
}

/** Why a name is not here. */
function explained(full: string, { samples }: Names): string | undefined {
  const name = full.replace(/^torch\./, "");
  const reason = leftOut.find(([pattern]) => pattern.test(full))?.[1] ?? reasons[name] ??
    reasons[samples[name]];
  return reason === undefined
    ? undefined
    : `${reason[0].toUpperCase()}${reason.slice(1).replace(/\.?$/, ".")}`;
}

function summary(title: string, rows: readonly Row[]): string {
  const count = (state: State) => rows.filter((r) => r.state === state).length;
  const parts = (Object.keys(states) as State[]).map((s) => `${count(s)} ${states[s]}`);
  return wrap(`${title}: ${rows.length} names; ${parts.join(", ")}.`);
}

/** Breaks a paragraph into lines as `deno fmt` does. */
function wrap(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const joined = `${lines.at(-1)} ${word}`.trim();
    if (joined.length <= 100) lines[lines.length - 1] = joined;
    else lines.push(word);
  }
  return lines.join("\n");
}

function section(namespace: string, rows: readonly Row[]): string[] {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const cells = rows.map((r) => [`\`${r.name}\``, r.here, r.proof].map(cell));
  const widths = [0, 1, 2].map((i) => Math.max(3, ...cells.map((c) => c[i].length)));
  const heads = [namespace, "here", "proof, or why not"];
  heads.forEach((h, i) => widths[i] = Math.max(widths[i], h.length));
  const line = (texts: readonly string[]) =>
    `| ${texts.map((t, i) => t.padEnd(widths[i])).join(" | ")} |`;
  const rule = line(widths.map((w) => "-".repeat(w)));
  return [
    "",
    `## ${namespace}`,
    "",
    summary("Here", rows),
    "",
    line(heads),
    rule,
    ...cells.map(line),
  ];
}

if (import.meta.main) {
  const text = await operatorsPage();
  Deno.writeTextFileSync(new URL("docs/operators.md", root), text);
  console.log(text.match(/^All: [^.]*/m)?.[0].replace("\n", " "));
}
