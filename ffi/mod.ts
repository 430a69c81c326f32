/**
 * Native libraries of the system: found and opened on first use, never at import. Knows no tensor.
 * @module
 */
export { ffiGranted, type LibrarySpec, type OpenLibrary, openLibrary } from "./library.ts";
export { type Blas, type BlasOperand, type BlasProduct, openBlas } from "./blas.ts";
export {
  type Lapack,
  openLapack,
  type Reals,
  type SingularResult,
  type Triangle,
} from "./lapack.ts";
