/** What both sides of every communicator agree on: element types, argument checks, the one-line description. */

/**
 * Typed arrays that travel between ranks. `Uint16Array` and `Uint8Array` travel as raw bits; a `Uint16Array` may be
 * declared to hold bfloat16.
 */
export type CommArray =
  | Float32Array
  | Float64Array
  | Float16Array
  | Int32Array
  | BigInt64Array
  | Uint16Array
  | Uint8Array;

/** How the values of all ranks become one. `mean` needs a float dtype. */
export type ReduceOp = "sum" | "mean" | "max" | "min";

/** Names of the collectives. An announcement moves nothing: the devices do, and the ranks compare what they have called. */
export type CollectiveName =
  | "allReduce"
  | "reduceScatter"
  | "allGather"
  | "broadcast"
  | "barrier"
  | "announce";

/** Names of the element types, as in the tensor's dtypes. */
export type CommDType =
  | "float32"
  | "float64"
  | "int32"
  | "int64"
  | "uint16"
  | "uint8"
  | "float16"
  | "bfloat16";

interface DTypeRow {
  readonly bytes: number;
  /** May be summed, maximised and minimised. */
  readonly reduces: boolean;
  readonly float: boolean;
  make(buffer: ArrayBufferLike, offset: number, length: number): CommArray;
}

/** Facts about element types; the order is their code on the command queue. */
export const DTYPES: Record<CommDType, DTypeRow> = {
  float32: row(4, true, true, (b, o, n) => new Float32Array(b, o, n)),
  float64: row(8, true, true, (b, o, n) => new Float64Array(b, o, n)),
  int32: row(4, true, false, (b, o, n) => new Int32Array(b, o, n)),
  int64: row(8, true, false, (b, o, n) => new BigInt64Array(b, o, n)),
  uint16: row(2, false, false, (b, o, n) => new Uint16Array(b, o, n)),
  uint8: row(1, false, false, (b, o, n) => new Uint8Array(b, o, n)),
  float16: row(2, true, true, (b, o, n) => new Float16Array(b, o, n)),
  bfloat16: row(2, true, true, (b, o, n) => new Uint16Array(b, o, n)),
};

/** Codes on the command queue. */
export const DTYPE_NAMES = Object.keys(DTYPES) as CommDType[];
export const REDUCE_OPS: ReduceOp[] = ["sum", "mean", "max", "min"];
export const COLLECTIVES: CollectiveName[] = [
  "allReduce",
  "reduceScatter",
  "allGather",
  "broadcast",
  "barrier",
  "announce",
];

const BY_TAG: Record<string, CommDType> = {
  Float32Array: "float32",
  Float64Array: "float64",
  Int32Array: "int32",
  BigInt64Array: "int64",
  Uint16Array: "uint16",
  Uint8Array: "uint8",
  Float16Array: "float16",
};

/** One collective call with checked arguments. `output` is `input` where the result replaces the data. */
export interface Collective {
  readonly name: CollectiveName;
  readonly dtype: CommDType;
  readonly reduce: ReduceOp;
  /** Rank that has the data; of an announcement the number of elements. */
  readonly root: number;
  readonly input: CommArray;
  readonly output: CommArray;
}

/**
 * Checks the arguments of a collective call.
 *
 * @throws {TypeError} If a view is no supported typed array, or two views differ in type
 * @throws {RangeError} If lengths, the root or the reduction do not fit
 */
export function checkCollective(
  name: CollectiveName,
  worldSize: number,
  { input, output = input, reduce = "sum", root = 0, as }: {
    input: CommArray;
    output?: CommArray;
    reduce?: ReduceOp;
    root?: number;
    as?: "bfloat16";
  },
): Collective {
  const dtype = dtypeOf(name, input, as);
  const outType = dtypeOf(name, output, as);
  if (dtype !== outType) {
    throw new TypeError(`Cannot ${name} ${dtype} into ${outType}: types differ`);
  }
  if (name === "allReduce" || name === "reduceScatter") {
    if (!REDUCE_OPS.includes(reduce)) {
      throw new RangeError(
        `Cannot ${name} with "${reduce}": wanted one of ${REDUCE_OPS.join(", ")}`,
      );
    }
    if (!DTYPES[dtype].reduces) {
      throw new TypeError(`Cannot ${name} ${dtype}: wanted floats, int32 or int64`);
    }
    if (reduce === "mean" && !DTYPES[dtype].float) {
      throw new TypeError(`Cannot take the mean of ${dtype} in ${name}: wanted a float type`);
    }
  }
  if (!Number.isInteger(root) || root < 0 || root >= worldSize) {
    throw new RangeError(`Cannot ${name} from rank ${root}: wanted 0 to ${worldSize - 1}`);
  }
  if (name === "reduceScatter" && input.length !== output.length * worldSize) {
    throw new RangeError(
      `Cannot reduceScatter ${input.length} values into ${output.length}: wanted ${worldSize} times ${output.length}`,
    );
  }
  if (name === "allGather" && output.length !== input.length * worldSize) {
    throw new RangeError(
      `Cannot allGather ${input.length} values into ${output.length}: wanted ${worldSize} times ${input.length}`,
    );
  }
  return { name, dtype, reduce, root, input, output };
}

/** One line such as `allReduce(sum) float32[1000]`; ranks whose lines differ must not exchange data. */
export function describe(c: Collective): string {
  switch (c.name) {
    case "barrier":
      return "barrier()";
    case "broadcast":
      return `broadcast(root ${c.root}) ${c.dtype}[${c.input.length}]`;
    case "announce":
      return `allReduce(${c.reduce}) on the devices ${c.dtype}[${c.root}]`;
    case "allGather":
      return `allGather ${c.dtype}[${c.input.length}]`;
    default:
      return `${c.name}(${c.reduce}) ${c.dtype}[${c.input.length}]`;
  }
}

function dtypeOf(name: CollectiveName, data: CommArray, as?: "bfloat16"): CommDType {
  const tag = Object.prototype.toString.call(data).slice(8, -1);
  const dtype = BY_TAG[tag];
  if (dtype === undefined) {
    throw new TypeError(
      `Cannot ${name} a ${tag}: wanted one of ${Object.keys(BY_TAG).join(", ")}`,
    );
  }
  if (as !== undefined && dtype !== "uint16") {
    throw new TypeError(`Cannot ${name} ${dtype} as ${as}: wanted a Uint16Array`);
  }
  return as ?? dtype;
}

function row(
  bytes: number,
  reduces: boolean,
  float: boolean,
  make: DTypeRow["make"],
): DTypeRow {
  return { bytes, reduces, float, make };
}
