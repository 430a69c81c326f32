/** The public tensor class: the end of the ladder, with data access, gradients and changes in place. */
import { codecs, type DType, dtypes, type HostArray, isFloat } from "../dtype.ts";
import { backward } from "../grad.ts";
import {
  constNode,
  isGradEnabled,
  makeNode,
  type Node,
  setGradEnabled,
  viewParts,
} from "../node.ts";
import { activeRecorder, checkFresh, realizeNodes } from "../realize.ts";
import { backendOf, deviceName } from "../runtime.ts";
import { scopeOwn } from "../scope.ts";
import { numel, sameShape, shapeText } from "../shape.ts";
import { castNode, copyNode, hostNode, setMaker, storageNode, viewNode, wrap } from "./base.ts";
import { DecomposeTensor } from "./decompose.ts";

/** Nested arrays of numbers, or a number for a scalar. */
export type Nested = number | Nested[];

/**
 * An n-dimensional array on a device. Operations return at once and are computed, fused, when a value is needed. Shape and dtype errors
 * are raised at the call.
 */
export class Tensor extends DecomposeTensor {
  #grad: Tensor | undefined;

  /** Whether `backward` collects a gradient in {@linkcode Tensor.grad}. Settable on leaves. */
  get requiresGrad(): boolean {
    return this.node.needsGrad;
  }
  set requiresGrad(value: boolean) {
    if (value === this.node.needsGrad) return;
    if (!this.isLeaf) {
      throw new Error("Cannot change requiresGrad of a computed tensor: use detach() for a leaf");
    }
    if (!isFloat(this.dtype)) {
      throw new TypeError(`Cannot require gradients of ${this.dtype}: only floats have them`);
    }
    this.realizeLeaf();
    this.node = storageNode(this.node.storage!, this.shape, value);
    this.node.leaf = value ? this : undefined;
  }

  /** Sets {@linkcode Tensor.requiresGrad} and returns this tensor. */
  requiresGrad_(value = true): this {
    this.requiresGrad = value;
    return this;
  }

  /** Whether this tensor has no gradient history. */
  get isLeaf(): boolean {
    return !this.node.needsGrad || this.node.leaf !== undefined;
  }

  /** The gradient that `backward` has collected. */
  get grad(): Tensor | undefined {
    return this.#grad;
  }
  set grad(value: Tensor | undefined) {
    const old = this.#grad?.node.storage;
    if (value !== undefined && !sameShape(value.shape, this.shape)) {
      throw new TypeError(
        `Cannot set a gradient of shape ${shapeText(value.shape)} on a tensor of shape ${
          shapeText(this.shape)
        }`,
      );
    }
    if (old !== undefined && old !== value?.node.storage) {
      // Somebody may still hold it, so the step scope or the garbage collector takes over.
      old.kept = false;
      scopeOwn(old);
    }
    this.#grad = value;
  }

  /** The gradient's storage is kept from now on. Internal. */
  keepGrad(): void {
    const storage = this.#grad?.node.storage;
    if (storage !== undefined) storage.kept = true;
  }

  /** Makes sure that the value lies in memory of its own, row-major. */
  protected realizeLeaf(): void {
    const own = this.node.kind === "view" && this.node.storage === undefined
      ? copyNode(this.node)
      : this.node;
    realizeNodes([own]);
    if (own !== this.node) this.node = own;
  }

  /**
   * Adds to the `grad` of every leaf that requires one. Lazy: gradients are computed with the next value that is asked for.
   * @param gradient Gradient of this tensor; 1 for a scalar
   * @throws {TypeError} When it is missing for a tensor that is no scalar, or has another shape
   */
  backward(gradient?: Tensor, options: { createGraph?: boolean } = {}): void {
    backward(this, gradient, options);
  }

  /** The same values without gradient history. */
  detach(): Tensor {
    if (!this.node.needsGrad) return this;
    const { offset, strides } = viewParts(this.node);
    return wrap(viewNode(this.node, this.shape, offset, strides, { kind: "alias", stop: true }));
  }

  /**
   * The same values with a gradient of their own: `rule` gets the gradient of this tensor and this tensor, and returns one gradient (or
   * undefined) for each input. The rule's operations are differentiable in turn.
   */
  withGradient(
    inputs: readonly Tensor[],
    rule: (gradient: Tensor, output: Tensor) => readonly (Tensor | undefined)[],
  ): Tensor {
    const { base, offset, strides } = viewParts(this.node);
    const nodes = inputs.map((t) => t.node);
    const movement = {
      kind: "custom" as const,
      inputs: nodes,
      rule: (g: Node, out: Node) => rule(wrap(g), wrap(out)).map((t) => t?.node),
    };
    const arg = { offset, strides, movement, parent: this.node };
    const needs = isFloat(this.dtype) && isGradEnabled() && nodes.some((n) => n.needsGrad);
    if (!needs) return this.detach();
    return wrap(makeNode("view", arg, [base], this.shape, this.dtype, this.device, true));
  }

  /** A cast to a dtype, a copy on a device, or both, the dtype last; another tensor stands for its device and dtype. */
  to(target: DType | (string & Record<never, never>) | Tensor, dtype?: DType): Tensor {
    if (target instanceof Tensor) return this.to(target.device, target.dtype);
    if (dtype !== undefined) return this.to(target).to(dtype);
    if (target in dtypes) return wrap(castNode(this.node, target as DType));
    const there = deviceName(target), home = this.device;
    if (there === home) return this;
    backendOf(there);
    const copy = wrap(hostNode(this.data(), this.shape, this.dtype, there));
    return copy.withGradient([this], (g) => [g.to(home)]);
  }
  /** Casts to bool: true where not zero. */
  bool(): Tensor {
    return this.dtype === "bool" ? this : this.ne(0);
  }
  /** Casts to float32. */
  float(): Tensor {
    return this.to("float32");
  }
  /** Casts to float64. */
  double(): Tensor {
    return this.to("float64");
  }
  /** Casts to int32. */
  int(): Tensor {
    return this.to("int32");
  }
  /** Casts to int64. */
  long(): Tensor {
    return this.to("int64");
  }
  /** A copy with memory of its own. */
  clone(): Tensor {
    return wrap(copyNode(this.node));
  }

  /** The elements in row-major order, copied to a host array; bfloat16 as raw bits. */
  data(): HostArray {
    const count = this.numel;
    if (count === 0) return dtypes[this.dtype].array(0);
    const node = this.node;
    activeRecorder()?.spoil("it reads a value back (item, data or toArray)");
    realizeNodes([node]);
    checkFresh(node);
    return node.storage!.backend.read(node.storage!.buffer, 0, count);
  }

  /**
   * The only element as a number.
   * @throws {TypeError} When there is not exactly one
   */
  item(): number {
    if (this.numel !== 1) {
      throw new TypeError(
        `Cannot take the item of ${shapeText(this.shape)}: it has ${this.numel} elements`,
      );
    }
    return codecs[this.dtype].decode(this.data()[0]);
  }

  /** The elements as nested arrays of numbers. */
  toArray(): Nested {
    const flat = Array.from(this.data() as ArrayLike<number | bigint>, codecs[this.dtype].decode);
    const nest = (depth: number, at: number): Nested => {
      if (depth === this.ndim) return flat[at];
      const step = numel(this.shape.slice(depth + 1));
      return Array.from({ length: this.shape[depth] }, (_, i) => nest(depth + 1, at + i * step));
    };
    return nest(0, 0);
  }

  /** Values and shape, long tensors shortened. */
  override toString(): string {
    const text = this.numel <= 64 ? JSON.stringify(this.toArray()) : "...";
    return `Tensor(${text}, shape ${shapeText(this.shape)}, ${this.dtype})`;
  }

  /** What `console.log` shows: no values, since showing must not compute. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Tensor ${this.describe()}`;
  }

  /**
   * Replaces the values in place, lazily: done when this tensor, or anything computed from it later, is realized.
   * @throws {TypeError} When shape or dtype differ
   */
  assign(value: Tensor): this {
    if (!sameShape(value.shape, this.shape) || value.dtype !== this.dtype) {
      throw new TypeError(
        `Cannot assign ${value.describe()} to ${this.describe()}: shape and dtype must be equal`,
      );
    }
    if (value.device !== this.device) {
      throw new TypeError(
        `Cannot assign ${value.describe()} to ${this.describe()}: devices differ`,
      );
    }
    if (this.node.leaf === undefined && this.node.needsGrad) {
      throw new Error("Cannot change a computed tensor in place while it is needed for gradients");
    }
    const { needsGrad, leaf } = this.node;
    if (this.node.kind !== "assign") this.realizeLeaf();
    const src = [this.node, value.node];
    this.node = makeNode("assign", null, src, this.shape, this.dtype, this.device, needsGrad);
    this.node.leaf = leaf;
    return this;
  }

  /**
   * Copies values in: from a tensor as {@linkcode Tensor.assign} does after a cast and broadcast, from host data at once.
   * @throws {TypeError} When the number of elements or the shape does not fit
   */
  copy_(source: Tensor | HostArray | readonly number[]): this {
    if (source instanceof Tensor) {
      const before = setGradEnabled(false);
      try {
        return this.assign(source.to(this.device).to(this.dtype).expand(this.shape).detach());
      } finally {
        setGradEnabled(before);
      }
    }
    if (source.length !== this.numel) {
      throw new TypeError(
        `Cannot copy ${source.length} elements into ${shapeText(this.shape)}: it has ${this.numel}`,
      );
    }
    this.realizeLeaf();
    const storage = this.node.storage!;
    storage.backend.write(storage.buffer, hostArray(source, this.dtype));
    storage.version++;
    const { needsGrad, leaf } = this.node;
    this.node = storageNode(storage, this.shape, needsGrad);
    this.node.leaf = leaf;
    return this;
  }

  /** Sets every element, lazily. */
  fill_(value: number): this {
    return this.copy_(wrap(constNode(value, this.shape, this.dtype, this.device)));
  }

  /** Sets every element to 0, lazily. */
  zero_(): this {
    return this.fill_(0);
  }

  /** Gives the memory back now; any later use is an error. */
  dispose(): void {
    this.node.storage?.free();
  }
  /** Same as {@linkcode Tensor.dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

setMaker((node) => new Tensor(node));

/** Host data as an array of the dtype. */
export function hostArray(source: HostArray | readonly number[], dtype: DType): HostArray {
  const out = dtypes[dtype].array(source.length);
  if (source.constructor === out.constructor && dtype !== "bool") return source as HostArray;
  const { encode } = codecs[dtype];
  for (let i = 0; i < source.length; i++) {
    (out as { [i: number]: number | bigint })[i] = encode(Number(source[i]));
  }
  return out;
}

/** A tensor that lasts and, by default, collects gradients: what modules are made of and optimizers change. */
export class Parameter extends Tensor {
  /** Takes the values of `data`, computed now. */
  constructor(data: Tensor, requiresGrad = true) {
    super(data.detach().node);
    this.realizeLeaf();
    const storage = this.node.storage!;
    storage.kept = true;
    this.node = storageNode(storage, this.shape);
    if (requiresGrad) this.requiresGrad = true;
  }
}
