/** Special functions: gamma, Bessel, error functions, orthogonal polynomials. */
import { ElementaryTensor } from "./elementary.ts";

/** Special functions: gamma, Bessel, error functions, orthogonal polynomials. */
export abstract class SpecialTensor extends ElementaryTensor {}
