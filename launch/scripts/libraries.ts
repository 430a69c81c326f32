/** Prints which native libraries are found, and where; a library that is missing says why. */
import {
  openBlas,
  openCublas,
  openCublasLt,
  openCudnn,
  openDriver,
  openLapack,
  openNccl,
  openNvml,
  openNvrtc,
} from "@pta/ffi";

/** Something that was opened; BLAS and LAPACK have no version to ask for. */
interface Found {
  readonly path: string;
  readonly version?: readonly number[];
}

const libraries: readonly (readonly [string, () => Found | undefined])[] = [
  ["CUDA driver", openDriver],
  ["NVRTC", openNvrtc],
  ["cuBLASLt", openCublasLt],
  ["cuBLAS", openCublas],
  ["cuDNN", openCudnn],
  ["NCCL", openNccl],
  ["NVML", openNvml],
  ["BLAS", openBlas],
  ["LAPACK", openLapack],
];

console.log("Libraries:");
for (const [name, open] of libraries) {
  let text: string;
  try {
    const found = open();
    text = found === undefined
      ? "not found"
      : `${found.version === undefined ? "" : `${found.version.join(".")}, `}${found.path}`;
  } catch (error) {
    text = `not used (${(error as Error).message.split("\n")[0].replace(/\.? Tried:$/, "")})`;
  }
  console.log(`  ${name}: ${text}`);
}
