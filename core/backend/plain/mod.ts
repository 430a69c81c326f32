/** Plain loops for every routine that is not a matrix product or a collective: the reference, and what a backend without its own uses. */
import type {
  Operand,
  PlainRoutineName,
  RoutineCall,
  RoutineLaunch,
  RoutineParams,
} from "../../device.ts";
import type { Buffer } from "../../device.ts";
import { alignments } from "./alignments.ts";
import { attention, attentionGradient } from "./attention.ts";
import { convolution, convolutionInput, convolutionWeight } from "./convolution.ts";
import { cholesky, lu, pivotOrder, triangularSolve } from "./factor.ts";
import { symmetricEigen } from "./factor_eigen.ts";
import { matmulEpilogue } from "./epilogue.ts";
import { matmulFloat8, quantizeFloat8 } from "./float8.ts";
import { householder, reflectors } from "./factor_qr.ts";
import { svd } from "./factor_svd.ts";
import { cofactor, matrixExp } from "./matrix_functions.ts";
import { batchNorm, batchNormGradient } from "./norm.ts";
import { maxPool, poolScatter } from "./pool.ts";
import { recurrence, scan } from "./scan.ts";
import { scatterReduce } from "./scatter.ts";
import { argsort, search } from "./sort.ts";

/** A contiguous operand (attention's inputs are strided) and its elements. */
export interface PlainOperand extends Operand {
  /** All elements of its buffer, row-major; numbers whatever the dtype. */
  readonly data: { readonly length: number; [index: number]: number };
}

/** A routine as loops: operands in the order of {@linkcode RoutineParams}, the result last. */
export type PlainRoutine<R extends PlainRoutineName> = (
  params: RoutineParams[R],
  operands: readonly PlainOperand[],
) => void;

const plainRoutines: { readonly [R in PlainRoutineName]: PlainRoutine<R> } = {
  convolution,
  convolutionInput,
  convolutionWeight,
  maxPool,
  poolScatter,
  scan,
  recurrence,
  argsort,
  search,
  scatterReduce,
  alignments,
  attention,
  attentionGradient,
  batchNorm,
  batchNormGradient,
  quantizeFloat8,
  matmulFloat8,
  matmulEpilogue,
  cholesky,
  lu,
  pivotOrder,
  triangularSolve,
  householder,
  reflectors,
  symmetricEigen,
  svd,
  matrixExp,
  cofactor,
};

/** What a backend does with a call. */
type Bound = (call: RoutineCall, buffers: readonly Buffer[]) => RoutineLaunch;

/** The rows of a backend's table of routines, each made from the plain loops. */
export function plainTable(
  bind: (
    name: PlainRoutineName,
    run: (params: RoutineParams[RoutineCall["name"]], operands: readonly PlainOperand[]) => void,
  ) => Bound,
): Record<PlainRoutineName, Bound> {
  const rows = Object.entries(plainRoutines).map(([name, run]) => [
    name,
    bind(name as PlainRoutineName, run as Parameters<typeof bind>[1]),
  ]);
  return Object.fromEntries(rows);
}
