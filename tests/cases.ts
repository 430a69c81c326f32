/** Every primitive and every method of tensors, each beside a direct formula on plain arrays: the rows of all subjects. */
import type { Case } from "./case.ts";
import { elementwiseCases } from "./elementwise_cases.ts";
import { movementCases } from "./movement_cases.ts";
import { primitiveCases } from "./primitive_cases.ts";
import { productCases } from "./product_cases.ts";
import { reductionCases } from "./reduction_cases.ts";

/** All rows. */
export const cases: readonly Case[] = [
  ...Object.values(primitiveCases),
  ...elementwiseCases,
  ...reductionCases,
  ...movementCases,
  ...productCases,
];

/** Methods that neither a row nor a golden adapter calls: the test file that proves each, or why it computes nothing. */
export const exceptions: Readonly<Record<string, string>> = {
  constructor: "made by every row",
  node: "not for users",
  keepGrad: "not for users",
  describe: "the text of errors",
  shape: "read by every assertion",
  device: "read by every assertion",
  numel: "read by every assertion",
  toString: "called by String(x) in tiny_test.ts, among others",
  withGradient: "softmax is made by it",
  realize: "lifetime_test.ts",
  isContiguous: "views_test.ts",
  requiresGrad: "grad_test.ts",
  requiresGrad_: "grad_test.ts",
  isLeaf: "grad_test.ts",
  grad: "grad_test.ts",
  backward: "grad_test.ts",
  toArray: "tiny_test.ts",
  assign: "assign_test.ts",
  copy_: "tiny_test.ts",
  fill_: "tiny_test.ts",
  dispose: "lifetime_test.ts",
  allReduce: "fake_comm_test.ts",
  isFloatingPoint: "dtype_test.ts",
  maskedFill_: "write_test.ts",
  maskedScatter_: "write_test.ts",
  scatter_: "write_test.ts",
  scatterAdd_: "write_test.ts",
  indexAdd_: "write_test.ts",
  indexCopy_: "write_test.ts",
  indexFill_: "write_test.ts",
  indexPut_: "write_test.ts",
  bernoulli_: "random_test.ts",
  random_: "random_test.ts",
  ger: "aliases_test.ts",
  inverse: "aliases_test.ts",
  moveaxis: "aliases_test.ts",
  swapaxes: "aliases_test.ts",
  swapdims: "aliases_test.ts",
};
