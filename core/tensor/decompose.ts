/** Factorisations and what is solved with them. */
import { ProductsTensor } from "./products.ts";

/** Factorisations and what is solved with them. */
export abstract class DecomposeTensor extends ProductsTensor {}
