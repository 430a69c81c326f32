/** Linear algebra: factors reconstruct their matrix, gradients agree with finite differences, bad input is named. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  arange,
  einsum,
  eye,
  grad,
  gradcheck,
  linalg,
  luUnpack,
  manualSeed,
  pcaLowrank,
  randn,
  svdLowrank,
  type Tensor,
  tensor,
  tensordot,
  zeros,
} from "@pta/core";
import { close as closePlain, numbers, type Tolerance } from "./assert.ts";
import { eachDevice } from "./devices.ts";

const f64 = { dtype: "float64" } as const;

/** Checks shape and elements against another tensor. */
const close = (got: Tensor, wanted: Tensor, tolerance: Tolerance, what?: string) =>
  closePlain(got, { shape: wanted.shape, data: numbers(wanted) }, tolerance, what);
const tight = { atol: 1e-11, rtol: 1e-11 };

/** Normal numbers as float64. */
const normal = (...shape: number[]): Tensor => randn(shape, f64).realize();
const diagonal = (s: Tensor): Tensor => s.diagEmbed();
const orthonormal = (q: Tensor, what: string) => {
  const n = q.shape[q.ndim - 1];
  close(q.mT.matmul(q), eye(n, n, f64).expand([...q.shape.slice(0, -2), n, n]), tight, what);
};
const shapes = [[1, 1], [5, 5], [9, 4], [4, 9], [7, 6], [3, 2, 4, 4], [2, 1, 5, 3], [40, 33]];

eachDevice("QR, LU and singular values rebuild matrices of every form", () => {
  manualSeed(1);
  for (const shape of shapes) {
    const a = normal(...shape), at = `[${shape}]`;
    for (const mode of ["reduced", "complete"] as const) {
      const { Q, R } = linalg.qr(a, mode);
      orthonormal(Q, `Q of ${at}`);
      close(Q.matmul(R), a, tight, `Q R of ${at}`);
      close(R.triu(), R, tight, `R of ${at}`);
    }
    const { P, L, U } = linalg.lu(a);
    close(P.matmul(L).matmul(U), a, tight, `P L U of ${at}`);
    for (const fullMatrices of [false, true]) {
      const { U, S, Vh } = linalg.svd(a, { fullMatrices }), k = S.shape[S.ndim - 1];
      orthonormal(U, `U of ${at}`);
      orthonormal(Vh.mT, `V of ${at}`);
      const middle = U.narrow(-1, 0, k).matmul(diagonal(S)).matmul(Vh.narrow(-2, 0, k));
      close(middle, a, tight, `U S V of ${at}`);
    }
    close(linalg.svdvals(a), linalg.svd(a).S, tight, `singular values of ${at}`);
  }
});

eachDevice("eigenvectors and Cholesky factors rebuild symmetric matrices", () => {
  manualSeed(2);
  for (const shape of [[1, 1], [2, 2], [6, 6], [3, 5, 5], [35, 35]]) {
    const x = normal(...shape), a = x.add(x.mT), n = shape[shape.length - 1], at = `[${shape}]`;
    const { eigenvalues, eigenvectors } = linalg.eigh(a);
    orthonormal(eigenvectors, `eigenvectors of ${at}`);
    const rebuilt = eigenvectors.matmul(diagonal(eigenvalues)).matmul(eigenvectors.mT);
    close(rebuilt, a, tight, `V L V' of ${at}`);
    close(linalg.eigvalsh(a, "U"), eigenvalues, tight, `eigenvalues of ${at}`);
    const positive = x.matmul(x.mT).add(eye(n, n, f64)), l = linalg.cholesky(positive);
    close(l.matmul(l.mT), positive, tight, `L L' of ${at}`);
    close(linalg.cholesky(positive, { upper: true }), l.mT, tight, `U of ${at}`);
  }
});

eachDevice("degenerate matrices have factors too", () => {
  for (const a of [zeros([4, 4], f64), eye(4, 4, f64), tensor([[1, 1], [1, 1]], f64)]) {
    const { U, S, Vh } = linalg.svd(a), { eigenvalues, eigenvectors: v } = linalg.eigh(a);
    orthonormal(U, "U");
    orthonormal(v, "V");
    close(U.matmul(diagonal(S)).matmul(Vh), a, tight, "U S V");
    close(v.matmul(diagonal(eigenvalues)).matmul(v.mT), a, tight, "V L V'");
  }
  manualSeed(3);
  const thin = normal(6, 2), low = thin.matmul(thin.mT);
  assertEquals(linalg.matrixRank(low).item(), 2);
  assertEquals(linalg.matrixRank(low, { hermitian: true }).item(), 2);
  const p = linalg.pinv(low);
  close(low.matmul(p).matmul(low), low, { atol: 1e-9, rtol: 1e-9 }, "a p a");
  close(p, linalg.pinv(low, { hermitian: true }), { atol: 1e-9, rtol: 1e-9 }, "by eigenvalues");
  // A matrix of huge and one of tiny numbers.
  for (const scale of [1e200, 1e-200]) {
    close(linalg.svdvals(eye(3, 3, f64).mul(scale)).div(scale), tensor([1, 1, 1], f64), tight);
  }
});

eachDevice("inverses, systems and determinants", () => {
  manualSeed(4);
  const a = normal(3, 5, 5), b = normal(3, 5, 2), one = eye(5, 5, f64).expand([3, 5, 5]);
  close(linalg.inv(a).matmul(a), one, { atol: 1e-9, rtol: 0 }, "inverse");
  close(a.matmul(linalg.solve(a, b)), b, { atol: 1e-9, rtol: 0 }, "solve");
  const right = linalg.solve(a, b.mT, { left: false });
  close(right.matmul(a), b.mT, { atol: 1e-9, rtol: 0 }, "solve from the right");
  const vectors = b.select(-1, 0);
  close(linalg.solve(a, vectors), linalg.solve(a, b).select(-1, 0), tight, "vectors");
  const { LU, pivots } = linalg.luFactor(a);
  close(linalg.luSolve(LU, pivots, b), linalg.solve(a, b), { atol: 1e-9, rtol: 1e-9 }, "LU");
  const { P, L, U } = luUnpack(LU, pivots);
  close(P.matmul(L).matmul(U), a, tight, "unpacked");
  close(a.det(), tensor(a.toArray() as number[][][], f64).det(), tight, "det");
  close(a.matmul(a).det(), a.det().square(), { atol: 1e-8, rtol: 1e-8 }, "det of a square");
  const { sign, logabsdet } = a.slogdet();
  close(sign.mul(logabsdet.exp()), a.det(), { atol: 1e-10, rtol: 1e-10 }, "slogdet");
  assertEquals(numbers(tensor([[0, 1], [1, 0]]).logdet()), [NaN]);
  assertEquals(zeros([0, 0]).det().item(), 1);
  close(a.matrixPower(-2).matmul(a).matmul(a), one, { atol: 1e-7, rtol: 0 }, "power -2");
});

eachDevice("the matrix exponential is that of series, rotations and large matrices", () => {
  const turn = tensor([[0, -1], [1, 0]], f64).mul(Math.PI / 3).matrixExp();
  const [c, s] = [Math.cos(Math.PI / 3), Math.sin(Math.PI / 3)];
  close(turn, tensor([[c, -s], [s, c]], f64), tight);
  close(tensor([[0, 40], [0, 0]], f64).matrixExp(), tensor([[1, 40], [0, 1]], f64), tight);
  manualSeed(5);
  const a = normal(2, 4, 4).mul(5);
  const one = eye(4, 4, f64).expand([2, 4, 4]);
  close(a.matrixExp().matmul(a.neg().matrixExp()), one, { atol: 1e-4, rtol: 0 }, "exp(a) exp(-a)");
});

/** Functions that do not depend on signs or rotations of vectors, of a float64 matrix. */
const smooth: Record<string, { shape: number[]; fn: (x: Tensor) => Tensor }> = {
  cholesky: { shape: [2, 4, 4], fn: (x) => linalg.cholesky(definite(x)) },
  choleskyInverse: { shape: [3, 3], fn: (x) => linalg.cholesky(definite(x)).choleskyInverse() },
  choleskySolve: {
    shape: [3, 3],
    fn: (x) => x.narrow(1, 0, 2).choleskySolve(linalg.cholesky(definite(x))),
  },
  triangularSolve: {
    shape: [3, 3],
    fn: (x) => linalg.solveTriangular(x.add(five(3)), x.narrow(0, 0, 2), upperRight),
  },
  "lu square": { shape: [2, 3, 3], fn: (x) => linalg.luFactor(x.add(five(3))).LU },
  "lu wide": { shape: [3, 5], fn: (x) => joined(linalg.lu(x.add(five(3, 5)))) },
  "lu tall": { shape: [5, 3], fn: (x) => joined(linalg.lu(x.add(five(5, 3)))) },
  luSolve: {
    shape: [3, 3],
    fn: (x) => {
      const { LU, pivots } = linalg.luFactor(x.add(five(3)));
      return linalg.luSolve(LU, pivots, x, { left: false, adjoint: true });
    },
  },
  inv: { shape: [2, 3, 3], fn: (x) => linalg.inv(x.add(five(3))) },
  solve: { shape: [4, 4], fn: (x) => linalg.solve(x.add(five(4)), x.narrow(1, 1, 2)) },
  det: { shape: [2, 3, 3], fn: (x) => linalg.det(x) },
  slogdet: { shape: [2, 3, 3], fn: (x) => linalg.slogdet(x).logabsdet },
  "qr square": { shape: [2, 3, 3], fn: (x) => both(linalg.qr(x.add(five(3)))) },
  "qr tall": { shape: [5, 3], fn: (x) => both(linalg.qr(x)) },
  "qr wide": { shape: [3, 5], fn: (x) => both(linalg.qr(x)) },
  householderProduct: {
    shape: [5, 3],
    fn: (x) => linalg.householderProduct(x, x.select(0, 0).sin()),
  },
  ormqr: { shape: [4, 3], fn: (x) => x.ormqr(x.select(0, 0).sin(), x, { transpose: true }) },
  eigh: { shape: [2, 4, 4], fn: (x) => spectral(x.add(x.mT)) },
  "svd tall": { shape: [5, 3], fn: (x) => polar(x) },
  "svd wide": { shape: [2, 3, 5], fn: (x) => polar(x) },
  svdvals: { shape: [4, 3], fn: (x) => linalg.svdvals(x) },
  pinv: { shape: [4, 3], fn: (x) => linalg.pinv(x) },
  "pinv wide": { shape: [2, 2, 4], fn: (x) => linalg.pinv(x) },
  lstsq: { shape: [5, 3], fn: (x) => linalg.lstsq(x, x.sin().narrow(1, 0, 2)).solution },
  matrixExp: { shape: [2, 3, 3], fn: (x) => x.matrixExp() },
  cond: { shape: [3, 3], fn: (x) => linalg.cond(x.add(five(3))) },
  "nuclear norm": { shape: [4, 3], fn: (x) => linalg.matrixNorm(x, "nuc") },
};
const upperRight = { upper: true, left: false };
const five = (n: number, m = n) => eye(n, m, f64).mul(5);
const definite = (x: Tensor) => x.matmul(x.mT).add(eye(x.shape[x.ndim - 1], undefined, f64));
const both = ({ Q, R }: { Q: Tensor; R: Tensor }) => Q.matmul(R.sin()).add(Q.cos().matmul(R));
const joined = ({ P, L, U }: { P: Tensor; L: Tensor; U: Tensor }) =>
  P.matmul(L.sin()).matmul(U.cos());
const spectral = (a: Tensor) => {
  const { eigenvalues, eigenvectors: v } = linalg.eigh(a);
  return v.matmul(diagonal(eigenvalues.sin())).matmul(v.mT);
};
const polar = (a: Tensor) => {
  const { U, S, Vh } = linalg.svd(a, { fullMatrices: false });
  return U.matmul(diagonal(S.sin())).matmul(Vh);
};

for (const [name, { shape, fn }] of Object.entries(smooth)) {
  Deno.test(`gradient of ${name}, first and second order`, () => {
    manualSeed(6);
    const x = normal(...shape).requiresGrad_();
    gradcheck(fn, [x], { atol: 1e-5, rtol: 1e-4 });
    const slope = (t: Tensor) => {
      const y = fn(t), weights = arange(1, y.numel + 1).to("float64").sin().reshape(y.shape);
      return grad(y.mul(weights).sum(), [t], { createGraph: true })[0];
    };
    gradcheck((t) => slope(t.requiresGrad ? t : t.requiresGrad_()), [x], {
      atol: 1e-4,
      rtol: 1e-3,
    });
  });
}

Deno.test("a determinant has a gradient at singular matrices", () => {
  const rank1 = tensor([[1, 2, 3], [2, 4, 6], [3, 6, 9]], { ...f64, requiresGrad: true });
  assertEquals(numbers(grad(rank1.det(), [rank1])[0]), new Array(9).fill(0));
  const rank2 = tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]], { ...f64, requiresGrad: true });
  const cofactors = tensor([[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], f64);
  close(grad(rank2.det(), [rank2])[0], cofactors, tight);
});

eachDevice("a matrix that has no factor is named when the value is asked for", () => {
  const good = eye(2), bad = tensor([[1, 2], [2, 4]]);
  const batch = tensor(
    [[good.toArray(), good.toArray()], [good.toArray(), bad.toArray()]] as never,
  );
  const cases: [() => Tensor, string][] = [
    [
      () => linalg.inv(batch),
      "Cannot invert matrix [1, 1] of the batch: it is singular (pivot 2 is 0)",
    ],
    [() => linalg.inv(bad), "Cannot invert the matrix: it is singular (pivot 2 is 0)"],
    [
      () => linalg.solve(batch, batch),
      "Cannot solve with matrix [1, 1] of the batch: it is singular",
    ],
    [
      () => linalg.cholesky(batch),
      "Cannot take the Cholesky factor of matrix [1, 1] of the batch: it is not positive definite (minor 2)",
    ],
    [
      () => linalg.eigh(bad.div(0)).eigenvalues,
      "Cannot find the eigenvalues of the matrix: it holds NaN or infinity",
    ],
    [
      () => linalg.svdvals(bad.mul(NaN)),
      "Cannot find the singular values of the matrix: it holds NaN or infinity",
    ],
  ];
  for (const [make, message] of cases) {
    const value = make();
    assertThrows(() => value.realize(), RangeError, message);
  }
  assertEquals(numbers(linalg.invEx(batch).info), [0, 0, 0, 2]);
  assertEquals(numbers(linalg.choleskyEx(batch).info), [0, 0, 0, 2]);
  // The device goes on working.
  assertEquals(linalg.inv(good).toArray(), [[1, 0], [0, 1]]);
});

Deno.test("arguments of linear algebra are checked at the call", () => {
  const a = zeros([2, 3]), v = zeros([3]), s = zeros([3, 3]);
  const cases: [() => unknown, string][] = [
    [() => linalg.inv(a), "Cannot invert [2, 3]: the last two sizes must be equal"],
    [() => linalg.inv(zeros([2, 2], { dtype: "int32" })), "cast to a float dtype first"],
    [() => linalg.qr(v), "Cannot take the QR factors of [3]: at least 2 dimensions are needed"],
    [
      () => linalg.solve(s, a),
      "Cannot solve with [3, 3] for [2, 3]: right sides [..., 3, k] are needed",
    ],
    [() => linalg.solve(s, s.double()), "Cannot solve with float32 for float64"],
    [() => linalg.solveTriangular(s, v, { upper: true }), "right sides [..., 3, k] are needed"],
    [() => linalg.luSolve(s, v.narrow(0, 0, 2), s), "one for each row is needed"],
    [() => linalg.householderProduct(a, v), "at most as many scales as columns"],
    [() => linalg.matrixPower(s, 0.5), "Cannot raise matrices to the power 0.5"],
    [() => linalg.matrixNorm(s, 3), "Cannot take the matrix norm of order 3"],
    [() => linalg.matrixNorm(s, 1, [0, 0]), "two different ones are needed"],
    [() => linalg.norm(zeros([2, 2, 2]), 2), "name one for vectors or two for matrices"],
    [() => linalg.multiDot([s, a]), "2-D with 3 rows is needed"],
    [() => linalg.tensorinv(a, 1), "they hold 2 elements and the others 3"],
    [() => svdLowrank(a, { q: 3 }), "Cannot approximate [2, 3] by rank 3"],
    [() => v.addmm(s, s.narrow(1, 0, 2)), "Cannot addmm [3] and [3, 2]"],
    [() => s.addmv(s, v, { alpha: 1 }), "Cannot addmv to [3, 3]: the product is [3]"],
    [() => s.mv(s), "Cannot mv [3, 3] by [3, 3]: 2-D by 1-D is needed"],
    [() => a.cross(zeros([2, 2])), "Cannot take the cross product of"],
    [() => a.inner(zeros([2])), "last sizes are 3 and 2"],
    [() => a.trace().add(v.trace()), "Cannot take the trace of [3]: it must be 2-D"],
    [() => tensordot(a, s, [[0], [0]]), "sizes are 2 and 3"],
    [() => tensordot(a, s, [[0], []]), "equally many dimensions are needed"],
    [() => einsum("ij,jk", a), 'Cannot apply the equation "ij,jk" to 1 tensors: it names 2'],
    [() => einsum("ijk->i", a), 'Cannot apply "ijk" of the equation "ijk->i" to [2, 3]'],
    [() => einsum("ij->ik", a), '"k" of the result is in no operand'],
    [() => einsum("ij->ii", a), '"i" of the result occurs twice'],
    [() => einsum("i1->i", a), 'Cannot read "i1"'],
    [() => einsum("ii->i", a), '"i" has sizes 2 and 3'],
    [() => einsum("ij,ik->jk", a, s), '"i" has sizes 2 and 3'],
    [() => einsum("ij->i->j", a), "more than one arrow"],
  ];
  for (const [call, message] of cases) assertThrows(call, Error, message);
});

/** The sum by loops over every label. */
function loops(
  equation: string,
  tensors: readonly Tensor[],
): { shape: number[]; values: number[] } {
  const [left, right] = equation.split("->"),
    texts = left.split(","),
    sizes = new Map<string, number>();
  texts.forEach((t, i) => [...t].forEach((l, d) => sizes.set(l, tensors[i].shape[d])));
  const labels = [...sizes.keys()], data = tensors.map((t) => numbers(t));
  const shape = [...right].map((l) => sizes.get(l)!);
  const values = new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0);
  const place = (text: string, at: Map<string, number>) =>
    [...text].reduce((flat, l) => flat * sizes.get(l)! + at.get(l)!, 0);
  const walk = (depth: number, at: Map<string, number>): void => {
    if (depth === labels.length) {
      values[place(right, at)] += texts.reduce((p, t, i) => p * data[i][place(t, at)], 1);
      return;
    }
    for (let i = 0; i < sizes.get(labels[depth])!; i++) walk(depth + 1, at.set(labels[depth], i));
  };
  walk(0, new Map());
  return { shape, values };
}

eachDevice("einsum agrees with loops over every label", () => {
  manualSeed(7);
  const size: Record<string, number> = { a: 2, b: 3, c: 4, d: 2, e: 5 };
  const equations = [
    "ab,bc->ac",
    "ab,bc->ca",
    "ab,ab->",
    "ab,ab->b",
    "a,b->ba",
    "aa->a",
    "aab,bcc->bc",
    "abc->ca",
    "abc,acd,db->cb",
    "abc,bcd,e->ade",
    "ab,c,cd->",
    "abc,abd->acd",
    "a,a,a->a",
    "ad,ea,de->",
  ];
  for (const equation of equations) {
    const tensors = equation.split("->")[0].split(",").map((t) =>
      normal(...[...t].map((l) => size[l]))
    );
    const got = einsum(equation, ...tensors), { shape, values } = loops(equation, tensors);
    assertEquals(got.shape, shape, equation);
    close(got, tensor(values, f64).reshape(shape), tight, equation);
  }
});

eachDevice("einsum: ellipsis, implicit results, sizes of one", () => {
  manualSeed(8);
  const a = normal(2, 3, 4), b = normal(5, 1, 4, 6), row = normal(1, 4);
  close(einsum("...ij,...jk->...ik", a, b), a.matmul(b), tight, "batches broadcast");
  close(einsum("...ij, ...jk", a, b), a.matmul(b), tight, "implicit ellipsis");
  close(einsum("ba", a.select(0, 0)), a.select(0, 0).t(), tight, "implicit order");
  close(einsum("ii", normal(3, 3).mul(0).add(1)), tensor(3, f64), tight, "trace");
  close(einsum("ij,kj->ik", a.select(0, 0), row), a.select(0, 0).matmul(row.t()), tight, "ones");
  close(einsum("i...->...", a), a.sum(0), tight, "sum before an ellipsis");
  close(
    einsum("...i,i->...", a, row.squeeze(0)),
    a.matmul(row.squeeze(0)),
    tight,
    "no letters left",
  );
});

eachDevice("approximations of low rank find a matrix of low rank", () => {
  manualSeed(9);
  const a = normal(3, 9, 4).matmul(normal(3, 4, 7));
  const { U, S, V } = svdLowrank(a, { q: 4 });
  close(U.matmul(diagonal(S)).matmul(V.mT), a, { atol: 1e-9, rtol: 1e-9 });
  close(S, linalg.svdvals(a).narrow(-1, 0, 4), { atol: 1e-9, rtol: 1e-9 });
  const p = pcaLowrank(a.select(0, 0).add(100), { q: 4 }), centred = a.select(0, 0);
  const wanted = linalg.svdvals(centred.sub(centred.mean(0, true))).narrow(-1, 0, 4);
  close(p.S, wanted, { atol: 1e-8, rtol: 1e-8 });
});

Deno.test("half precision is computed in float64 and rounded once", () => {
  const a = tensor([[4, 1], [1, 3]], { dtype: "bfloat16" });
  assertEquals(linalg.inv(a).dtype, "bfloat16");
  close(linalg.inv(a).double(), tensor([[3 / 11, -1 / 11], [-1 / 11, 4 / 11]], f64), {
    atol: 0,
    rtol: 2 ** -8,
  });
});
