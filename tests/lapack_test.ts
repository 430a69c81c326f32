/** Factorisations by the system's LAPACK against the plain loops. */
import { assert, assertEquals } from "@std/assert";
import { lapackRoutines } from "../core/backend/wasm/lapack.ts";
import { cholesky, lu, triangularSolve } from "../core/backend/plain/factor.ts";
import { symmetricEigen } from "../core/backend/plain/factor_eigen.ts";
import { householder, reflectors } from "../core/backend/plain/factor_qr.ts";
import { svd } from "../core/backend/plain/factor_svd.ts";
import type { PlainOperand } from "../core/backend/plain/mod.ts";
import { type Lapack, openLapack } from "@pta/ffi";
import { closeNumbers } from "./assert.ts";

let lapack: Lapack | undefined, reason = "";
try {
  lapack = openLapack();
} catch (error) {
  reason = error instanceof Error
    ? error.message.split("\n").slice(1, 3).join("; ")
    : String(error);
}

function operand(shape: number[], value: (i: number) => number = () => 0): PlainOperand {
  const length = shape.reduce((a, b) => a * b, 1);
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  return {
    dtype: "float64",
    shape,
    strides,
    offset: 0,
    data: Float64Array.from({ length }, (_, i) => value(i)),
  };
}

/** Numbers without a pattern, in [-1, 1). */
function noise(shape: number[]): PlainOperand {
  let seed = 12345;
  return operand(shape, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
    return seed / 2 ** 31;
  });
}

/** `x x' + size`, positive definite. */
function definite(n: number, count: number): PlainOperand {
  const x = noise([count, n, n]).data;
  return operand([count, n, n], (at) => {
    const b = Math.floor(at / (n * n)), i = Math.floor(at / n) % n, j = at % n;
    let sum = i === j ? n : 0;
    for (let k = 0; k < n; k++) sum += x[(b * n + i) * n + k] * x[(b * n + j) * n + k];
    return sum;
  });
}

const array = (x: PlainOperand): number[] =>
  Array.from({ length: x.data.length }, (_, i) => x.data[i]);
const tight = { atol: 1e-10, rtol: 1e-9 };

/** Signs of vectors are free: each row of `length` with its largest element positive. */
function positiveRows(values: number[], length: number): number[] {
  return values.map((v, i) => {
    const row = values.slice(i - i % length, i - i % length + length);
    const top = row.reduce((a, b) => Math.abs(b) > Math.abs(a) + 1e-9 ? b : a, 0);
    return top < 0 ? -v : v;
  });
}
const columns = (values: number[], m: number, n: number): number[] =>
  values.map((_, i) => values[(i % m) * n + Math.floor(i / m)]);

const fast = lapackRoutines(() => lapack);
const n = 37;

/** Each case runs both ways and compares what is unique. */
const cases: Record<string, () => void> = {
  cholesky: () => {
    const a = definite(n, 2), [got, wanted] = [operand([2, n * n + 1]), operand([2, n * n + 1])];
    assert(fast.cholesky!({ action: "" }, [a, got]));
    cholesky({ action: "" }, [a, wanted]);
    closeNumbers(array(got), array(wanted), tight, "L");
  },
  lu: () => {
    for (const [m, k] of [[n, n], [n + 5, n], [n, n + 5]]) {
      const a = noise([2, m, k]), length = m * k + Math.min(m, k) + 1;
      const [got, wanted] = [operand([2, length]), operand([2, length])];
      const params = { pivot: true, action: "" };
      assert(fast.lu!(params, [a, got]));
      lu(params, [a, wanted]);
      closeNumbers(array(got), array(wanted), tight, `LU of ${m} by ${k}`);
    }
  },
  triangularSolve: () => {
    const a = definite(n, 2), b = noise([2, n, 3]);
    for (let bits = 0; bits < 8; bits++) {
      const params = { upper: !!(bits & 1), transpose: !!(bits & 2), unit: false };
      const [got, wanted] = [operand([2, n, 3]), operand([2, n, 3])];
      assert(fast.triangularSolve!(params, [a, b, got]));
      triangularSolve(params, [a, b, wanted]);
      closeNumbers(array(got), array(wanted), tight, JSON.stringify(params));
    }
    const small = operand([1, n, n], (i) => noise([1, n, n]).data[i] / n),
      params = {
        upper: true,
        transpose: true,
        unit: true,
      };
    const one = noise([1, n, 2]), [got, wanted] = [operand([1, n, 2]), operand([1, n, 2])];
    assert(fast.triangularSolve!(params, [small, one, got]));
    triangularSolve(params, [small, one, wanted]);
    closeNumbers(array(got), array(wanted), tight, "unit diagonal");
  },
  "householder and reflectors": () => {
    for (const [m, k] of [[n, n], [n + 9, n], [n, n + 9]]) {
      const a = noise([2, m, k]), p = Math.min(m, k), length = m * k + p;
      const [got, wanted] = [operand([2, length]), operand([2, length])];
      assert(fast.householder!({}, [a, got]));
      householder({}, [a, wanted]);
      closeNumbers(array(got), array(wanted), tight, `R of ${m} by ${k}`);
      const factors = operand(
        [2, m, k],
        (i) => wanted.data[Math.floor(i / (m * k)) * length + i % (m * k)],
      );
      const tau = operand([2, p], (i) => wanted.data[Math.floor(i / p) * length + m * k + i % p]);
      for (const width of [p, m]) {
        const [q, other] = [operand([2, m, width]), operand([2, m, width])];
        assert(fast.reflectors!({}, [factors, tau, q]));
        reflectors({}, [factors, tau, other]);
        closeNumbers(array(q), array(other), tight, `${width} columns of Q of ${m} by ${k}`);
      }
    }
  },
  symmetricEigen: () => {
    const a = definite(n, 2), step = n + n * n;
    for (const upper of [false, true]) {
      const [got, wanted] = [operand([2, step]), operand([2, step])];
      assert(fast.symmetricEigen!({ upper, vectors: true }, [a, got]));
      symmetricEigen({ upper, vectors: true }, [a, wanted]);
      for (const at of [0, step]) {
        const [x, y] = [got, wanted].map((o) => array(o).slice(at, at + step));
        closeNumbers(x.slice(0, n), y.slice(0, n), tight, "values");
        const [v, w] = [x, y].map((z) => positiveRows(columns(z.slice(n), n, n), n));
        closeNumbers(v, w, { atol: 1e-8, rtol: 1e-7 }, "vectors");
      }
      const [few, same] = [operand([2, n]), operand([2, n])];
      assert(fast.symmetricEigen!({ upper, vectors: false }, [a, few]));
      symmetricEigen({ upper, vectors: false }, [a, same]);
      closeNumbers(array(few), array(same), tight, "values alone");
    }
  },
  svd: () => {
    for (const [m, k] of [[n, n], [n + 6, n], [n, n + 6]]) {
      const a = noise([1, m, k]), p = Math.min(m, k);
      for (const full of [false, true]) {
        const [mu, nv] = full ? [m, k] : [p, p], length = p + m * mu + nv * k;
        const [got, wanted] = [operand([1, length]), operand([1, length])];
        assert(fast.svd!({ full, vectors: true }, [a, got]));
        svd({ full, vectors: true }, [a, wanted]);
        const [x, y] = [got, wanted].map((o) => {
          const all = array(o), u = all.slice(p, p + m * mu), vt = all.slice(p + m * mu);
          return {
            s: all.slice(0, p),
            u: positiveRows(columns(u, m, mu).slice(0, m * p), m),
            vt: positiveRows(vt.slice(0, p * k), k),
          };
        });
        closeNumbers(x.s, y.s, tight, `values of ${m} by ${k}`);
        closeNumbers(x.u, y.u, { atol: 1e-8, rtol: 1e-7 }, `U of ${m} by ${k}`);
        closeNumbers(x.vt, y.vt, { atol: 1e-8, rtol: 1e-7 }, `V of ${m} by ${k}`);
      }
      const [few, same] = [operand([1, p]), operand([1, p])];
      assert(fast.svd!({ full: false, vectors: false }, [a, few]));
      svd({ full: false, vectors: false }, [a, same]);
      closeNumbers(array(few), array(same), tight, "values alone");
    }
  },
  "what is small or has no factor is left to the plain loops": () => {
    const small = definite(8, 1), zero = operand([1, n, n]), nan = operand([1, n, n], () => NaN);
    assertEquals(fast.cholesky!({ action: "" }, [small, operand([1, 65])]), false);
    assertEquals(fast.cholesky!({ action: "" }, [zero, operand([1, n * n + 1])]), false);
    const out = operand([1, n * n + n + 1]);
    assertEquals(fast.lu!({ pivot: true, action: "invert" }, [zero, out]), false);
    assertEquals(fast.lu!({ pivot: false, action: "" }, [noise([1, n, n]), out]), false);
    assertEquals(fast.svd!({ full: false, vectors: false }, [nan, operand([1, n])]), false);
  },
};

for (const [name, run] of Object.entries(cases)) {
  const skipped = lapack === undefined;
  Deno.test({ name: `LAPACK: ${name}${skipped ? ` [${reason}]` : ""}`, ignore: skipped, fn: run });
}
