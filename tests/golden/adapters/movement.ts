import { Tensor } from "@pta/accelerated";
import * as pta from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  dimsOf,
  numberOf,
  numbersOf,
  type Output,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

const x = (s: Sample): Tensor => tensorOf(s.input);
const number = (s: Sample, i: number, name: string, fallback?: number): number => {
  const value = argument(s, i, name);
  return value instanceof Tensor ? value.item() : numberOf(value, fallback);
};
/** Sizes given as one list or as several numbers. */
const sizes = (s: Sample, name: string): number[] => {
  const first = argument(s, 0, name);
  return Array.isArray(first) ? numbersOf(first) : s.args.map((v) => numberOf(v));
};
/** Every tensor of a sample that takes them one by one. */
const all = (s: Sample): Tensor[] => [x(s), ...s.args.map((v) => tensorOf(v))];
const list = (value: Value): Tensor[] =>
  Array.isArray(value) ? value.map((v) => tensorOf(v)) : [tensorOf(value)];
const shapeOf = (value: Value): number[] => Array.isArray(value) ? numbersOf(value) : [];
/** The same, as a tensor with memory of its own. */
const copied = (adapter: Adapter): Adapter => (s) => {
  const out = adapter(s);
  const copy = (o: Output): Output =>
    o instanceof Tensor ? o.clone() : Array.isArray(o) ? o.map(copy) : o;
  return copy(out);
};

const expand: Adapter = (s) => x(s).expand(sizes(s, "size"));
const chunk: Adapter = (s) => x(s).chunk(number(s, 0, "chunks"), number(s, 1, "dim", 0));
const diagonal: Adapter = (s) =>
  x(s).diagonal(number(s, 0, "offset", 0), number(s, 1, "dim1", 0), number(s, 2, "dim2", 1));
const narrow: Adapter = (s) =>
  x(s).narrow(number(s, 0, "dim"), number(s, 1, "start"), number(s, 2, "length"));
const permute: Adapter = (s) => x(s).permute(sizes(s, "dims"));
const split: Adapter = (s) => {
  const by = argument(s, 0, "split_size_or_sections")!;
  return x(s).split(Array.isArray(by) ? numbersOf(by) : numberOf(by), number(s, 1, "dim", 0));
};
const splitWithSizes: Adapter = (s) =>
  x(s).splitWithSizes(numbersOf(argument(s, 0, "split_sizes")), number(s, 1, "dim", 0));
const view: Adapter = (s) => x(s).view(sizes(s, "size"));
const squeeze: Adapter = (s) => x(s).squeeze(dimsOf(argument(s, 0, "dim")));
const unsqueeze: Adapter = (s) => x(s).unsqueeze(number(s, 0, "dim"));
const transpose: Adapter = (s) => x(s).transpose(number(s, 0, "dim0"), number(s, 1, "dim1"));
const unbind: Adapter = (s) => x(s).unbind(number(s, 0, "dim", 0));
const unfold: Adapter = (s) =>
  x(s).unfold(number(s, 0, "dimension"), number(s, 1, "size"), number(s, 2, "step"));
const slice: Adapter = (s) =>
  x(s).slice(
    number(s, 0, "dim", 0),
    number(s, 1, "start", 0),
    number(s, 2, "end", Infinity),
    number(s, 3, "step", 1),
  );
/** Number of sections, or places. */
const sections = (s: Sample): number | number[] => {
  const by = argument(s, 0, "indices_or_sections")!;
  if (by instanceof Tensor) {
    return by.ndim === 0 ? by.item() : Array.from(by.data() as ArrayLike<bigint>, Number);
  }
  return Array.isArray(by) ? numbersOf(by) : numberOf(by);
};
const each = (fn: (t: Tensor) => Tensor): Adapter => (s) =>
  s.args.length > 0 || Array.isArray(s.input)
    ? (Array.isArray(s.input) ? list(s.input) : all(s)).map(fn)
    : fn(x(s));

/** Adapters by PyTorch's name. */
export const movement: Adapters = {
  broadcast_to: (s) => x(s).broadcastTo(sizes(s, "size")),
  broadcast_tensors: (s) => pta.broadcastTensors(...all(s)),
  broadcast_shapes: (s) => [...pta.broadcastShapes(
    ...[s.input, ...s.args].map((v) => Array.isArray(v) ? numbersOf(v) : numberOf(v)),
  )],
  block_diag: (s) => pta.blockDiag(...all(s)),
  cartesian_prod: (s) => pta.cartesianProd(...all(s)),
  combinations: (s) =>
    pta.combinations(x(s), number(s, 0, "r", 2), argument(s, 1, "with_replacement") === true),
  chunk,
  unsafe_chunk: chunk,
  sum_to_size: (s) => x(s).sumToSize(sizes(s, "size")),
  expand,
  expand_as: (s) => x(s).expandAs(tensorOf(s.args[0])),
  expand_copy: copied(expand),
  diag: (s) => x(s).diag(number(s, 0, "diagonal", 0)),
  diag_embed: (s) =>
    x(s).diagEmbed(number(s, 0, "offset", 0), number(s, 1, "dim1", -2), number(s, 2, "dim2", -1)),
  diagonal,
  diagonal_copy: copied(diagonal),
  diagonal_scatter: (s) =>
    x(s).diagonalScatter(
      tensorOf(s.args[0]),
      number(s, 1, "offset", 0),
      number(s, 2, "dim1", 0),
      number(s, 3, "dim2", 1),
    ),
  diagflat: (s) => x(s).diagflat(number(s, 0, "offset", 0)),
  flip: (s) => x(s).flip(numbersOf(argument(s, 0, "dims"))),
  fliplr: (s) => x(s).fliplr(),
  flipud: (s) => x(s).flipud(),
  meshgrid: (s) =>
    pta.meshgrid(Array.isArray(s.input) ? list(s.input) : all(s), {
      indexing: s.kwargs.indexing as "ij" | "xy" | undefined,
    }),
  narrow,
  narrow_copy: copied(narrow),
  view_copy: copied(view),
  permute,
  permute_copy: copied(permute),
  roll: (s) => x(s).roll(dimsOf(argument(s, 0, "shifts"))!, dimsOf(argument(s, 1, "dims"))),
  rot90: (s) => {
    const dims = argument(s, 1, "dims");
    return x(s).rot90(
      number(s, 0, "k", 1),
      dims === undefined ? undefined : numbersOf(dims) as [number, number],
    );
  },
  select: (s) => x(s).select(number(s, 0, "dim"), number(s, 1, "index")),
  slice,
  split,
  unsafe_split: split,
  split_with_sizes: splitWithSizes,
  split_with_sizes_copy: copied(splitWithSizes),
  tensor_split: (s) => x(s).tensorSplit(sections(s), number(s, 1, "dim", 0)),
  hsplit: (s) => x(s).hsplit(sections(s)),
  vsplit: (s) => x(s).vsplit(sections(s)),
  dsplit: (s) => x(s).dsplit(sections(s)),
  ravel: (s) => x(s).ravel(),
  unravel_index: (s) => {
    const shape = argument(s, 0, "shape")!;
    return x(s).unravelIndex(Array.isArray(shape) ? numbersOf(shape) : numberOf(shape));
  },
  reshape: (s) => x(s).reshape(sizes(s, "shape")),
  reshape_as: (s) => x(s).reshapeAs(tensorOf(s.args[0])),
  view,
  view_as: (s) => x(s).viewAs(tensorOf(s.args[0])),
  atleast_1d: each(pta.atleast1d),
  atleast_2d: each(pta.atleast2d),
  atleast_3d: each(pta.atleast3d),
  flatten: (s) => x(s).flatten(number(s, 0, "start_dim", 0), number(s, 1, "end_dim", -1)),
  unflatten: (s) => x(s).unflatten(number(s, 0, "dim"), numbersOf(argument(s, 1, "sizes"))),
  column_stack: (s) => pta.columnStack(list(s.input)),
  stack: (s) => pta.stack(list(s.input), number(s, 0, "dim", 0)),
  hstack: (s) => pta.hstack(list(s.input)),
  vstack: (s) => pta.vstack(list(s.input)),
  dstack: (s) => pta.dstack(list(s.input)),
  cat: (s) => pta.cat(list(s.input), number(s, 0, "dim", 0)),
  _chunk_cat: (s) => pta.chunkCat(list(s.input), number(s, 0, "dim"), number(s, 1, "num_chunks")),
  unbind,
  unbind_copy: copied(unbind),
  unfold,
  unfold_copy: copied(unfold),
  movedim: (s) =>
    x(s).movedim(dimsOf(argument(s, 0, "source"))!, dimsOf(argument(s, 1, "destination"))!),
  repeat: (s) => x(s).repeat(sizes(s, "repeats")),
  repeat_interleave: (s) => {
    const repeats = argument(s, 0, "repeats")!, dim = argument(s, 1, "dim");
    return x(s).repeatInterleave(
      repeats instanceof Tensor ? repeats : numberOf(repeats),
      dim == null ? undefined : numberOf(dim),
    );
  },
  tile: (s) => x(s).tile(sizes(s, "dims")),
  squeeze,
  squeeze_copy: copied(squeeze),
  unsqueeze,
  unsqueeze_copy: copied(unsqueeze),
  transpose,
  transpose_copy: copied(transpose),
  T: (s) => x(s).T,
  H: (s) => x(s).H,
  mT: (s) => x(s).mT,
  mH: (s) => x(s).mH,
  t: (s) => x(s).t(),
  t_copy: copied((s) => x(s).t()),
  tril: (s) => x(s).tril(number(s, 0, "diagonal", 0)),
  triu: (s) => x(s).triu(number(s, 0, "diagonal", 0)),
  constant_pad_nd: (s) => x(s).pad(shapeOf(argument(s, 0, "pad")!), number(s, 1, "value", 0)),
};

/** Names left out, and why. */
export const movementReasons: Record<string, string> = {
  as_strided: "addresses raw storage, which a lazy graph node does not have",
  as_strided_copy: "addresses raw storage, which a lazy graph node does not have",
  as_strided_scatter: "addresses raw storage, which a lazy graph node does not have",
  resize_as_: "changes the size of storage in place; tensors here keep their shape",
  resize_: "changes the size of storage in place; tensors here keep their shape",
};
