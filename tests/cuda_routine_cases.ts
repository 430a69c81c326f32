/** Calls of every routine that the CUDA backend has kernels for, with data and, by plain loops, results. */
import { type RoutineCase, RoutineCases } from "./cuda_routine_case.ts";
import { float8Cases } from "./cuda_routine_cases_float8.ts";
import { scatterCases, sortCases } from "./cuda_routine_cases_places.ts";
import { matmulCases } from "./cuda_routine_cases_products.ts";
import { scanCases } from "./cuda_routine_cases_scans.ts";
import { convolutionCases, poolCases, windowCases } from "./cuda_routine_cases_windows.ts";

let made: RoutineCases | undefined;

/** All cases; made once. */
export function routineCases(): readonly RoutineCase[] {
  if (made === undefined) {
    made = new RoutineCases();
    matmulCases(made);
    convolutionCases(made);
    poolCases(made);
    scanCases(made);
    sortCases(made);
    scatterCases(made);
    float8Cases(made);
    windowCases(made);
  }
  return made.all;
}
