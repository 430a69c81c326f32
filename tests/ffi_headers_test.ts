/** Tables of the CUDA bindings against NVIDIA's headers, and planted mistakes. Without the headers each test says so and is skipped. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { structs } from "../ffi/cuda/structs.ts";
import { CHeader } from "../tools/c_header.ts";
import {
  boundTables,
  checkEnums,
  checkSymbols,
  compileC,
  readHeader,
} from "../tools/ffi_headers.ts";
import { wanted } from "../tools/ffi_wanted.ts";

for (const spec of wanted) {
  const header = readHeader(spec);
  const reason = typeof header === "string" ? ` (skipped: ${header})` : "";
  Deno.test({
    name: `ffi headers: ${spec.library} agrees with ${spec.headers.join(", ")}${reason}`,
    ignore: reason !== "",
    fn: async () => {
      assert(typeof header !== "string");
      const { symbols, enums } = await boundTables(spec);
      assertEquals(Object.keys(symbols).length, spec.functions.trim().split("\n").length);
      assertEquals(Object.keys(enums).sort(), [...spec.enums].sort());
      assertEquals(checkSymbols(symbols, header), []);
      assertEquals(checkEnums(enums, header), []);
    },
  });

  Deno.test({
    name: `ffi headers: a mistake planted anywhere in ${spec.library} is found${reason}`,
    ignore: reason !== "",
    fn: async () => {
      assert(typeof header !== "string");
      const { symbols, enums } = await boundTables(spec);
      for (const [name, row] of Object.entries(symbols)) {
        const { parameters, result } = row as Deno.ForeignFunction;
        const found = (changed: Partial<Deno.ForeignFunction>) =>
          checkSymbols({ [name]: { ...row, ...changed } as Deno.ForeignFunction }, header);
        parameters.forEach((type, i) => {
          // Never right: no wanted function takes a float by value.
          const wrong = parameters.with(i, "f32");
          assertEquals(found({ parameters: wrong }).length, 1, `${name}, argument ${i} of ${type}`);
          // The width alone.
          const width: Partial<Record<string, Deno.NativeType>> = {
            u8: "i8",
            u16: "u32",
            i32: "i64",
            u32: "i32",
            u64: "u32",
            i64: "u64",
            usize: "u32",
            buffer: "i32",
          };
          const near = width[String(type)] ?? { struct: ["u64"] };
          assertEquals(
            found({ parameters: parameters.with(i, near) }).length,
            1,
            `${name}, argument ${i} of ${type} as ${near}`,
          );
        });
        assertEquals(found({ parameters: [...parameters, "i32"] }).length, 1, `${name}, one more`);
        if (parameters.length > 0) {
          assertEquals(found({ parameters: parameters.slice(1) }).length, 1, `${name}, one less`);
        }
        assertEquals(found({ result: result === "void" ? "i32" : "void" }).length, 1, name);
        assertEquals(checkSymbols({ [`${name}Not`]: row }, header), [
          `${name}Not: not in the header`,
        ]);
      }
      for (const [name, table] of Object.entries(enums)) {
        for (const [member, value] of Object.entries(table)) {
          const wrong = checkEnums({ [name]: { ...table, [member]: value + 1 } }, header);
          assertEquals(wrong, [`${name}.${member}: ${value + 1}, header has ${value}`]);
        }
        assertEquals(checkEnums({ [name]: { NO_SUCH_MEMBER: 0 } }, header).length, 1);
      }
    },
  });

  // nccl.h needs the whole toolkit to compile, not only to be read.
  const layouts = Object.entries(structs).filter(([name]) =>
    typeof header !== "string" && header.has(name)
  );
  const built = layouts.length === 0 ? undefined : compileC(
    spec,
    layouts.flatMap(([name, { fields }]) => [
      `printf("${name} size %zu\\n", sizeof(${name}));`,
      ...Object.keys(fields).map((field) =>
        `printf("${name} ${field} %zu %zu\\n", offsetof(${name}, ${field}), sizeof(((${name} *)0)->${field}));`
      ),
    ]),
  );
  if (built === undefined) continue;
  const unbuilt = built.reason === undefined ? "" : ` (skipped: ${built.reason})`;
  Deno.test({
    name: `ffi headers: structs of ${spec.library} lie as the compiler puts them${unbuilt}`,
    ignore: unbuilt !== "",
    fn: () => {
      const lines = layouts.flatMap(([name, { size, fields }]) => [
        `${name} size ${size}`,
        ...Object.entries(fields).map(([field, at]) => `${name} ${field} ${at.join(" ")}`),
      ]);
      assertEquals(built.output?.trim().split("\n"), lines);
    },
  });
}

Deno.test("ffi headers: the reader understands what headers write", () => {
  const header = new CHeader(`
    typedef unsigned long long Word; typedef Word Pointer;
    typedef struct Thing_st *Thing;
    typedef struct { char bytes[64]; } Id;
    typedef enum kind_enum { A, B = 1 << 4, C = B | 0x3, D = (C) + 1, E = -2, F, G = 0x80000000 } Kind;
    extern int __attribute__((visibility("default"))) make(Thing *out, const void* data, Pointer at,
      Kind kind, unsigned int flags, Id id, unsigned char list[], size_t);
    const char* name(Kind);
    int renamed_v2(void);
  `);
  const make = header.functionOf("make");
  assert(make !== undefined);
  assertEquals(make.parameters.map((p) => p.type), [
    { kind: "pointer", handle: false },
    { kind: "pointer", handle: false },
    { kind: "number", native: "u64" },
    { kind: "enum" },
    { kind: "number", native: "u32" },
    { kind: "struct", bytes: 64 },
    { kind: "pointer", handle: false },
    { kind: "number", native: "usize" },
  ]);
  assertEquals(make.parameters.map((p) => p.name), [
    ...["out", "data", "at", "kind", "flags", "id", "list", "p7"],
  ]);
  assertEquals(header.functionOf("name")?.result, { kind: "pointer", handle: false });
  assertEquals(header.functionOf("renamed")?.parameters, []);
  assertEquals(header.functionOf("missing"), undefined);
  assertEquals(Object.fromEntries(header.enumOf("Kind") ?? []), {
    ...{ A: 0, B: 16, C: 19, D: 20, E: -2, F: -1, G: 0x80000000 },
  });
  assertStringIncludes(make.text, "Pointer at");
});
