/** Reads fixtures: compressed lines of JSON, tensors as base64. */
import { type DType, dtypes, type HostArray, Tensor, tensor } from "@pta/accelerated";
import type { Value } from "./adapter.ts";

/** JSON of a tensor: dtype `t`, shape `s`, data `d`, stored as `as` when narrower, `g` when it takes a gradient. */
interface Packed {
  readonly $: "t";
  readonly t: DType | "int8" | "int16";
  readonly as?: "int8" | "int16" | "int32";
  readonly s: readonly number[];
  readonly d: string;
  readonly g?: number;
}

const hostTypes = { int8: Int8Array, int16: Int16Array, int32: Int32Array } as const;

/** The values of a packed tensor as an array of its dtype. */
function unpack(packed: Packed): HostArray {
  const raw = Uint8Array.fromBase64(packed.d).buffer;
  if (packed.as === undefined) {
    const sample = dtypes[packed.t as DType].array(0);
    return new (sample.constructor as new (b: ArrayBuffer) => HostArray)(raw);
  }
  const narrow = new hostTypes[packed.as](raw);
  if (packed.t === "bfloat16") return new Uint16Array(raw);
  return BigInt64Array.from(narrow, (x) => BigInt(x));
}

/** A value of a fixture as our arguments have it. Tensors that take gradients are put into `leaves` under their number. */
export function decode(json: unknown, leaves: Tensor[] = []): Value {
  if (json === null || typeof json !== "object") return json as Value;
  if (Array.isArray(json)) return json.map((x) => decode(x, leaves));
  const tagged = json as { $?: string };
  switch (tagged.$) {
    case "t": {
      const packed = json as Packed;
      if (!(packed.t in dtypes)) throw new RangeError(`holds ${packed.t}`);
      // A tensor that is given twice is one leaf.
      if (packed.g !== undefined && leaves[packed.g] !== undefined) return leaves[packed.g];
      const dtype = packed.t as DType, data = unpack(packed);
      const requiresGrad = packed.g !== undefined;
      const made = tensor(data, { dtype, shape: packed.s, requiresGrad });
      if (packed.g !== undefined) leaves[packed.g] = made;
      return made;
    }
    case "n":
      return Number((json as { v: string }).v.replace("inf", "Infinity"));
    case "slice": {
      const [start, stop, step] = (json as { v: unknown[] }).v.map((x) => decode(x)) as number[];
      return { start, stop, step };
    }
    default:
      return Object.fromEntries(Object.entries(json).map(([k, v]) => [k, decode(v, leaves)]));
  }
}

/** The lines of a compressed fixture. */
export async function* readLines<T>(path: string): AsyncGenerator<T> {
  const file = await Deno.open(path);
  const text = file.readable.pipeThrough(new DecompressionStream("gzip")).pipeThrough(
    new TextDecoderStream(),
  );
  let rest = "";
  for await (const chunk of text) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") yield JSON.parse(line);
  }
  if (rest !== "") yield JSON.parse(rest);
}

/** The lines of a fixture with one in `share` of the samples of each, from the first on. */
export async function* readSamples<T extends { readonly samples: readonly unknown[] }>(
  path: string,
  share: number,
): AsyncGenerator<T> {
  for await (const line of readLines<T>(path)) {
    yield { ...line, samples: line.samples.filter((_, i) => i % share === 0) };
  }
}

/** The gradient that both sides feed to an output: `((37 i) mod 17 - 8) / 8`. */
export function cotangent(output: Tensor): Tensor {
  const values = Float64Array.from({ length: output.numel }, (_, i) => (i * 37 % 17 - 8) / 8);
  return tensor(values, { shape: output.shape, dtype: "float64" }).to(output.device).to(
    output.dtype,
  );
}

/** Whether a value is a tensor. */
export const isTensor = (value: unknown): value is Tensor => value instanceof Tensor;
