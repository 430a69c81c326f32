/** Nodes of the lazy graph. A node is immutable but for `storage`, which says where its value lies once it has been computed. */
import { type DType, isFloat } from "./dtype.ts";
import type { Operand, RoutineName, RoutineParams } from "./device.ts";
import { type OpName, ops, type ReduceOp } from "./ops.ts";
import { contiguousStrides, numel, type Shape, type View } from "./shape.ts";
import type { Storage } from "./storage.ts";

/** The movement that made a view, as gradients undo it. */
export type Movement =
  | { readonly kind: "reshape" }
  | { readonly kind: "permute"; readonly dims: readonly number[] }
  | { readonly kind: "expand" }
  | { readonly kind: "slice"; readonly starts: Shape; readonly steps: Shape }
  | { readonly kind: "flip"; readonly dims: readonly number[] }
  /** Windows of `dim` at every `step`; the place in the window is a new last dimension. */
  | { readonly kind: "unfold"; readonly dim: number; readonly step: number }
  /** Elements whose place in the second of `dims` is `offset` beyond that in the first, as a new last dimension. */
  | {
    readonly kind: "diagonal";
    readonly offset: number;
    readonly dims: readonly [number, number];
  }
  | { readonly kind: "alias"; readonly stop: boolean }
  | { readonly kind: "custom"; readonly inputs: readonly Node[]; readonly rule: GradientRule };

/** Gradients of the inputs, given that of the output; undefined where none flows. */
export type GradientRule = (gradient: Node, output: Node) => readonly (Node | undefined)[];

/** A strided view and how it came about: `parent` may itself be a view. */
export interface ViewArg extends View {
  /** How it came about. */
  readonly movement: Movement;
  /** What was moved. */
  readonly parent: Node;
}

/** One of several results of a routine. */
export interface RoutineResult {
  /** Sizes of the dimensions. */
  readonly shape: Shape;
  /** Dtype of the elements. */
  readonly dtype: DType;
}

/** What each kind of node carries beside its sources. */
export interface NodeArgs {
  /** Data that exists. */
  readonly buffer: null;
  /** The same number everywhere. */
  readonly const: { readonly value: number };
  /** `0, 1, 2, ...` along a single dimension, int32. */
  readonly index: null;
  /** A scalar primitive of sources of one shape. */
  readonly op: { readonly op: OpName };
  /** Over `dims`, which stay with size 1. */
  readonly reduce: { readonly op: ReduceOp; readonly dims: readonly number[] };
  /** A strided view of the row-major layout of the source, which is never a view itself. */
  readonly view: ViewArg;
  /** Sources base and index (same rank): `out[i] = base[i with i[dim] = index[i]]`. */
  readonly gather: { readonly dim: number };
  /** Sources base, index, values: a copy of base with `values[i]` added at `i with i[dim] = index[i]`. */
  readonly scatter: { readonly dim: number };
  /** Sources laid into one result at `starts`, one list of coordinates each; `fill` elsewhere. */
  readonly assemble: { readonly starts: readonly Shape[]; readonly fill: number };
  /** A named routine: its result, or one of several. */
  readonly routine: {
    readonly name: RoutineName;
    readonly params: RoutineParams[RoutineName];
    /** Which of several results. Nodes of equal sources that have the very same list of results come from one call. */
    readonly among?: { readonly results: readonly RoutineResult[]; readonly index: number };
  };
  /** Sources target and value: writes value over the storage of target. */
  readonly assign: null;
}

/** Kinds of node. */
export type NodeKind = keyof NodeArgs;

/** A node of one kind. */
export interface NodeOf<K extends NodeKind> {
  /** Larger than that of every source. */
  readonly id: number;
  /** What it computes. */
  readonly kind: K;
  /** What the kind needs to know beside the sources. */
  readonly arg: NodeArgs[K];
  /** What it is computed from. */
  readonly src: readonly Node[];
  /** Sizes of the dimensions. */
  readonly shape: Shape;
  /** Dtype of the elements. */
  readonly dtype: DType;
  /** Name of the device. */
  readonly device: string;
  /** Whether a gradient may be asked for through this node. */
  readonly needsGrad: boolean;
  /** Where the value lies, row-major from element 0, once it has been computed. */
  storage: Storage | undefined;
  /** Version of the storage that holds the value of this node; a later one holds another value. */
  version: number;
  /** For a leaf that collects gradients: the tensor that owns it. */
  leaf: object | undefined;
}

/** A node of any kind. */
export type Node = { [K in NodeKind]: NodeOf<K> }[NodeKind];

let nextId = 1;
let made: ((node: Node) => void) | undefined;

/** Has somebody told of every node that is made. */
export function onNode(listener: ((node: Node) => void) | undefined): void {
  made = listener;
}

let gradEnabled = true;

/** Whether operations are recorded for gradients. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/** Sets whether operations are recorded for gradients and returns what was set before. */
export function setGradEnabled(enabled: boolean): boolean {
  const before = gradEnabled;
  gradEnabled = enabled;
  return before;
}

/** Makes a node. A gradient can flow through it when a source lets it, recording is on and it holds floats. */
export function makeNode<K extends NodeKind>(
  kind: K,
  arg: NodeArgs[K],
  src: readonly Node[],
  shape: Shape,
  dtype: DType,
  device: string,
  needsGrad: boolean = gradEnabled && isFloat(dtype) && src.some((s) => s.needsGrad),
): Node {
  const node: NodeOf<K> = {
    id: nextId++,
    kind,
    arg,
    src,
    shape,
    dtype,
    device,
    needsGrad,
    storage: undefined,
    version: 0,
    leaf: undefined,
  };
  // The union of node kinds is exactly what this generic object is, but TypeScript cannot see it.
  made?.(node as unknown as Node);
  return node as unknown as Node;
}

/** The node `value` everywhere in `shape`. */
export function constNode(value: number, shape: Shape, dtype: DType, device: string): Node {
  return makeNode("const", { value }, [], shape, dtype, device, false);
}

/**
 * The node `value` everywhere, for a result that depends on no element of its sources because it or they have none. Where they ask for gradients it has a
 * history: they get zeros.
 */
export function emptyNode(
  value: number,
  shape: Shape,
  dtype: DType,
  device: string,
  src: readonly Node[],
): Node {
  const parent = constNode(value, shape, dtype, device);
  const inputs = gradEnabled && isFloat(dtype) ? src.filter((s) => s.needsGrad) : [];
  if (inputs.length === 0) return parent;
  const rule = () => inputs.map((s) => constNode(0, s.shape, s.dtype, s.device));
  const movement = { kind: "custom" as const, inputs, rule };
  const arg = { offset: 0, strides: contiguousStrides(shape), movement, parent };
  return makeNode("view", arg, [parent], shape, dtype, device, true);
}

/** A primitive of nodes that already have one shape; constants fold. */
export function opNode(op: OpName, src: readonly Node[], dtype: DType): Node {
  const { shape, device } = src[src.length - 1];
  if (numel(shape) === 0) return emptyNode(0, shape, dtype, device, src);
  return makeNode("op", { op }, src, shape, dtype, device);
}

/** Result dtype of a primitive whose operands are already promoted. */
export function resultDtype(op: OpName, operands: readonly DType[], given?: DType): DType {
  const rules: Record<(typeof ops)[OpName]["result"], () => DType> = {
    same: () => operands[0],
    bool: () => "bool",
    branch: () => operands[1],
    given: () => given ?? operands[0],
    int32: () => "int32",
  };
  return rules[ops[op].result]();
}

/** A node and how it is seen: a view's own strides over its base, else row-major strides over itself. */
export function viewParts(node: Node): { base: Node; offset: number; strides: readonly number[] } {
  return node.kind === "view" && node.storage === undefined
    ? { base: node.src[0], offset: node.arg.offset, strides: node.arg.strides }
    : { base: node, offset: 0, strides: contiguousStrides(node.shape) };
}

/** A node as a routine sees it: where its elements lie in the memory behind it. */
export function operandOf(node: Node): Operand {
  const { offset, strides } = viewParts(node);
  return { dtype: node.dtype, shape: node.shape, strides, offset };
}

/** Row-major memory of its own, as a routine sees it. */
export function rowMajor({ dtype, shape }: RoutineResult): Operand {
  return { dtype, shape, strides: contiguousStrides(shape), offset: 0 };
}
