/** Prints the tables of the CUDA bindings: symbols, enums, and one checked wrapper for each symbol. */
import type { CFunction, CHeader, CParameter } from "./c_header.ts";
import type { Wanted } from "./ffi_wanted.ts";

const HEAD = "Written by tools/ffi_headers.ts from the header; do not edit.";

/** How a parameter crosses: its type in the table, its type for callers, and how one becomes the other. */
interface Crossing {
  readonly native: string;
  readonly type: string;
  /** Expression of the argument; `slot` is a free place of the scratch memory. */
  readonly pass: (name: string, slot: number) => string;
  /** Whether the number is split into two halves in the scratch memory. */
  readonly split?: boolean;
  /** Bytes of a struct. */
  readonly bytes?: number;
}

interface Row {
  readonly symbol: string;
  /** Without the suffix of its version, as the header's macros have it. */
  readonly name: string;
  readonly optional: boolean;
  readonly allowed: readonly number[];
  readonly c: CFunction;
  readonly crossings: readonly Crossing[];
}

const asIs = (name: string) => name;
const scratch = (_name: string, slot: number) => `u64[${slot}]`;

function crossing(p: CParameter, role: string | undefined): Crossing {
  const { type } = p;
  if (role === "device") return { native: `"u64"`, type: "number", pass: scratch, split: true };
  if (role === "address") return { native: `"u64"`, type: "bigint", pass: asIs };
  switch (type.kind) {
    case "pointer":
      return type.handle
        ? { native: `"u64"`, type: "bigint", pass: asIs }
        : { native: `"buffer"`, type: "BufferSource | null", pass: asIs };
    case "enum":
      return { native: `"i32"`, type: "number", pass: asIs };
    case "number":
      if (type.native === "i64") {
        return { native: `"i64"`, type: "number", pass: (name) => `BigInt(${name})` };
      }
      return type.native === "u64" || type.native === "usize"
        ? { native: `"${type.native}"`, type: "number", pass: scratch, split: true }
        : { native: `"${type.native}"`, type: "number", pass: asIs };
    case "struct":
      if (type.bytes === undefined) break;
      return {
        native: `{ struct: [${Array(type.bytes / 8).fill(`"u64"`).join(", ")}] }`,
        type: "Uint8Array<ArrayBuffer>",
        pass: asIs,
        bytes: type.bytes,
      };
  }
  throw new Error(`Cannot bind the parameter ${p.text}`);
}

function rows(spec: Wanted, header: CHeader): Row[] {
  return spec.functions.trim().split("\n").map((line) => {
    const [first, ...notes] = line.trim().split(" ");
    const symbol = first.replace("?", "");
    const c = header.functionOf(symbol);
    if (c === undefined) throw new Error(`Cannot find ${symbol} in ${spec.headers.join(", ")}`);
    const roles = new Map(notes.map((note) => note.split(":") as [string, string]));
    const allowed = (roles.get("allow") ?? "").split(",").filter((x) => x !== "").map(Number);
    roles.delete("allow");
    for (const name of roles.keys()) {
      if (!c.parameters.some((p) => p.name === name)) {
        throw new Error(`Cannot find parameter ${name} of ${symbol}`);
      }
    }
    return {
      symbol,
      name: symbol.replace(/_v\d$/, ""),
      optional: first.startsWith("?"),
      allowed,
      c,
      crossings: c.parameters.map((p) => crossing(p, roles.get(p.name))),
    };
  });
}

/** Parameter names that are reserved words. */
const safe = (name: string) => /^(in|function|with|new|delete)$/.test(name) ? `${name}_` : name;

function resultNative(row: Row): string {
  const { result } = row.c;
  if (result.kind === "void") return `"void"`;
  if (result.kind === "pointer") return `"pointer"`;
  return result.kind === "number" ? `"${result.native}"` : `"i32"`;
}

/** What the wrapper returns. */
function resultType(row: Row, spec: Wanted): string {
  if (row.c.resultText === spec.status) return row.allowed.length > 0 ? "number" : "void";
  const { kind } = row.c.result;
  return kind === "void" ? "void" : kind === "pointer" ? "string" : "number";
}

function wrapper(row: Row, spec: Wanted): string {
  const { symbol, name, c, crossings, optional, allowed } = row;
  const lines: string[] = [];
  let slot = 0;
  const args = crossings.map((x, i) => {
    const parameter = safe(c.parameters[i].name);
    if (x.bytes !== undefined) {
      lines.push(
        `checkBytes(${JSON.stringify(name)}, ${
          JSON.stringify(c.parameters[i].name)
        }, ${parameter}, ${x.bytes});`,
      );
    }
    if (!x.split) return x.pass(parameter, 0);
    lines.push(
      `u32[${2 * slot}] = ${parameter};`,
      `u32[${2 * slot + 1}] = ${parameter} / 4294967296;`,
    );
    return x.pass(parameter, slot++);
  });
  if (optional) {
    lines.unshift(
      `if (${symbol} === null) missingSymbol(${JSON.stringify(spec.library)}, ${
        JSON.stringify(symbol)
      });`,
    );
  }
  const call = `${symbol}(${args.join(", ")})`;
  if (c.resultText === spec.status) {
    const fine = ["0", ...allowed].map((code) => `code !== ${code}`).join(" && ");
    lines.push(`const code = ${call};`, `if (${fine}) fail(${JSON.stringify(name)}, code);`);
    if (allowed.length > 0) lines.push("return code;");
  } else if (c.result.kind === "void") lines.push(`${call};`);
  else if (c.result.kind === "pointer") lines.push(`return readCString(${call});`);
  else lines.push(`return Number(${call});`);
  const parameters = c.parameters.map((p) => safe(p.name)).join(", ");
  return `    ${name}(${parameters}) {\n${lines.map((line) => `      ${line}\n`).join("")}    },\n`;
}

/** The module of a library's symbols and wrappers. */
export function printCalls(spec: Wanted, header: CHeader, table: string): string {
  const list = rows(spec, header);
  const base = table.replace(/Symbols$/, "");
  const type = base[0].toUpperCase() + base.slice(1) + "Calls";
  const bind = "bind" + base[0].toUpperCase() + base.slice(1);
  const uses = (test: RegExp) => list.some((row) => test.test(wrapper(row, spec)));
  const strings = list.some((row) => row.c.result.kind === "pointer");
  const memory = [...new Set([...spec.helpers, ...(strings ? ["readCString"] : [])])];
  const scratchNames = [
    ...(uses(/\bcheckBytes\(/) ? ["checkBytes"] : []),
    ...(uses(/\bu32\[/) ? ["u32", "u64"] : []),
  ];
  const errors = [spec.error, ...(uses(/missingSymbol/) ? ["missingSymbol"] : []), "statusName"];
  const statusFile = spec.file === "cublas_lt" ? "cublas" : spec.file;
  const notes = {
    device: "pointers into device memory are numbers",
    handle: "handles and host addresses are bigints",
  };
  let text = `/**
 * ${spec.library}: symbols as ${
    spec.headers.join(", ")
  } declares them, and a checked wrapper for each. Sizes and ${notes.device}, ${notes.handle}, results come
 * back in the buffers that the C function takes. ${HEAD}
 */
import { ${errors.sort().join(", ")} } from "./errors.ts";
import { ${memory.sort().join(", ")} } from "./memory.ts";
${scratchNames.length > 0 ? `import { ${scratchNames.join(", ")} } from "./scratch.ts";` : ""}
import { ${spec.status} } from "./${statusFile}_enums.ts";

/** Symbols of ${spec.library}. */
export const ${table} = {
`;
  for (const { symbol, c, crossings, optional, ...row } of list) {
    const parameters = crossings.map((x, i) => `      ${x.native}, // ${c.parameters[i].name}\n`)
      .join("");
    const result = resultNative({ symbol, c, crossings, optional, ...row });
    text += `  ${symbol}: {\n    parameters: [${
      parameters === "" ? "" : `\n${parameters}    `
    }],\n    result: ${result},\n`;
    if (optional) text += "    optional: true,\n";
    text += "  },\n";
  }
  text += `} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of ${spec.library}. Each raises {@linkcode ${spec.error}} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface ${type} {
`;
  for (const row of list) {
    const parameters = row.c.parameters
      .map((p, i) => `${safe(p.name)}: ${row.crossings[i].type}`).join(", ");
    text += `  /** \`${row.c.text.replace(/\s+/g, " ")}\` */\n`;
    text += `  ${row.name}(${parameters}): ${resultType(row, spec)};\n`;
  }
  text += `}

/** Makes the checked calls from an open library. */
export function ${bind}(symbols: Deno.DynamicLibrary<typeof ${table}>["symbols"]): ${type} {
  const { ${list.map((row) => row.symbol).join(", ")} } = symbols;
  const fail = (call: string, code: number): never => {
    throw new ${spec.error}({ call, code, status: statusName(${spec.status}, "${spec.status}", code), text: ${spec.text} });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
`;
  for (const row of list) text += wrapper(row, spec);
  return text + "  };\n}\n";
}

/** The module of a library's enums. */
export function printEnums(spec: Wanted, header: CHeader): string {
  let text = `/** Enums of ${spec.library}, as in ${spec.headers.join(", ")}. ${HEAD} */\n`;
  for (const name of spec.enums) {
    const table = header.enumOf(name);
    if (table === undefined) throw new Error(`Cannot find the enum ${name}`);
    text += `\n/** \`${name}\` */\nexport const ${name} = {\n`;
    for (const [member, value] of table) {
      if (!Number.isNaN(value)) text += `  ${member}: ${value},\n`;
    }
    text += "} as const;\n";
  }
  return text;
}
