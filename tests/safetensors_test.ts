/** Safetensors files: what is written is what Python writes, what is read is what was written, and nothing malformed is read. */
import { data, type DType, env, type HostArray, safetensors, tensor } from "@pta/core";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { codecs, dtypes } from "../core/dtype.ts";
import { numbers, throwsExactly } from "./assert.ts";
import { on } from "./devices.ts";

const onRef = (name: string, fn: () => void) => Deno.test(name, () => on("ref", fn));

/** Written by {@linkcode pythonWrites} with torch 2.13 and safetensors 0.8. */
const pythonFile =
  "6AIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJhLmludDY0Ijp7ImR0eXBlIjoiSTY0Iiwic2" +
  "hhcGUiOlsyLDNdLCJkYXRhX29mZnNldHMiOlswLDQ4XX0sImEuZmxvYXQ2NCI6eyJkdHlwZSI6IkY2NCIsInNoYXBl" +
  "IjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpbNDgsOTZdfSwiMTAiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6W10sImRhdG" +
  "Ffb2Zmc2V0cyI6Wzk2LDEwMF19LCIyIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlswLDRdLCJkYXRhX29mZnNldHMi" +
  "OlsxMDAsMTAwXX0sImEuZmxvYXQzMiI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIj" +
  "pbMTAwLDEyNF19LCJxdW9cInRlIMOpIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsxXSwiZGF0YV9vZmZzZXRzIjpb" +
  "MTI0LDEyOF19LCJhLmludDMyIjp7ImR0eXBlIjoiSTMyIiwic2hhcGUiOlsyLDNdLCJkYXRhX29mZnNldHMiOlsxMj" +
  "gsMTUyXX0sImEuYmZsb2F0MTYiOnsiZHR5cGUiOiJCRjE2Iiwic2hhcGUiOlsyLDNdLCJkYXRhX29mZnNldHMiOlsx" +
  "NTIsMTY0XX0sImEuZmxvYXQxNiI6eyJkdHlwZSI6IkYxNiIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpbMT" +
  "Y0LDE3Nl19LCJhLnVpbnQ4Ijp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzIsM10sImRhdGFfb2Zmc2V0cyI6WzE3Niwx" +
  "ODJdfSwiYS5ib29sIjp7ImR0eXBlIjoiQk9PTCIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpbMTgyLDE4OF" +
  "19fSAgICAgICABAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAADAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAADwPwAA" +
  "AAAAAAAAAAAAAAAAAEAAAAAAAAAIQAAAAAAAAPA/AAAAAAAAAAAAAMA/AACAPwAAAAAAAABAAABAQAAAgD8AAAAAAA" +
  "AAvwEAAAAAAAAAAgAAAAMAAAABAAAAAAAAAIA/AAAAQEBAgD8AAAA8AAAAQABCADwAAAEAAgMBAAEAAQEBAA==";

const pythonWrites = `
import sys, torch
from safetensors.torch import save_file
names = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16,
         "int32": torch.int32, "int64": torch.int64, "uint8": torch.uint8, "bool": torch.bool}
t = {"a." + name: torch.tensor([[1, 0, 2], [3, 1, 0]]).to(dtype) for name, dtype in names.items()}
t["10"] = torch.tensor(1.5)
t["2"] = torch.zeros(0, 4)
t['quo"te é'] = torch.tensor([-0.5])
save_file(t, sys.argv[1], metadata={"format": "pt"})
`;

const pythonReads = `
import sys, json
from safetensors import safe_open
with safe_open(sys.argv[1], "pt") as f:
    t = {k: f.get_tensor(k) for k in f.keys()}
    print(json.dumps({"metadata": f.metadata(), "tensors": {k: [str(v.dtype)[6:], list(v.shape), v.double().flatten().tolist()] for k, v in t.items()}}))
`;

/** The tensors of that file. */
function sampleTensors(): Record<string, safetensors.Saveable> {
  const values = [1, 0, 2, 3, 1, 0], out: Record<string, safetensors.Saveable> = {};
  for (const dtype of Object.keys(dtypes) as DType[]) {
    const array = dtypes[dtype].array(6) as { [i: number]: number | bigint };
    values.forEach((x, i) => array[i] = codecs[dtype].encode(x));
    const field = new data.HostField(array as HostArray, [2, 3], dtype);
    // Both kinds of source are saved.
    out[`a.${dtype}`] = dtypes[dtype].bytes < 4 ? field : field.toTensor();
  }
  out["2"] = tensor(new Float32Array(0), { shape: [0, 4] });
  out["10"] = tensor(1.5);
  out['quo"te é'] = tensor([-0.5]);
  return out;
}

const described = (state: safetensors.HostState): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(state.tensors).map(([name, { dtype, shape, data }]) => [
      name,
      [dtype, shape, Array.from(data as ArrayLike<number | bigint>, codecs[dtype].decode)],
    ]),
  );

const expected: Record<string, [DType, number[], number[]]> = {
  ...Object.fromEntries(
    (Object.keys(dtypes) as DType[]).map((dtype): [string, [DType, number[], number[]]] => [
      `a.${dtype}`,
      [dtype, [2, 3], dtype === "bool" ? [1, 0, 1, 1, 1, 0] : [1, 0, 2, 3, 1, 0]],
    ]),
  ),
  "2": ["float32", [0, 4], []],
  "10": ["float32", [], [1.5]],
  'quo"te é': ["float32", [1], [-0.5]],
};

const fromBase64 = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

onRef(
  "safetensors: the bytes are those of the reference implementation, whatever the order",
  () => {
    const bytes = fromBase64(pythonFile), metadata = { format: "pt" };
    assertEquals(safetensors.save(sampleTensors(), { metadata }), bytes);
    const reversed = Object.fromEntries(Object.entries(sampleTensors()).reverse());
    assertEquals(safetensors.save(reversed, { metadata }), bytes);
  },
);

onRef("safetensors: every dtype, scalars and empty tensors come back", () => {
  const state = safetensors.loadHost(fromBase64(pythonFile));
  assertEquals(described(state), expected);
  assertEquals(state.metadata, { format: "pt" });
  const tensors = safetensors.load(safetensors.save(sampleTensors()));
  for (const [name, [dtype, shape, values]] of Object.entries(expected)) {
    assertEquals([tensors[name].dtype, tensors[name].shape, numbers(tensors[name])], [
      dtype,
      shape,
      values,
    ], name);
  }
});

// The reference device computes in float64, which holds integers up to 2^53 only.
Deno.test("safetensors: special values and large numbers keep their bits", () =>
  on("cpu", () => {
    const floats = Float32Array.of(NaN, Infinity, -0, 1e-45, 3.4028234663852886e38);
    const longs = BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n);
    const { tensors } = safetensors.loadHost(
      safetensors.save({ x: tensor(floats), y: tensor(longs) }),
    );
    assertEquals(new Uint8Array(tensors.x.data.buffer), new Uint8Array(floats.buffer));
    assertEquals(tensors.y.data, longs);
  }));

onRef("safetensors: values need not be aligned, nor the array begin its buffer", () => {
  const header = '{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}   ';
  const bytes = fileOf(header, new Uint8Array(Float64Array.of(2.5).buffer));
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assert((8 + header.length) % 8 !== 0);
  assertEquals(safetensors.load(shifted.subarray(3)).x.toArray(), [2.5]);
});

function fileOf(
  header: string | Uint8Array,
  values = new Uint8Array(0),
  length?: bigint,
): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const out = new Uint8Array(8 + text.length + values.length);
  new DataView(out.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  out.set(text, 8);
  out.set(values, 8 + text.length);
  return out;
}

onRef("safetensors: malformed data is refused with the reason", () => {
  const bytes = (n: number) => new Uint8Array(n);
  const entry = (fields: Record<string, unknown>, size = 8) =>
    fileOf(
      JSON.stringify({ x: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...fields } }),
      bytes(size),
    );
  const two = (a: number[], b: number[], size: number) =>
    fileOf(
      JSON.stringify({
        x: { dtype: "F32", shape: [2], data_offsets: a },
        y: { dtype: "U8", shape: [b[1] - b[0]], data_offsets: b },
      }),
      bytes(size),
    );
  const cases: [string, Uint8Array, string][] = [
    ["empty", bytes(0), "it has 0 bytes, and must have at least 8"],
    ["cut in the length", bytes(7), "it has 7 bytes, and must have at least 8"],
    ["no header", bytes(8), "its header does not start with {"],
    [
      "huge header",
      fileOf("{}", bytes(0), 2n ** 60n),
      "its header has 1152921504606846976 bytes, and at most 100000000 are allowed",
    ],
    ["cut in the header", fileOf("{}", bytes(0), 9n), "its header has 9 bytes, and only 2 follow"],
    ["space first", fileOf(" {}"), "its header does not start with {"],
    ["an array", fileOf("[]"), "its header does not start with {"],
    ["bad UTF-8", fileOf(Uint8Array.of(0x7b, 0xff, 0x7d)), "its header is not valid UTF-8"],
    [
      "metadata of numbers",
      fileOf('{"__metadata__":{"a":1}}'),
      "its __metadata__ is not an object of strings",
    ],
    [
      "metadata text",
      fileOf('{"__metadata__":"a"}'),
      "its __metadata__ is not an object of strings",
    ],
    ["entry no object", fileOf('{"x":3}'), 'the entry of "x" is no object'],
    ["no dtype", entry({ dtype: undefined }), 'the dtype of "x" is missing'],
    ["shape text", entry({ shape: "2" }), 'the shape of "x" is "2", and must be an array of sizes'],
    [
      "negative size",
      entry({ shape: [-2] }),
      'the shape of "x" is [-2], and must be an array of sizes',
    ],
    [
      "fractional size",
      entry({ shape: [0.5] }),
      'the shape of "x" is [0.5], and must be an array of sizes',
    ],
    [
      "one offset",
      entry({ data_offsets: [0] }),
      'the data_offsets of "x" are [0], and must be two positions',
    ],
    [
      "negative offset",
      entry({ data_offsets: [-8, 0] }),
      'the data_offsets of "x" are [-8,0], and must be two positions',
    ],
    ["too short", entry({ data_offsets: [0, 4] }), '"x" occupies 4 bytes, and F32 [2] needs 8'],
    [
      "end before start",
      entry({ data_offsets: [8, 0] }),
      '"x" occupies -8 bytes, and F32 [2] needs 8',
    ],
    [
      "overflow",
      entry({ shape: [2 ** 40, 2 ** 40] }),
      '"x" occupies 8 bytes, and F32 [1099511627776, 1099511627776] needs 4.835703278458517e+24',
    ],
    [
      "gap at the start",
      entry({ data_offsets: [4, 12] }, 12),
      '"x" starts at byte 4 of the values and leaves a gap before it, which ends at 0',
    ],
    [
      "overlap",
      two([0, 8], [4, 10], 10),
      '"y" starts at byte 4 of the values and overlaps what precedes it, which ends at 8',
    ],
    [
      "gap",
      two([0, 8], [9, 10], 10),
      '"y" starts at byte 9 of the values and leaves a gap before it, which ends at 8',
    ],
    ["cut in the values", entry({}, 7), "its tensors need 8 bytes, and 7 follow the header"],
    [
      "something after the values",
      entry({}, 9),
      "its tensors need 8 bytes, and 9 follow the header",
    ],
  ];
  for (const [name, file, why] of cases) {
    try {
      throwsExactly(
        () => safetensors.load(file),
        SyntaxError,
        `Cannot read the safetensors data: ${why}`,
      );
    } catch (error) {
      throw new Error(name, { cause: error });
    }
  }
  // The rest of the message is the engine's.
  assertThrows(() => safetensors.load(fileOf("{]")), SyntaxError, "its header is not valid JSON (");
  throwsExactly(
    () => safetensors.load(entry({ dtype: "F8_E4M3" })),
    TypeError,
    'Cannot read the tensor "x" of dtype F8_E4M3: supported are F32, F64, F16, BF16, I32, I64, U8, BOOL',
  );
});

onRef("safetensors: names and metadata that cannot be saved are refused", () => {
  throwsExactly(
    () => safetensors.save({ __metadata__: tensor(1) }),
    TypeError,
    "Cannot save a tensor under the name __metadata__",
  );
  throwsExactly(
    // @ts-expect-error what a caller without types might pass
    () => safetensors.save({}, { metadata: { epoch: 3 } }),
    TypeError,
    'Cannot save the metadata "epoch": it is number, and must be a string',
  );
  // A name that objects treat as special is a name like any other.
  const { tensors } = safetensors.loadHost(
    fileOf('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', Uint8Array.of(7)),
  );
  assertEquals(Object.keys(tensors), ["__proto__"]);
});

Deno.test("safetensors: a file is written whole or not at all", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/model.safetensors`;
    await safetensors.saveFile({ x: tensor([1, 2]) }, path, { metadata: { a: "b" } });
    await safetensors.saveFile({ x: tensor([3, 4, 5]) }, new URL(`file://${path}`));
    assertEquals(numbers((await safetensors.loadFile(path)).x), [3, 4, 5]);
    // One that fails halfway leaves the old file, and nothing beside it.
    const broken = Object.defineProperty(tensor([1]), "data", {
      value: () => {
        throw new Error("unplugged");
      },
    });
    await assertRejects(() => safetensors.saveFile({ x: broken }, path), Error, "unplugged");
    assertEquals(numbers((await safetensors.loadFile(path)).x), [3, 4, 5]);
    assertEquals([...Deno.readDirSync(folder)].map((e) => e.name), ["model.safetensors"]);
    await assertRejects(() => safetensors.loadFile(`${folder}/none`), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const python = env("PTA_PYTHON");
const pythonMissing = python === undefined
  ? "PTA_PYTHON names no Python with torch and safetensors"
  : undefined;

async function runPython(program: string, path: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(python!, {
    args: ["-c", program, path],
  }).output();
  const text = (b: Uint8Array) => new TextDecoder().decode(b);
  assert(success, text(stderr));
  return text(stdout);
}

Deno.test({
  name: `safetensors: Python reads what is written and writes what is read${
    pythonMissing ? ` (${pythonMissing})` : ""
  }`,
  ignore: pythonMissing !== undefined,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      await runPython(pythonWrites, `${folder}/python.safetensors`);
      const theirs = await Deno.readFile(`${folder}/python.safetensors`);
      assertEquals(
        theirs,
        fromBase64(pythonFile),
        "the file in this test is still what Python writes",
      );
      await safetensors.saveFile(sampleTensors(), `${folder}/ours.safetensors`, {
        metadata: { a: "b", c: "d" },
      });
      const read = JSON.parse(await runPython(pythonReads, `${folder}/ours.safetensors`));
      assertEquals(read, { metadata: { a: "b", c: "d" }, tensors: expected });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
