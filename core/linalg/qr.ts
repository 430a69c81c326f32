/** QR factors and Householder reflectors. Computed in float64 whatever the dtype. */
import { shapeText } from "../shape.ts";
import { wrap } from "../tensor/base.ts";
import { assembleNode } from "../tensor/movement.ts";
import { routine } from "../tensor/routine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { solveTriangle } from "./cholesky.ts";
import { identity, matrixSizes, mirrored, packed, unpack } from "./support.ts";

/** `reduced` gives `Q` of min(m, n) columns, `complete` a square one, `r` an empty one. */
export type QrMode = "reduced" | "complete" | "r";

/** R and reflectors in one float64 matrix, and their scales. Without a gradient. */
function reflected(a: Tensor): { a: Tensor; tau: Tensor } {
  const { batch, m, n } = matrixSizes(a, "take the QR factors of"), k = Math.min(m, n);
  const pack = packed("householder", {}, [a.detach().to("float64")], batch, m * n + k);
  return { a: unpack(pack, 0, [m, n]), tau: unpack(pack, m * n, [k]) };
}

/**
 * R on and above the diagonal, Householder reflectors below, and their scales `tau`: the form of LAPACK's geqrf. Without a gradient; use
 * {@linkcode qr}.
 *
 * @param a `[..., m, n]` floats
 */
export function geqrf(a: Tensor): { a: Tensor; tau: Tensor } {
  const found = reflected(a);
  return { a: found.a.to(a.dtype), tau: found.tau.to(a.dtype) };
}

/** Rows of several results laid behind each other. */
function pack(parts: readonly Tensor[]): Tensor {
  const rows = parts.map((p) => p.flatten(-2)).filter((p) => p.numel > 0);
  const batch = rows[0].shape.slice(0, -1), starts: number[][] = [];
  let at = 0;
  for (const r of rows) {
    starts.push([...batch.map(() => 0), at]);
    at += r.shape[batch.length];
  }
  return wrap(assembleNode(rows.map((r) => r.node), starts, [...batch, at]));
}

/** Gradient of `a` from those of square or tall factors (Walter, Lehmann and Lamour, "On evaluating higher-order derivatives of the QR decomposition", 2012). */
function tallGradient(q: Tensor, r: Tensor, gq: Tensor, gr: Tensor): Tensor {
  const m = r.matmul(gr.mT).sub(gq.mT.matmul(q));
  return solveTriangle(r, gq.add(q.matmul(mirrored(m))).mT, { upper: true }).mT;
}

/**
 * QR factors, `a = Q R`, with the signs that LAPACK gives: the diagonal of R may be negative.
 *
 * @param a `[..., m, n]` floats
 * @param mode Which Q
 * @returns Q, `[..., m, k]`, and R, `[..., k, n]`, with `k = min(m, n)` or m when complete
 * @throws {TypeError} When there are less than two dimensions, or no floats
 */
export function qr(a: Tensor, mode: QrMode = "reduced"): { Q: Tensor; R: Tensor } {
  const { batch, m, n } = matrixSizes(a, "take the QR factors of");
  const x = a.to("float64"), found = reflected(x);
  const k = mode === "complete" ? m : Math.min(m, n);
  const q = fromReflectors(found.a, found.tau, k), r = found.a.triu().narrow(-2, 0, k);
  if (m * n === 0 || a.numel === 0) return { Q: q.to(a.dtype), R: r.to(a.dtype) };
  const both = pack([q, r]).withGradient([x], (g, y) => {
    const [Q, gq] = [y, g].map((t) => unpack(t, 0, [m, k]));
    const [R, gr] = [y, g].map((t) => unpack(t, m * k, [k, n]));
    if (k > n) {
      throw new Error(
        `Cannot differentiate the complete QR factors of ${
          shapeText(a.shape)
        }: columns of Q beyond ${n} are not unique; use the reduced ones`,
      );
    }
    if (n === k) return [tallGradient(Q, R, gq, gr)];
    // The left block is factored; the right one is Q' times the rest of a.
    const rest = x.narrow(-1, k, n - k), beside = gr.narrow(-1, k, n - k);
    const square = tallGradient(
      Q,
      R.narrow(-1, 0, k),
      gq.add(rest.matmul(beside.mT)),
      gr.narrow(-1, 0, k),
    );
    const parts = [square, Q.matmul(beside)].map((t) => t.node), zero = a.shape.map(() => 0);
    return [wrap(assembleNode(parts, [zero, [...zero.slice(0, -1), k]], a.shape))];
  });
  const Q = mode === "r"
    ? identity(a, m, 0).expand([...batch, m, 0])
    : unpack(both, 0, [m, k]).to(a.dtype);
  return { Q, R: unpack(both, m * k, [k, n]).to(a.dtype) };
}

/** The first `columns` columns of the product of reflectors, in float64, without a gradient. */
function fromReflectors(a: Tensor, tau: Tensor, columns: number): Tensor {
  const [m] = a.shape.slice(-2), batch = a.shape.slice(0, -2);
  if (tau.numel === 0) return identity(a, m, columns).expand([...batch, m, columns]);
  return routine("reflectors", {}, [a, tau], [...batch, m, columns], "float64");
}

/** The same, with a gradient: one reflector after the other. */
function reflectorProduct(a: Tensor, tau: Tensor, columns: number): Tensor {
  const m = a.shape[a.ndim - 2], count = tau.shape[tau.ndim - 1], batch = a.shape.slice(0, -2);
  return fromReflectors(a, tau, columns).withGradient([a, tau], (g) => {
    if (tau.numel === 0) return [];
    const v = a.narrow(-1, 0, count).tril(-1).add(identity(a, m, count));
    const column = (i: number) => v.narrow(-1, i, 1);
    const scale = (i: number) => tau.narrow(-1, i, 1).unsqueeze(-1);
    const steps = [identity(a, m, columns).expand([...batch, m, columns])];
    for (let i = count - 1; i >= 0; i--) {
      const y = steps[0];
      steps.unshift(y.sub(column(i).mul(scale(i)).matmul(column(i).mT.matmul(y))));
    }
    // steps[i] = H_i steps[i + 1]; its gradient becomes that of steps[i + 1].
    const ga: Tensor[] = [], gtau: Tensor[] = [];
    let flow = g;
    for (let i = 0; i < count; i++) {
      const y = steps[i + 1], w = column(i);
      const right = y.mT.matmul(w), left = flow.mT.matmul(w);
      gtau.push(left.mul(right).sum([-2, -1]).neg().unsqueeze(-1));
      ga.push(flow.matmul(right).add(y.matmul(left)).mul(scale(i)).neg());
      flow = flow.sub(w.mul(scale(i)).matmul(left.mT));
    }
    const lay = (parts: Tensor[], shape: readonly number[]) => {
      const zero = shape.map(() => 0);
      const starts = parts.map((_, i) => [...zero.slice(0, -1), i]);
      return wrap(assembleNode(parts.map((p) => p.node), starts, shape));
    };
    return [lay(ga, a.shape).tril(-1), lay(gtau, tau.shape)];
  });
}

/** Reflectors must fit their scales. */
function checkReflectors(a: Tensor, tau: Tensor, action: string): { m: number; n: number } {
  const { m, n } = matrixSizes(a, action), count = tau.shape[tau.ndim - 1];
  const fits = tau.ndim === a.ndim - 1 && count <= n && n <= m &&
    tau.shape.every((s, d) => d === tau.ndim - 1 || s === a.shape[d]);
  if (!fits) {
    throw new TypeError(
      `Cannot ${action} ${shapeText(a.shape)} with scales ${
        shapeText(tau.shape)
      }: at most as many scales as columns and columns as rows are needed`,
    );
  }
  return { m, n };
}

/**
 * The first n columns of the product of the Householder reflectors that {@linkcode geqrf} gives.
 *
 * @param a `[..., m, n]`, `m >= n`; only what lies below the diagonal is read
 * @param tau `[..., k]`, `k <= n`
 * @throws {TypeError} When shapes do not match
 */
export function householderProduct(a: Tensor, tau: Tensor): Tensor {
  const { n } = checkReflectors(a, tau, "multiply the reflectors of");
  return reflectorProduct(a.to("float64"), tau.to("float64"), n).to(a.dtype);
}

/**
 * Product of `c` with the square matrix Q of Householder reflectors: `Q c`, or `c Q` when `left` is false; with the transpose of Q when
 * `transpose`.
 *
 * @param a `[..., m, k]` as {@linkcode geqrf} gives it
 * @param tau `[..., k]`
 * @throws {TypeError} When shapes do not match
 */
export function ormqr(
  a: Tensor,
  tau: Tensor,
  c: Tensor,
  options: { left?: boolean; transpose?: boolean } = {},
): Tensor {
  const { left = true, transpose = false } = options;
  const used = a.narrow(-1, 0, Math.min(a.shape[a.ndim - 1], a.shape[a.ndim - 2]));
  const { m } = checkReflectors(used, tau, "multiply by the reflectors of");
  const square = reflectorProduct(used.to("float64"), tau.to("float64"), m);
  const q = transpose ? square.mT : square, x = c.to("float64");
  return (left ? q.matmul(x) : x.matmul(q)).to(c.dtype);
}
