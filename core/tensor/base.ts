/** The foot of the tensor ladder: fields, and the single door through which operations make tensors. */
import type { HostArray } from "../dtype.ts";
import { codecs, type DType, dtypes, isFloat, promote } from "../dtype.ts";
import { meaning } from "../meaning.ts";
import {
  constNode,
  emptyNode,
  makeNode,
  type Movement,
  type Node,
  opNode,
  resultDtype,
  viewParts,
} from "../node.ts";
import { type OpName, ops } from "../ops.ts";
import { activeRecorder, realizeNodes } from "../realize.ts";
import { broadcastShapes, isContiguous, numel, type Shape } from "../shape.ts";
import { shapeText } from "../shape.ts";
import { scopeOwn } from "../scope.ts";
import { Storage } from "../storage.ts";
import type { Tensor } from "./tensor.ts";

/** A tensor or a number; a number takes the dtype of the tensor it meets. */
export type Numeric = Tensor | number;

let make: (node: Node) => Tensor;

/** Tells this module how to make the public class, which stands at the other end of the ladder. */
export function setMaker(maker: (node: Node) => Tensor): void {
  make = maker;
}

/** Wraps a node as a tensor. */
export function wrap(node: Node): Tensor {
  return make(node);
}

/** A node for data that is already in `storage`. */
export function storageNode(storage: Storage, shape: Shape, needsGrad = false): Node {
  const node = makeNode("buffer", null, [], shape, storage.dtype, storage.device, needsGrad);
  node.storage = storage;
  node.version = storage.version;
  return node;
}

/** A node for host data, copied to the device now. */
export function hostNode(data: HostArray, shape: Shape, dtype: DType, device: string): Node {
  const storage = Storage.allocate(device, dtype, data.length);
  storage.backend.write(storage.buffer, data);
  const node = storageNode(storage, shape);
  const recorder = activeRecorder();
  if (recorder !== undefined) recorder.adopt(storage);
  else scopeOwn(storage);
  return node;
}

/** A view of `parent` given by strides over its base. */
export function viewNode(
  parent: Node,
  shape: Shape,
  offset: number,
  strides: readonly number[],
  movement: Movement,
): Node {
  if (parent.kind === "const") {
    return constNode(parent.arg.value, shape, parent.dtype, parent.device);
  }
  const stops = movement.kind === "alias" && movement.stop;
  if (numel(shape) === 0) {
    return emptyNode(0, shape, parent.dtype, parent.device, stops ? [] : [parent]);
  }
  const { base } = viewParts(parent);
  return makeNode(
    "view",
    { offset, strides, movement, parent },
    [base],
    shape,
    parent.dtype,
    parent.device,
    parent.needsGrad && !stops,
  );
}

/** Shows a node at a larger shape by repeating size-1 dimensions. The shape must be one it broadcasts to. */
export function expandNode(node: Node, shape: Shape): Node {
  if (node.shape.length === shape.length && node.shape.every((s, d) => s === shape[d])) return node;
  const { offset, strides } = viewParts(node);
  const lead = shape.length - node.shape.length;
  const wide = shape.map((size, d) =>
    d < lead || (node.shape[d - lead] === 1 && size !== 1) ? 0 : strides[d - lead]
  );
  return viewNode(node, shape, offset, wide, { kind: "expand" });
}

/** A copy of a node in row-major order: the identity as a kernel. */
export function copyNode(node: Node): Node {
  return opNode("cast", [node], node.dtype);
}

/** Dtype of a number beside a tensor: a fraction turns integers into float32, anything turns bool into int64. */
function numberDtype(x: number, beside: DType): DType {
  if (isFloat(beside)) return beside;
  if (!Number.isInteger(x)) return "float32";
  return beside === "bool" ? "int64" : beside;
}

const kindRank = { bool: 0, int: 1, float: 2 } as const;

/** PyTorch's promotion of two operands: a 0-d tensor only counts when it brings a higher kind. */
function promoteNodes(a: Node, b: Node): DType {
  const ka = kindRank[dtypes[a.dtype].kind], kb = kindRank[dtypes[b.dtype].kind];
  if (a.shape.length === 0 && b.shape.length > 0 && ka <= kb) return b.dtype;
  if (b.shape.length === 0 && a.shape.length > 0 && kb <= ka) return a.dtype;
  return promote(a.dtype, b.dtype);
}

/** Casts a node, or returns it when it has the dtype already. */
export function castNode(node: Node, dtype: DType): Node {
  if (node.dtype === dtype) return node;
  if (node.kind === "const") {
    const value = meaning.cast(dtype, node.arg.value);
    return constNode(value, node.shape, dtype, node.device);
  }
  return opNode("cast", [node], dtype);
}

/** Accepts only operands of the kinds that the primitive takes. */
function checkKind(op: OpName, dtype: DType, action: string): void {
  const { kind } = dtypes[dtype];
  const wanted = ops[op].kinds;
  if (wanted === "integral" && kind === "float") {
    throw new TypeError(`Cannot ${action} ${dtype} tensors: integers or bool are needed`);
  }
}

/** A primitive of nodes of one shape and dtype, with constants folded. */
export function foldedOp(op: OpName, src: readonly Node[], dtype: DType): Node {
  if (op !== "randomBits" && src.every((s) => s.kind === "const")) {
    const value = meaning[op](dtype, ...src.map((s) => (s.arg as { value: number }).value));
    const { shape, device } = src[src.length - 1];
    return constNode(
      codecs[dtype].decode(dtype === "bfloat16" ? codecs[dtype].encode(value) : value),
      shape,
      dtype,
      device,
    );
  }
  const same = unchanged(op, src);
  return same !== undefined && !memoryOf(same) ? same : opNode(op, src, dtype);
}

/** The source that a primitive gives back as it is, if it is plain that it does. */
function unchanged(op: OpName, src: readonly Node[]): Node | undefined {
  const is = (node: Node, value: number) => node.kind === "const" && node.arg.value === value;
  if (op === "mul" && is(src[1], 1)) return src[0];
  if (op === "mul" && is(src[0], 1)) return src[1];
  if (op === "div" && is(src[1], 1)) return src[0];
  if (op === "sub" && is(src[1], 0)) return src[0];
  return undefined;
}

/** Whether a node shows memory that may be changed in place, so that a result must not share it. */
function memoryOf(node: Node): boolean {
  const { base } = viewParts(node);
  return base.storage !== undefined || base.kind === "assign";
}

/** Fields of a tensor and what every kind of operation needs. */
export abstract class TensorBase {
  #node: Node;

  /** Wraps a node; users make tensors with `tensor`, `zeros` and their like. */
  constructor(node: Node) {
    this.#node = node;
  }

  /** Graph node that holds the value; changes when the tensor is changed in place. Internal. */
  get node(): Node {
    const node = this.#node;
    if (node.kind === "assign" && node.storage !== undefined) {
      // The write has happened: a plain leaf takes over, so that graphs do not chain from step to step.
      this.#node = storageNode(node.storage, node.shape, node.needsGrad);
      this.#node.version = node.version;
      this.#node.leaf = node.leaf;
    }
    return this.#node;
  }
  set node(node: Node) {
    this.#node = node;
  }

  /** Sizes of the dimensions. */
  get shape(): Shape {
    return this.node.shape;
  }

  /** Element type. */
  get dtype(): DType {
    return this.node.dtype;
  }

  /** Name of the device. */
  get device(): string {
    return this.node.device;
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.node.shape.length;
  }

  /** Number of elements. */
  get numel(): number {
    return numel(this.node.shape);
  }

  /** Computes the value now, if it has not been computed. */
  realize(): this {
    realizeNodes([this.node]);
    return this;
  }

  /** `[2, 3] float32 on cpu`, as messages describe tensors. */
  describe(): string {
    return `${shapeText(this.shape)} ${this.dtype} on ${this.device}`;
  }

  /** The node of an operand beside this tensor. */
  protected operand(x: Numeric, action: string): Node {
    if (typeof x === "number") {
      return constNode(x, [], numberDtype(x, this.dtype), this.device);
    }
    if (!(x instanceof TensorBase)) {
      throw new TypeError(
        `Cannot ${action} a tensor and ${String(x)}: a tensor or a number is needed`,
      );
    }
    if (x.device !== this.device && x.node.kind !== "const") {
      throw new TypeError(
        `Cannot ${action} tensors on ${this.device} and ${x.device}: move one with to("${this.device}")`,
      );
    }
    return x.node;
  }

  /** A primitive of this tensor alone; integers become float32 where the primitive is of floats. */
  protected unary(op: OpName, action: string = op): Tensor {
    checkKind(op, this.dtype, action);
    const dtype = ops[op].kinds === "float" && !isFloat(this.dtype) ? "float32" : this.dtype;
    return wrap(foldedOp(op, [castNode(this.node, dtype)], dtype));
  }

  /** A primitive of this tensor and another, broadcast and promoted. */
  protected binary(
    op: OpName,
    x: Numeric,
    action: string = op,
    options: { swap?: boolean; float?: boolean } = {},
  ): Tensor {
    const a = this.node, b = this.operand(x, action);
    const shape = broadcastShapes(a.shape, b.shape, action);
    let dtype = typeof x === "number" ? promoteNumber(a.dtype, b.dtype) : promoteNodes(a, b);
    if ((options.float || ops[op].kinds === "float") && !isFloat(dtype)) dtype = "float32";
    checkKind(op, dtype, action);
    const both = [a, b].map((n) => expandNode(castNode(n, dtype), shape));
    if (options.swap) both.reverse();
    return wrap(foldedOp(op, both, resultDtype(op, [dtype, dtype])));
  }

  /** Another view of the same data. */
  protected viewed(
    shape: Shape,
    offset: number,
    strides: readonly number[],
    movement: Movement,
  ): Tensor {
    return wrap(viewNode(this.node, shape, offset, strides, movement));
  }

  /** Whether the elements lie in row-major order without gaps. */
  isContiguous(): boolean {
    return isContiguous(this.shape, viewParts(this.node).strides);
  }
}

function promoteNumber(tensor: DType, number: DType): DType {
  return dtypes[tensor].kind === dtypes[number].kind ? tensor : promote(tensor, number);
}

/**
 * `condition ? a : b` for each element, broadcast together; also a method of tensors.
 * @throws {TypeError} When the condition is not bool
 */
export function whereNodes(condition: Node, a: Node, b: Node, dtype: DType): Node {
  if (condition.dtype !== "bool") {
    throw new TypeError(`Cannot choose by a ${condition.dtype} condition: it must be bool`);
  }
  const shape = broadcastShapes(
    broadcastShapes(condition.shape, a.shape, "choose between"),
    b.shape,
    "choose between",
  );
  const src = [condition, castNode(a, dtype), castNode(b, dtype)].map((n) => expandNode(n, shape));
  return foldedOp("where", src, dtype);
}

/** The dtype of a choice between two operands, either of which may be a number. */
export function choiceDtype(a: Numeric, b: Numeric): DType {
  if (typeof a === "number" && typeof b === "number") return "float32";
  if (typeof a === "number") {
    return promoteNumber((b as Tensor).dtype, numberDtype(a, (b as Tensor).dtype));
  }
  if (typeof b === "number") return promoteNumber(a.dtype, numberDtype(b, a.dtype));
  return promoteNodes(a.node, b.node);
}
