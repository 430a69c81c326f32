/** Results with some elements replaced or accumulated. */
import { ArrangeTensor } from "./arrange.ts";

/** Results with some elements replaced or accumulated. */
export abstract class WriteTensor extends ArrangeTensor {}
