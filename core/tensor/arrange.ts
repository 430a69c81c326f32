/** Movement methods beyond the basic views. */
import { SortingTensor } from "./sorting.ts";

/** Movement methods beyond the basic views. */
export abstract class ArrangeTensor extends SortingTensor {}
