/** Helper functions of generated modules for what neither wasm nor `Math` has. */
import type { FuncRef, ValueType } from "./assembler.ts";
import { call, f64, get, i32, i64, ifElse, ret, seq, set, whileLoop } from "./instructions.ts";
import type { Kit } from "./kit.ts";

/** `x mod y` of float64 with the sign of `y`, exact, as a helper function. */
export function remainder64(k: Kit): FuncRef {
  return k.helper("remainder64", ["f64", "f64"], ["f64"], (f) => {
    const x = get(0), y = get(1), r = f.local("f64"), d = f.local("f64"), s = f.local("f64");
    const abs = f64.abs;
    f.emit(
      ifElse(
        i32.or(
          i32.eqz(f64.lt(abs(x), f64.const(Infinity))),
          i32.or(f64.ne(y, y), f64.eq(y, f64.const(0))),
        ),
        seq(f64.const(NaN), ret),
      ),
      set(r, abs(x)),
      set(d, abs(y)),
      // Subtract the largest d * 2^n that fits, over and over: every step is exact.
      ifElse(
        f64.lt(get(d), f64.const(Infinity)),
        whileLoop(
          f64.ge(get(r), get(d)),
          set(s, get(d)),
          // Two binades at a time would overshoot; powers of two are exact while s stays finite.
          whileLoop(
            f64.le(get(s), f64.mul(get(r), f64.const(2 ** -33))),
            set(s, f64.mul(get(s), f64.const(2 ** 32))),
          ),
          whileLoop(
            f64.le(get(s), f64.mul(get(r), f64.const(0.5))),
            set(s, f64.mul(get(s), f64.const(2))),
          ),
          set(r, f64.sub(get(r), get(s))),
        ),
      ),
      set(r, f64.copysign(get(r), x)),
      ifElse(
        i32.and(
          f64.ne(get(r), f64.const(0)),
          i32.ne(f64.lt(get(r), f64.const(0)), f64.lt(y, f64.const(0))),
        ),
        set(r, f64.add(get(r), y)),
      ),
      get(r),
    );
  });
}

/** erf of float64: the Maclaurin series inside, a continued fraction (Abramowitz and Stegun 7.1.14) outside. */
export function erf64(k: Kit): FuncRef {
  return k.helper("erf64", ["f64"], ["f64"], (f) => {
    const x = get(0),
      a = f.local("f64"),
      term = f.local("f64"),
      sum = f.local("f64"),
      n = f.local("f64");
    const A = get(a), one = f64.const(1);
    f.emit(
      set(a, f64.abs(x)),
      ifElse(f64.gt(A, f64.const(6)), seq(f64.copysign(one, x), ret)),
      ifElse(
        f64.lt(A, f64.const(2.5)),
        seq(
          set(term, x),
          set(sum, x),
          set(n, one),
          whileLoop(
            f64.gt(f64.abs(get(term)), f64.mul(f64.const(1e-18), f64.abs(get(sum)))),
            set(term, f64.div(f64.mul(get(term), f64.neg(f64.mul(x, x))), get(n))),
            set(
              sum,
              f64.add(
                get(sum),
                f64.div(get(term), f64.add(f64.mul(f64.const(2), get(n)), one)),
              ),
            ),
            set(n, f64.add(get(n), one)),
          ),
          f64.mul(f64.const(2 / Math.sqrt(Math.PI)), get(sum)),
          ret,
        ),
      ),
      set(sum, A),
      set(n, f64.const(60)),
      whileLoop(
        f64.gt(get(n), f64.const(0)),
        set(sum, f64.add(A, f64.div(f64.mul(get(n), f64.const(0.5)), get(sum)))),
        set(n, f64.sub(get(n), one)),
      ),
      f64.copysign(
        f64.sub(
          one,
          f64.div(
            call(k.math("exp"), f64.neg(f64.mul(A, A))),
            f64.mul(f64.const(Math.sqrt(Math.PI)), get(sum)),
          ),
        ),
        x,
      ),
    );
  });
}

/** First word of Philox 4x32-10; see `core/rng.ts`. */
export function philox32(k: Kit): FuncRef {
  const params: ValueType[] = ["i32", "i32", "i32", "i32"];
  return k.helper("philox32", params, ["i32"], (f) => {
    const [c0, key0, key1, c1] = [0, 1, 2, 3], c2 = f.local("i32"), c3 = f.local("i32");
    const round = f.local("i32"), p0 = f.local("i64"), p1 = f.local("i64");
    const product = (a: number, c: number) => i64.mul(i64.const(BigInt(a)), i64.extendI32U(get(c)));
    const high = (p: number) => i32.wrapI64(i64.shrU(get(p), i64.const(32n)));
    f.emit(
      whileLoop(
        i32.ltU(get(round), i32.const(10)),
        set(p0, product(0xd2511f53, c0)),
        set(p1, product(0xcd9e8d57, c2)),
        set(c0, i32.xor(i32.xor(high(p1), get(c1)), get(key0))),
        set(c1, i32.wrapI64(get(p1))),
        set(c2, i32.xor(i32.xor(high(p0), get(c3)), get(key1))),
        set(c3, i32.wrapI64(get(p0))),
        set(key0, i32.add(get(key0), i32.const(0x9e3779b9))),
        set(key1, i32.add(get(key1), i32.const(0xbb67ae85))),
        set(round, i32.add(get(round), i32.const(1))),
      ),
      get(c0),
    );
  });
}
