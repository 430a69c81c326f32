/** The door from tensors to named routines. */
import type { PlainRoutineName, RoutineParams } from "../device.ts";
import { type DType, dtypes } from "../dtype.ts";
import { constNode, makeNode, type Node, type RoutineResult, viewParts } from "../node.ts";
import { backendOf } from "../runtime.ts";
import { isContiguous, numel, type Shape } from "../shape.ts";
import { castNode, copyNode, wrap } from "./base.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The result of a routine of contiguous operands, without a gradient: callers add one with `withGradient`. Half-precision results are
 * computed in float32, unless the backend's routine takes half-precision operands.
 *
 * @param name Which routine
 * @param params Its parameters
 * @param inputs Its operands but the last; int64 becomes int32 and half precision float32
 * @param shape Sizes of the result
 * @param dtype Dtype of the result
 * @returns A tensor on the device of the inputs
 * @throws {TypeError} When the inputs lie on different devices
 */
export function routine<R extends PlainRoutineName>(
  name: R,
  params: RoutineParams[R],
  inputs: readonly Tensor[],
  shape: Shape,
  dtype: DType,
): Tensor {
  const { device } = inputs[0];
  const other = inputs.find((x) => x.device !== device);
  if (other !== undefined) {
    throw new TypeError(
      `Cannot run ${name} on tensors on ${device} and ${other.device}: move one with to("${device}")`,
    );
  }
  if (numel(shape) === 0) return wrap(constNode(0, shape, dtype, device));
  const halves = backendOf(device).halfRoutines?.has(name) === true &&
    [dtype, ...inputs.map((x) => x.dtype)].filter(isHalf).every((d, _i, all) => d === all[0]);
  const plain: Partial<Record<DType, DType>> = {
    int64: "int32",
    ...(halves ? {} : { float16: "float32", bfloat16: "float32" }),
  };
  const src = inputs.map((x) => operandNode(x, plain[x.dtype] ?? x.dtype));
  const out = plain[dtype] ?? dtype;
  const node = makeNode("routine", { name, params }, src, shape, out, device, false);
  return wrap(castNode(node, dtype));
}

/**
 * The results of a routine that has several, without gradients. Operands and results are taken as they are, also strided ones and half precision: the
 * caller knows that the routine takes them.
 *
 * @param name Which routine
 * @param params Its parameters
 * @param inputs Its operands but the results, on one device
 * @param results Sizes and dtypes of the results, none of them empty
 * @returns A tensor for each result; one call computes all that are asked for together
 */
export function routineResults<R extends PlainRoutineName>(
  name: R,
  params: RoutineParams[R],
  inputs: readonly Tensor[],
  results: readonly RoutineResult[],
): Tensor[] {
  const src = inputs.map(({ node }) => node.kind === "const" ? copyNode(node) : node);
  return results.map(({ shape, dtype }, index) => {
    const arg = { name, params, among: { results, index } };
    return wrap(makeNode("routine", arg, src, shape, dtype, inputs[0].device, false));
  });
}

/** A tensor as routines take operands: of a dtype, and all of a row-major buffer. No gradient flows. */
export function operandNode(x: Tensor, dtype: DType): Node {
  const node = castNode(x.detach().node, dtype);
  return whole(node) ? node : copyNode(node);
}

const isHalf = (dtype: DType): boolean => dtypes[dtype].kind === "float" && dtypes[dtype].bytes < 4;

/** Whether a node is all of a row-major buffer, as loops over contiguous operands take it: a part of another one has an offset. */
function whole(node: Node): boolean {
  if (node.kind === "const") return false;
  const { base, strides } = viewParts(node);
  return isContiguous(node.shape, strides) && numel(base.shape) === numel(node.shape);
}
