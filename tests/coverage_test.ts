/** No method of tensors goes without proof. */
import { AssertionError } from "@std/assert";
import { Tensor } from "@pta/core";
import { cases, exceptions } from "./cases.ts";

const here = new URL(".", import.meta.url), core = new URL("../core/tensor/", here);

const sources = (directory: URL): string =>
  [...Deno.readDirSync(directory)].filter((f) => f.name.endsWith(".ts"))
    .map((f) => Deno.readTextFileSync(new URL(f.name, directory))).join("\n");

const withoutComments = (source: string) => source.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");

/** Methods that a golden adapter calls: `x.name`, or by a helper that is given the name, `helper("name")`. */
function calledByAdapters(): string[] {
  const text = withoutComments(sources(new URL("golden/adapters/", here)));
  return [...text.matchAll(/\.([A-Za-z_]\w*)|\("([A-Za-z_]\w*)"\)/g)].map((m) => m[1] ?? m[2]);
}

/** Methods that the classes hide from users. */
function hidden(): string[] {
  const member =
    /^ {2}(?:private|protected) (?:abstract |override |readonly |static )*(?:get |set )?(\w+)/gm;
  return [...withoutComments(sources(core)).matchAll(member)].map((m) => m[1]);
}

function methods(): string[] {
  const names = new Set<string>();
  for (let p = Tensor.prototype; p !== Object.prototype; p = Object.getPrototypeOf(p)) {
    for (const name of Object.getOwnPropertyNames(p)) names.add(name);
  }
  return [...names];
}

Deno.test("every method of tensors has a row, a golden adapter or a stated exception", () => {
  const rows = cases.flatMap((c) => c.covers), stated = Object.keys(exceptions);
  const covered = new Set([...rows, ...stated, ...calledByAdapters(), ...hidden()]);
  const names = methods(), bare = names.filter((n) => !covered.has(n));
  if (bare.length > 0) throw new AssertionError(`no proof of ${bare.join(", ")}`);
  const unknown = [...rows, ...stated].filter((n) => !names.includes(n));
  if (unknown.length > 0) {
    throw new AssertionError(`rows for methods that do not exist: ${unknown.join(", ")}`);
  }
});

Deno.test("a test file that an exception names calls the method", () => {
  const wrong = Object.entries(exceptions).filter(([name, file]) => {
    if (!file.endsWith("_test.ts")) return false;
    const source = withoutComments(Deno.readTextFileSync(new URL(file, here)));
    return !new RegExp(`\\.${name}\\b`).test(source);
  });
  if (wrong.length > 0) {
    throw new AssertionError(wrong.map(([n, file]) => `${file} does not call ${n}`).join(", "));
  }
});
