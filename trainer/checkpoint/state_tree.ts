/** Nested states as JSON beside tensors: numbers that JSON lacks are tagged, tensors are named by their path. */
import { data, type DType, type HostArray, type Saveable, Tensor } from "@pta/core";

/** A nested state, packed. */
export interface PackedState {
  /** What `JSON.stringify` takes without loss. */
  readonly json: unknown;
  /** Tensors and typed arrays by the path at which they stood. */
  readonly tensors: Record<string, Saveable>;
}

/** Tags are objects of one key; plain keys that begin like one get one more `$`. */
type Tag = "$number" | "$bigint" | "$tensor" | "$array" | "$map" | "$set" | "$date" | "$undefined";

const isPlain = (x: object): x is Record<string, unknown> =>
  Object.getPrototypeOf(x) === Object.prototype || Object.getPrototypeOf(x) === null;

const arrayTypes: ReadonlyMap<string, DType> = new Map<string, DType>([
  ["Float32Array", "float32"],
  ["Float64Array", "float64"],
  ["Float16Array", "float16"],
  ["Int32Array", "int32"],
  ["BigInt64Array", "int64"],
  ["Uint8Array", "uint8"],
]);

const typeName = (x: object): string => Object.prototype.toString.call(x).slice(8, -1);

/**
 * Takes a state apart. Values are those that a program has; tensors are not copied.
 *
 * @param state Numbers of any kind, texts, booleans, null, bigints, tensors, typed arrays, dates, maps, sets, arrays and plain objects
 * @param name Put before the paths
 * @param tensors Where they go; names that are taken are avoided
 * @param options `once`: whether what stands at several places is stored once (default), or at each of them, for other programs to find
 * @throws {TypeError} When there is anything else in it, or it contains itself; names the path
 */
export function packState(
  state: unknown,
  name = "",
  tensors: Record<string, Saveable> = {},
  { once = true }: { readonly once?: boolean } = {},
): PackedState {
  const known = new Map<object, string>();
  const above = new Set<object>();
  const add = (value: object, path: string, make: () => Saveable): string => {
    let key = once ? known.get(value) : undefined;
    if (key === undefined) {
      key = path === "" ? "value" : path;
      // `{ "a.b": t }` and `{ a: { b: t } }` have one path.
      while (Object.hasOwn(tensors, key)) key += "~";
      known.set(value, key);
      Object.defineProperty(tensors, key, {
        value: make(),
        enumerable: true,
      });
    }
    return key;
  };
  const tag = (key: Tag, value: unknown) => ({ [key]: value });
  const walk = (x: unknown, path: string): unknown => {
    switch (typeof x) {
      case "boolean":
      case "string":
        return x;
      case "number":
        return Number.isFinite(x) && !Object.is(x, -0) ? x : tag("$number", numberText(x));
      case "bigint":
        return tag("$bigint", `${x}`);
      case "undefined":
        return tag("$undefined", true);
      case "object":
        if (x === null) return null;
        return walkObject(x, path);
    }
    throw unsaveable(path, typeof x);
  };
  const walkObject = (x: object, path: string): unknown => {
    if (x instanceof Tensor) return tag("$tensor", add(x, path, () => x));
    if (ArrayBuffer.isView(x)) {
      const type = typeName(x), dtype = arrayTypes.get(type);
      if (dtype === undefined) throw unsaveable(path, `a ${type}`);
      const array = x as HostArray;
      const key = add(x, path, () => new data.HostField(array, [array.length], dtype));
      return tag("$array", key);
    }
    if (x instanceof Date) return tag("$date", numberText(x.getTime()));
    if (above.has(x)) {
      throw new TypeError(`Cannot save ${path || "the state"}: it contains itself`);
    }
    above.add(x);
    try {
      return walkNested(x, path);
    } finally {
      above.delete(x);
    }
  };
  const walkNested = (x: object, path: string): unknown => {
    const at = (key: unknown) => path === "" ? `${key}` : `${path}.${key}`;
    if (Array.isArray(x)) return Array.from(x, (value, i) => walk(value, at(i)));
    if (x instanceof Map) {
      return tag("$map", [...x].map(([k, v], i) => [walk(k, at(`key${i}`)), walk(v, at(i))]));
    }
    if (x instanceof Set) return tag("$set", [...x].map((v, i) => walk(v, at(i))));
    if (!isPlain(x)) throw unsaveable(path, `a ${x.constructor?.name ?? typeName(x)}`);
    return Object.fromEntries(
      Object.entries(x).filter(([, value]) => value !== undefined)
        .map(([key, value]) => [key.startsWith("$") ? `$${key}` : key, walk(value, at(key))]),
    );
  };
  return { json: walk(state, name), tensors };
}

const numberText = (x: number): string => Object.is(x, -0) ? "-0" : `${x}`;

const unsaveable = (path: string, what: string): TypeError =>
  new TypeError(
    `Cannot save ${
      path || "the state"
    }: it is ${what}, and a state holds numbers, texts, tensors, typed arrays, dates, maps, sets, arrays and plain objects`,
  );

/**
 * Puts a state together again.
 *
 * @param json What {@linkcode packState} gave
 * @param tensors The values that it names
 * @param device Where tensors go; the default device when left out
 * @throws {SyntaxError} When a tensor or a tag is not known
 */
export function unpackState(
  json: unknown,
  tensors: Readonly<Record<string, data.HostField>>,
  device?: string,
): unknown {
  const made = new Map<string, Tensor>();
  const field = (key: unknown): data.HostField => {
    if (typeof key === "string" && Object.hasOwn(tensors, key)) return tensors[key];
    throw new SyntaxError(`Cannot read the state: there is no tensor "${key}"`);
  };
  const readers: Record<Tag, (value: unknown) => unknown> = {
    $number: Number,
    $bigint: (value) => BigInt(value as string),
    $undefined: () => undefined,
    $date: (value) => new Date(Number(value)),
    $tensor: (key) => {
      let t = made.get(key as string);
      if (t === undefined) made.set(key as string, t = field(key).toTensor(device));
      return t;
    },
    $array: (key) => field(key).data,
    $map: (pairs) => new Map((pairs as [unknown, unknown][]).map(([k, v]) => [walk(k), walk(v)])),
    $set: (values) => new Set((values as unknown[]).map(walk)),
  };
  const walk = (x: unknown): unknown => {
    if (typeof x !== "object" || x === null) return x;
    if (Array.isArray(x)) return x.map(walk);
    const entries = Object.entries(x);
    const [key, value] = entries[0] ?? [""];
    if (/^\$[^$]/.test(key)) {
      if (Object.hasOwn(readers, key)) return readers[key as Tag](value);
      throw new SyntaxError(`Cannot read the state: the tag ${key} is not known`);
    }
    return Object.fromEntries(
      entries.map(([k, v]) => [k.startsWith("$") ? k.slice(1) : k, walk(v)]),
    );
  };
  return walk(json);
}
