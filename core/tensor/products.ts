/** Products of vectors, matrices and batches. */
import { WriteTensor } from "./write.ts";

/** Products of vectors, matrices and batches. */
export abstract class ProductsTensor extends WriteTensor {}
