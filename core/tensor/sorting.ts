/** Sorting, searching and counting. */
import { ScanTensor } from "./scan.ts";

/** Sorting, searching and counting. */
export abstract class SortingTensor extends ScanTensor {}
