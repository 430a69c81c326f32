/** Running reductions. */
import { StatisticsTensor } from "./statistics.ts";

/** Running reductions. */
export abstract class ScanTensor extends StatisticsTensor {}
