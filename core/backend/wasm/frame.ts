/** Where code is being written: the loops that are open, and which part of the vector axis. */
import type { Code, Local } from "./assembler.ts";
import { i32, i32x4 } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import type { Plan } from "./lower_plan.ts";
import type { Limit, Spot } from "./machine.ts";

/** One loop that is open, or a position on it that is fixed. */
export interface Level {
  readonly list: Code[];
  readonly inits: Code[];
  readonly steps: Code[];
  /** The running index, or a fixed one. */
  readonly at: Local | undefined;
  readonly fixed: number;
  /** Elements that one iteration steps over. */
  readonly step: number;
  readonly startsAtZero: boolean;
  readonly memo: Map<string, Code>;
  readonly pointers: Map<string, Spot>;
}

/** Which part of the axis is being written: how many vectors, and how much of the last one is real. */
export interface Variant {
  readonly copies: number;
  readonly limit: Limit;
}

/** `pointer + bytes`. */
export const plus = (pointer: Code, bytes: number): Code =>
  bytes === 0 ? pointer : i32.add(pointer, i32.const(bytes));

/** `a * n`. */
export const times = (a: Code, n: number): Code => n === 1 ? a : i32.mul(a, i32.const(n));

/** A loop just opened, or a fixed position of one. */
export function newLevel(
  level: Pick<Level, "list" | "at" | "fixed" | "step" | "startsAtZero">,
): Level {
  return { ...level, inits: [], steps: [], memo: new Map(), pointers: new Map() };
}

/** The loops that are open. */
export class Frame {
  /** The code outside all loops, then the open loops from the outermost. */
  readonly levels: Level[] = [];
  /** The part of the axis that is being written. */
  variant: Variant = { copies: 1, limit: undefined };
  /** The pass over the row that is being written. */
  stage = 0;
  /** Address of this point's values in scratch memory. */
  scratch: Local | undefined;

  constructor(readonly kit: Kit, readonly plan: Plan) {}

  /** The innermost open loop. */
  get inner(): Level {
    return this.levels[this.levels.length - 1];
  }

  /** `inner`, with `variant` while it runs. */
  as(variant: Variant, inner: () => void): () => void {
    return () => {
      const saved = this.variant;
      this.variant = variant;
      inner();
      this.variant = saved;
    };
  }

  /** How many lanes of vector `u` are real. */
  limit(u: number): Limit {
    return u === this.variant.copies - 1 ? this.variant.limit : undefined;
  }

  /** All ones in the real lanes. */
  mask(limit: Exclude<Limit, undefined>): Code {
    const { kit } = this;
    if (typeof limit === "number") {
      const lane = (l: number) => l < limit ? -1 : 0;
      return kit.lanes(lane(0), lane(1), lane(2), lane(3));
    }
    return this.once(
      this.plan.axis,
      "mask",
      () => kit.vec(i32x4.ltS(kit.lanes(0, 1, 2, 3), i32x4.splat(limit))),
    );
  }

  /** Runs `make` in loop `d` once for each iteration of it, however often it is asked for. */
  once(d: number, key: string, make: () => Code): Code {
    const level = this.levels[d + 1];
    let code = level.memo.get(key);
    if (code === undefined) {
      this.kit.into(level.list, () => code = make());
      level.memo.set(key, code!);
    }
    return code!;
  }
}
