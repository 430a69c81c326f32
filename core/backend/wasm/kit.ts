/** What every part of the code generator writes into: a module, its `run` function, and the list of code that is open now. */
import {
  type Code,
  type Func,
  type FuncRef,
  type Local,
  ModuleBuilder,
  type ValueType,
} from "./assembler.ts";
import { f32x4, f64x2, get, i32x4, set } from "./instructions.ts";

/** Emission context of one kernel. */
export class Kit {
  /** The module being built. */
  readonly module = new ModuleBuilder();
  /** Its only export. */
  readonly run: Func;
  /** Code before all loops. */
  readonly prologue: Code[] = [];
  /** Where statements go now. */
  out: Code[] = this.prologue;
  readonly #constants = new Map<string, Local>();
  readonly #helpers = new Map<string, Func>();

  /** Starts a module whose `run` has `params` parameters, all i32. */
  constructor(params: number) {
    this.run = this.module.func(Array<ValueType>(params).fill("i32"), [], "run");
  }

  /** Computes `code` now, into a new local; returns the read of it, which may be repeated. */
  let(type: ValueType, code: Code): Code {
    const local = this.run.local(type);
    this.out.push(set(local, code));
    return get(local);
  }

  /** A vector computed now. */
  vec(code: Code): Code {
    return this.let("v128", code);
  }

  // V8 rebuilds a vector constant at each use, so constants live in locals that are set before the loops.
  #constant(key: string, code: Code): Code {
    let local = this.#constants.get(key);
    if (local === undefined) {
      this.#constants.set(key, local = this.run.local("v128"));
      this.prologue.push(set(local, code));
    }
    return get(local);
  }

  /** Four times the float32 `x`. */
  f(x: number): Code {
    return this.#constant(`f${Object.is(x, -0) ? "-0" : x}`, f32x4.const(x));
  }

  /** Twice the float64 `x`. */
  d(x: number): Code {
    return this.#constant(`d${x}`, f64x2.const(x));
  }

  /** Four times the int32 `n`. */
  i(n: number): Code {
    return this.#constant(`i${n | 0}`, i32x4.const(n));
  }

  /** Four int32 lanes. */
  lanes(a: number, b: number, c: number, d: number): Code {
    return this.#constant(`l${[a, b, c, d]}`, i32x4.lanes(a, b, c, d));
  }

  /** The helper function `name` of this module, made when first asked for. */
  helper(
    name: string,
    params: readonly ValueType[],
    results: readonly ValueType[],
    body: (f: Func) => void,
  ): FuncRef {
    let f = this.#helpers.get(name);
    if (f === undefined) {
      f = this.module.func(params, results);
      this.#helpers.set(name, f);
      body(f);
    }
    return f;
  }

  /** The imported function of `Math` with this name. */
  math(name: string, arity: 1 | 2 = 1): FuncRef {
    return this.module.import(name, Array<ValueType>(arity).fill("f64"), ["f64"]);
  }

  /** Runs `body` with statements going to `list`. */
  into(list: Code[], body: () => void): void {
    const saved = this.out;
    this.out = list;
    body();
    this.out = saved;
  }
}
