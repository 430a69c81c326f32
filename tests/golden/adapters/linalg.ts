/** Products, factorisations and what is solved with them. */
import {
  einsum,
  linalg as L,
  luUnpack,
  nn,
  pcaLowrank,
  svdLowrank,
  type Tensor,
  tensordot,
} from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  dimsOf,
  numberOf,
  numbersOf,
  type Output,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

const { functional: F } = nn;

const x = (s: Sample): Tensor => tensorOf(s.input);
const arg = (s: Sample, i: number): Tensor => tensorOf(s.args[i]);
const flag = (v: Value | undefined, otherwise = false): boolean => v == null ? otherwise : !!v;
const maybe = (v: Value | undefined): Tensor | undefined => v == null ? undefined : tensorOf(v);
const upper = (s: Sample) => ({ upper: flag(argument(s, 0, "upper")) });

/** A method of the input and one other tensor. */
const binary = (call: (a: Tensor, b: Tensor) => Tensor): Adapter => (s) => call(x(s), arg(s, 0));

/** `beta`, `alpha` and two factors. */
const scaledSum = (name: "addmm" | "addmv" | "addbmm" | "baddbmm" | "addr"): Adapter => (s) =>
  x(s)[name](arg(s, 0), arg(s, 1), {
    beta: numberOf(s.kwargs.beta, 1),
    alpha: numberOf(s.kwargs.alpha, 1),
  });

/** Turns the sign of vectors (columns where `dim` is -2) to PyTorch's, since either is right. */
function signLike(got: Tensor, wanted: Value, dim: -1 | -2): Tensor {
  const sign = got.detach().mul(tensorOf(wanted)).sum(dim, true).lt(0);
  return sign.where(got.neg(), got);
}

/** U and V have the signs of each pair in common; vectors beyond are turned one by one. */
function alignedSvd(u: Tensor, s: Tensor, v: Tensor, wanted: readonly Value[]): Output {
  const U = signLike(u, wanted[0], -2), V = signLike(v, wanted[2], -2);
  return [U, s, V];
}

const ranks = (s: Sample): L.RankOptions => {
  const limit = (v: Value | undefined) => typeof v === "number" ? v : maybe(v);
  return {
    atol: limit(s.kwargs.atol),
    rtol: limit(s.kwargs.rtol),
    hermitian: flag(s.kwargs.hermitian),
  };
};

const order = (v: Value | undefined) => v == null ? undefined : v as L.MatrixOrder;

const solveOptions = (s: Sample) => ({
  left: flag(s.kwargs.left, true),
  adjoint: flag(s.kwargs.adjoint),
});

/** Adapters by PyTorch's name. */
export const linalg: Adapters = {
  addmm: scaledSum("addmm"),
  addmv: scaledSum("addmv"),
  addbmm: scaledSum("addbmm"),
  baddbmm: scaledSum("baddbmm"),
  addr: scaledSum("addr"),
  bmm: binary((a, b) => a.bmm(b)),
  mm: binary((a, b) => a.mm(b)),
  mv: binary((a, b) => a.mv(b)),
  dot: binary((a, b) => a.dot(b)),
  vdot: binary((a, b) => a.vdot(b)),
  inner: binary((a, b) => a.inner(b)),
  outer: binary((a, b) => a.outer(b)),
  kron: binary((a, b) => a.kron(b)),
  matmul: binary((a, b) => a.matmul(b)),
  __rmatmul__: binary((a, b) => b.matmul(a)),
  cross: (s) => x(s).cross(arg(s, 0), dimsOf(argument(s, 1, "dim")) as number | undefined),
  einsum: (s) => einsum(String(s.args[0]), ...(s.input as readonly Value[]).map(tensorOf)),
  tensordot: (s) =>
    tensordot(
      x(s),
      arg(s, 0),
      typeof s.kwargs.dims === "number"
        ? s.kwargs.dims
        : (s.kwargs.dims as readonly Value[]).map(numbersOf) as unknown as [number[], number[]],
    ),
  trace: (s) => x(s).trace(),
  matrix_exp: (s) => x(s).matrixExp(),
  cholesky: (s) => x(s).cholesky(upper(s)),
  cholesky_inverse: (s) => x(s).choleskyInverse(upper(s)),
  cholesky_solve: (s) => x(s).choleskySolve(arg(s, 0), { upper: flag(argument(s, 1, "upper")) }),
  lu: (s) => {
    const { LU, pivots, info } = x(s).lu({ pivot: flag(s.args[0], true) });
    return flag(s.args[1]) ? [LU, pivots, info] : [LU, pivots];
  },
  lu_solve: (s) => x(s).luSolve(arg(s, 0), arg(s, 1)),
  lu_unpack: (s) => {
    const { P, L, U } = luUnpack(x(s), arg(s, 0));
    return [P, L, U];
  },
  geqrf: (s) => {
    const { a, tau } = x(s).geqrf();
    return [a, tau];
  },
  ormqr: (s) =>
    x(s).ormqr(arg(s, 0), arg(s, 1), {
      left: flag(s.kwargs.left, true),
      transpose: flag(s.kwargs.transpose),
    }),
  qr: (s) => {
    const { Q, R } = x(s).qr({ some: flag(argument(s, 0, "some"), true) });
    return [Q, R];
  },
  svd: (s) => {
    const { U, S, V } = x(s).svd({ some: flag(s.kwargs.some, true) });
    return alignedSvd(U, S, V, s.expected);
  },
  logdet: (s) => x(s).logdet(),
  pinverse: (s) => x(s).pinverse(),
  triangular_solve: (s) => {
    const { solution, clonedCoefficient } = x(s).triangularSolve(arg(s, 0), {
      upper: flag(s.kwargs.upper, true),
      transpose: flag(s.kwargs.transpose),
      unitriangular: flag(s.kwargs.unitriangular),
    });
    return [solution, clonedCoefficient];
  },
  svd_lowrank: (s) => {
    const a = x(s).matmul(arg(s, 0).mT);
    const { U, S, V } = svdLowrank(a, { q: numberOf(s.kwargs.q, 6), M: maybe(s.kwargs.M) });
    return [U, S, V];
  },
  pca_lowrank: (s) => {
    const a = x(s).matmul(arg(s, 0).mT);
    const { U, S, V } = pcaLowrank(a, {
      q: numberOf(s.kwargs.q, 6),
      center: flag(s.kwargs.center, true),
    });
    return [U, S, V];
  },
  "linalg.cross": (s) => L.cross(x(s), arg(s, 0), numberOf(s.kwargs.dim, -1)),
  "linalg.det": (s) => L.det(x(s)),
  "linalg.slogdet": (s) => {
    const { sign, logabsdet } = L.slogdet(x(s));
    return [sign, logabsdet];
  },
  "linalg.diagonal": (s) =>
    L.diagonal(
      x(s),
      numberOf(s.kwargs.offset, 0),
      numberOf(s.kwargs.dim1, -2),
      numberOf(s.kwargs.dim2, -1),
    ),
  "linalg.cholesky": (s) => L.cholesky(x(s), upper(s)),
  "linalg.cholesky_ex": (s) => {
    const { L: factor, info } = L.choleskyEx(x(s), upper(s));
    return [factor, info];
  },
  "linalg.vecdot": (s) => L.vecdot(x(s), arg(s, 0), numberOf(s.kwargs.dim, -1)),
  "linalg.cond": (s) => L.cond(x(s), order(argument(s, 0, "p"))),
  "linalg.eigh": (s) => {
    const { eigenvalues, eigenvectors } = L.eigh(x(s), s.kwargs.UPLO as L.Triangle | undefined);
    return [eigenvalues, signLike(eigenvectors, s.expected[1], -2)];
  },
  "linalg.eigvalsh": (s) => L.eigvalsh(x(s), s.kwargs.UPLO as L.Triangle | undefined),
  "linalg.householder_product": (s) => L.householderProduct(x(s), arg(s, 0)),
  "linalg.lstsq": (s) => {
    const driver = s.kwargs.driver as "gels" | undefined;
    const { solution, residuals, rank, singularValues } = L.lstsq(x(s), arg(s, 0), { driver });
    // PyTorch's variant for gradients drops what has none.
    return s.variant === "grad_oriented"
      ? [solution, residuals]
      : [solution, residuals, rank, singularValues];
  },
  "linalg.matrix_power": (s) => L.matrixPower(x(s), numberOf(s.args[0])),
  "linalg.multi_dot": (s) => L.multiDot((s.input as readonly Value[]).map(tensorOf)),
  "linalg.norm": (s) =>
    L.norm(x(s), order(argument(s, 0, "ord")), {
      dim: dimsOf(argument(s, 1, "dim")),
      keepdim: flag(argument(s, 2, "keepdim")),
    }),
  "linalg.matrix_norm": (s) =>
    L.matrixNorm(
      x(s),
      order(argument(s, 0, "ord")),
      dimsOf(argument(s, 1, "dim")) as number[] | undefined,
      flag(argument(s, 2, "keepdim")),
    ),
  "linalg.qr": (s) => {
    const { Q, R } = L.qr(x(s), s.kwargs.mode as L.QrMode | undefined);
    return [Q, R];
  },
  "linalg.vander": (s) => L.vander(x(s), s.kwargs.N == null ? undefined : numberOf(s.kwargs.N)),
  "linalg.lu_factor": (s) => {
    const { LU, pivots } = L.luFactor(x(s), { pivot: flag(s.kwargs.pivot, true) });
    return [LU, pivots];
  },
  "linalg.lu_factor_ex": (s) => {
    const { LU, pivots, info } = L.luFactorEx(x(s), { pivot: flag(s.kwargs.pivot, true) });
    return [LU, pivots, info];
  },
  "linalg.lu": (s) => {
    const { P, L: lower, U } = L.lu(x(s), { pivot: flag(s.kwargs.pivot, true) });
    return [P, lower, U];
  },
  "linalg.lu_solve": (s) => L.luSolve(x(s), arg(s, 0), arg(s, 1), solveOptions(s)),
  "linalg.inv": (s) => L.inv(x(s)),
  "linalg.inv_ex": (s) => {
    const { inverse, info } = L.invEx(x(s));
    return [inverse, info];
  },
  "linalg.solve": (s) => L.solve(x(s), arg(s, 0), solveOptions(s)),
  "linalg.solve_ex": (s) => {
    const { result, info } = L.solveEx(x(s), arg(s, 0), solveOptions(s));
    return [result, info];
  },
  "linalg.solve_triangular": (s) =>
    L.solveTriangular(x(s), arg(s, 0), {
      upper: flag(s.kwargs.upper),
      left: flag(s.kwargs.left, true),
      unitriangular: flag(s.kwargs.unitriangular),
    }),
  "linalg.matrix_rank": (s) => L.matrixRank(x(s), ranks(s)),
  "linalg.pinv": (s) =>
    // PyTorch's singular variant multiplies two thin matrices first.
    s.variant === "singular" ? L.pinv(x(s).matmul(arg(s, 0).mT)) : L.pinv(x(s), ranks(s)),
  "linalg.svd": (s) => {
    const { U, S, Vh } = L.svd(x(s), { fullMatrices: flag(s.kwargs.full_matrices, true) });
    return [signLike(U, s.expected[0], -2), S, signLike(Vh, s.expected[2], -1)];
  },
  "linalg.svdvals": (s) => L.svdvals(x(s)),
  "linalg.tensorinv": (s) => L.tensorinv(x(s), numberOf(argument(s, 0, "ind"), 2)),
  "linalg.tensorsolve": (s) => {
    const dims = dimsOf(argument(s, 1, "dims"));
    return L.tensorsolve(x(s), arg(s, 0), dims as number[] | undefined);
  },
  "nn.functional.linear": (s) => F.linear(x(s), arg(s, 0), maybe(argument(s, 1, "bias"))),
  "nn.functional.bilinear": (s) =>
    F.bilinear(x(s), arg(s, 0), arg(s, 1), maybe(argument(s, 2, "bias"))),
};

/** Names left out, and why. */
export const linalgReasons: Record<string, string> = {
  "linalg.ldl_factor": "no Bunch-Kaufman factors: indefinite systems are solved by LU",
  "linalg.ldl_factor_ex": "no Bunch-Kaufman factors: indefinite systems are solved by LU",
  "linalg.ldl_solve": "no Bunch-Kaufman factors: indefinite systems are solved by LU",
  "linalg.eig": "needs complex numbers",
  "linalg.eigvals": "needs complex numbers",
};
