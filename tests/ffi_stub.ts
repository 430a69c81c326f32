/** A library with all symbols of a table that does nothing but remember its arguments: built by the C compiler, for tests of wrappers and of the search. */

const cType: Partial<Record<string, string>> = {
  u8: "unsigned char",
  u16: "unsigned short",
  i32: "int",
  u32: "unsigned int",
  i64: "long long",
  u64: "unsigned long long",
  usize: "unsigned long long",
  buffer: "unsigned long long",
  pointer: "unsigned long long",
};

/** Bytes of the struct at `i`, when it is one. */
const structBytes = (type: Deno.NativeType) =>
  typeof type === "object" ? 8 * type.struct.length : 0;

/**
 * Source of a library: each function stores its integer arguments in `seen`, its name in `called`, and returns `answer`. `bodies` replaces
 * what a function does.
 */
function source(
  table: Deno.ForeignLibraryInterface,
  bodies: Readonly<Record<string, string>>,
  leaveOut: readonly string[],
): string {
  const lines = [
    "#include <string.h>",
    "#include <stdlib.h>",
    "long long seen[32]; char called[128]; int answer;",
    "long long *stub_seen(void) { return seen; }",
    "char *stub_called(void) { return called; }",
    "void stub_answer(int code) { answer = code; }",
  ];
  for (const [name, row] of Object.entries(table)) {
    if (!("parameters" in row) || leaveOut.includes(name)) continue;
    const structs = row.parameters.map(structBytes);
    structs.forEach((bytes, i) => {
      if (bytes > 0) lines.push(`struct ${name}_${i} { char bytes[${bytes}]; };`);
    });
    const parameters = row.parameters.map((type, i) =>
      structs[i] > 0 ? `struct ${name}_${i} a${i}` : `${cType[String(type)]} a${i}`
    ).join(", ") || "void";
    const result = row.result === "void"
      ? "void"
      : row.result === "pointer"
      ? "char *"
      : cType[String(row.result)];
    const store = row.parameters.map((_, i) =>
      structs[i] > 0 ? `memcpy(&seen[${i}], &a${i}, 8);` : `seen[${i}] = (long long)a${i};`
    ).join(" ");
    const end = row.result === "void"
      ? ""
      : row.result === "pointer"
      ? `return "told";`
      : "return answer;";
    lines.push(
      `${result} ${name}(${parameters}) { ${
        bodies[name] ?? `strcpy(called, "${name}"); ${store} ${end}`
      } }`,
    );
  }
  return lines.join("\n");
}

/** What a stub remembers. */
export const stubSymbols = {
  stub_seen: { parameters: [], result: "pointer" },
  stub_called: { parameters: [], result: "pointer" },
  stub_answer: { parameters: ["i32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Builds a stub.
 *
 * @param path File to write
 * @param bodies What functions do instead of remembering, in C
 * @param leaveOut Symbols that it lacks
 * @returns Why it could not be built, else undefined
 */
export function buildStub(
  path: string,
  table: Deno.ForeignLibraryInterface,
  bodies: Readonly<Record<string, string>> = {},
  leaveOut: readonly string[] = [],
): string | undefined {
  const file = `${path}.c`;
  Deno.writeTextFileSync(file, source(table, bodies, leaveOut));
  try {
    const args = ["-w", "-shared", "-fPIC", "-O1", "-o", path, file];
    const { success, stderr } = new Deno.Command(Deno.env.get("CC") ?? "cc", { args }).outputSync();
    return success ? undefined : new TextDecoder().decode(stderr);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "no C compiler (cc) on PATH";
    throw error;
  }
}
