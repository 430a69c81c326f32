/** Elementary functions, arithmetic and comparison beyond the primitives. */
import { LinalgTensor } from "./linalg.ts";

/** Elementary functions, arithmetic and comparison beyond the primitives. */
export abstract class ElementaryTensor extends LinalgTensor {}
