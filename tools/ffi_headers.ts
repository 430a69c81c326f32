/**
 * Holds the tables of the CUDA bindings against NVIDIA's own headers, and writes them.
 *
 *   deno run -A tools/ffi_headers.ts            compares ffi/cuda/*.ts with the headers; exit code 1 when they differ
 *   deno run -A tools/ffi_headers.ts --write    writes ffi/cuda/*.ts from the headers and tools/ffi_wanted.ts
 *
 * The headers come with the pip packages nvidia-cuda-runtime, nvidia-cuda-nvrtc, nvidia-cublas, nvidia-cudnn-cu13 and nvidia-nccl-cu13, or with a CUDA
 * toolkit; `PTA_CUDA_INCLUDE` names further folders. A C compiler is needed for its preprocessor.
 */
import { cudaPrefixes, folders, kindOf, variable, wheelFolders } from "../ffi/cuda/search.ts";
import { CHeader, type CType } from "./c_header.ts";
import { type Wanted, wanted } from "./ffi_wanted.ts";
import { printCalls, printEnums } from "./ffi_tables.ts";

/** Folders with headers. */
export function includeFolders(): string[] {
  return [
    ...folders("PTA_CUDA_INCLUDE"),
    ...wheelFolders("include"),
    ...cudaPrefixes().map((prefix) => `${prefix}/include`),
    "/usr/include",
  ].filter((path) => kindOf(path) === "folder");
}

/** What a run of the compiler gave: what it printed, or the one reason why it did not. */
type Outcome = { readonly output: string; readonly reason?: undefined } | {
  readonly output?: undefined;
  readonly reason: string;
};

/**
 * Reads the headers of a library.
 *
 * @returns The header, or the one reason why it cannot be read
 */
export function readHeader(spec: Wanted): CHeader | string {
  const { output, reason } = withSource(spec, "", (args) => compiler(["-E", "-P", ...args]));
  return output === undefined ? reason : new CHeader(output);
}

/**
 * Compiles and runs statements of C with the headers of a library.
 *
 * @param statements Body of `main`
 * @returns What they printed
 */
export function compileC(spec: Wanted, statements: readonly string[]): Outcome {
  const main = "#include <stdio.h>\n#include <stddef.h>\n" +
    `int main(void) {\n${statements.join("\n")}\nreturn 0; }\n`;
  return withSource(spec, main, (args, folder) => {
    const built = compiler([...args, "-o", `${folder}/main`]);
    return built.reason === undefined ? execute(`${folder}/main`, []) : built;
  });
}

/** Runs `use` with the compiler's arguments for a source that includes the headers. */
function withSource(
  spec: Wanted,
  rest: string,
  use: (args: string[], folder: string) => Outcome,
): Outcome {
  const include = includeFolders();
  for (const name of spec.headers) {
    if (!include.some((folder) => kindOf(`${folder}/${name}`) === "file")) {
      return { reason: `${name} not found; set PTA_CUDA_INCLUDE to its folder` };
    }
  }
  const folder = Deno.makeTempDirSync();
  try {
    // Headers of the compiler that the wheels lack; no prototype depends on them.
    for (const [path, text] of Object.entries(absent)) {
      Deno.mkdirSync(`${folder}/${path.split("/")[0]}`, { recursive: true });
      Deno.writeTextFileSync(`${folder}/${path}`, text);
    }
    const source = `${folder}/all.c`;
    const lines = spec.headers.map((name) => `#include <${name}>\n`).join("");
    Deno.writeTextFileSync(source, lines + rest);
    return use([
      ...["-w", "-x", "c"],
      ...include.filter((path) => path !== "/usr/include").flatMap((path) => ["-I", path]),
      ...["-idirafter", folder, source],
    ], folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const absent: Readonly<Record<string, string>> = {
  "crt/host_defines.h": "",
  "crt/host_config.h": "",
  "crt/device_functions.h": "",
  "nv/target": "",
};

function compiler(args: string[]): Outcome {
  for (const command of [variable("CC"), "cc", "gcc", "clang"]) {
    if (command === undefined) continue;
    try {
      return execute(command, args);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return { reason: "no C compiler (cc, gcc, clang) on PATH" };
}

function execute(command: string, args: string[]): Outcome {
  const { success, stdout, stderr } = new Deno.Command(command, { args }).outputSync();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return success ? { output: decode(stdout) } : {
    reason: `${command} failed: ${
      decode(stderr).split("\n").find((x) => x.includes("error")) ?? ""
    }`,
  };
}

/** How a definition may name a C type. */
function fits(type: CType, native: Deno.NativeType): boolean {
  switch (type.kind) {
    case "void":
      return false;
    case "enum":
      return native === "i32";
    case "number":
      return native === type.native;
    case "pointer":
      // An address in a 64-bit integer is a pointer to the callee.
      return native === "u64" || !type.handle && (native === "buffer" || native === "pointer");
    case "struct":
      return typeof native === "object" && structBytes(native.struct) === type.bytes;
  }
}

function structBytes(fields: readonly Deno.NativeType[]): number {
  const bytes: Partial<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 };
  return fields.reduce((sum, field) => sum + (bytes[String(field)] ?? NaN), 0);
}

/**
 * Compares a table of symbols with the header.
 *
 * @returns Differences, a line each; empty when there is none
 */
export function checkSymbols(table: Deno.ForeignLibraryInterface, header: CHeader): string[] {
  const wrong: string[] = [];
  for (const [name, row] of Object.entries(table)) {
    const found = header.functionOf(name);
    if (found === undefined) {
      wrong.push(`${name}: not in the header`);
      continue;
    }
    if (!("parameters" in row)) {
      wrong.push(`${name}: not a function in the table`);
      continue;
    }
    const { parameters, result } = row;
    if (parameters.length !== found.parameters.length) {
      wrong.push(`${name}: ${parameters.length} arguments, header has ${found.parameters.length}`);
      continue;
    }
    const show = (native: unknown) => typeof native === "string" ? native : JSON.stringify(native);
    found.parameters.forEach((parameter, i) => {
      if (!fits(parameter.type, parameters[i])) {
        wrong.push(
          `${name}: argument ${i} is ${show(parameters[i])}, header has ${parameter.text}`,
        );
      }
    });
    const fitsResult = found.result.kind === "void"
      ? result === "void"
      : found.result.kind === "pointer"
      ? result === "pointer"
      : result !== "void" && fits(found.result, result);
    if (!fitsResult) {
      wrong.push(`${name}: result is ${show(result)}, header has ${found.resultText}`);
    }
  }
  return wrong;
}

/**
 * Compares tables of enums, by the enums' names, with the header.
 *
 * @returns Differences, a line each; empty when there is none
 */
export function checkEnums(
  tables: Readonly<Record<string, Readonly<Record<string, number>>>>,
  header: CHeader,
): string[] {
  const wrong: string[] = [];
  for (const [name, table] of Object.entries(tables)) {
    const found = header.enumOf(name);
    if (found === undefined) {
      wrong.push(`${name}: not in the header`);
      continue;
    }
    for (const [member, value] of Object.entries(table)) {
      const actual = found.get(member);
      if (actual !== value) wrong.push(`${name}.${member}: ${value}, header has ${actual}`);
    }
  }
  return wrong;
}

/** What the modules of one library export: its table of symbols and its enums. */
export interface BoundTables {
  /** Symbols as the library exports them. */
  readonly symbols: Deno.ForeignLibraryInterface;
  /** Tables of enums by name. */
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Reads the committed tables of a library. */
export async function boundTables(spec: Wanted): Promise<BoundTables> {
  const calls = await import(`../ffi/cuda/${spec.file}.ts`);
  const enums = await import(`../ffi/cuda/${spec.file}_enums.ts`);
  return { symbols: calls[printedName(spec)], enums: { ...enums } };
}

/** Name of a library's table of symbols. */
export function printedName(spec: Wanted): string {
  return spec.file.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) + "Symbols";
}

async function format(path: string, source: string): Promise<void> {
  await Deno.writeTextFile(path, source);
  const fmt = new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path] });
  if (!(await fmt.output()).success) throw new Error(`Cannot format ${path}`);
}

if (import.meta.main) {
  const write = Deno.args.includes("--write");
  for (const spec of wanted) {
    const header = readHeader(spec);
    if (typeof header === "string") {
      console.log(`${spec.library}: skipped, ${header}`);
      continue;
    }
    if (write) {
      const base = new URL(`../ffi/cuda/${spec.file}`, import.meta.url).pathname;
      await format(`${base}_enums.ts`, printEnums(spec, header));
      await format(`${base}.ts`, printCalls(spec, header, printedName(spec)));
      console.log(`${spec.library}: written`);
      continue;
    }
    const { symbols, enums } = await boundTables(spec);
    const wrong = [...checkSymbols(symbols, header), ...checkEnums(enums, header)];
    console.log(
      `${spec.library}: ${wrong.length === 0 ? "agrees with its header" : wrong.join("\n  ")}`,
    );
    if (wrong.length > 0) Deno.exitCode = 1;
  }
}
