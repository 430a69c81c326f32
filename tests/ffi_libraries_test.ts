/** NVIDIA's real libraries without a GPU: they open in the safe order, answer their versions, and NVRTC compiles. Each is skipped where it is not installed. */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  compileCuda,
  cublasComputeType_t,
  CublasError,
  cublasLtMatmulDescAttributes_t,
  cublasStatus_t,
  cudaDataType_t,
  cudnnBackendDescriptorType_t,
  CudnnError,
  cudnnStatus_t,
  type NativeLibrary,
  NcclError,
  NvrtcError,
  openCublas,
  openCublasLt,
  openCudnn,
  openDriver,
  openNccl,
  openNvrtc,
} from "@pta/ffi";

/** A test of a library; the reason of the skip stands in its name. */
function test<C>(
  what: string,
  open: () => NativeLibrary<C>,
  fn: (library: NativeLibrary<C>) => void,
): void {
  let library: NativeLibrary<C> | undefined, reason = "";
  try {
    library = open();
  } catch (error) {
    reason = ` (skipped: ${(error as Error).message.split(".")[0]})`;
  }
  Deno.test({
    name: `ffi libraries: ${what}${reason}`,
    ignore: library === undefined,
    fn: () => fn(library!),
  });
}

/** Whether a GPU answers here: handles can then be made, and the tests of their failure do not apply. */
function hasGpu(): boolean {
  try {
    const { calls } = openDriver();
    calls.cuInit(0);
    return true;
  } catch {
    return false;
  }
}

// Opened last first: the order is the opener's concern.
test("cuDNN", openCudnn, ({ calls, version, path }) => {
  assertEquals(version[0], 9);
  assertMatch(path, /libcudnn\.so\.9$|cudnn64_9\.dll$/);
  const at = new BigUint64Array(1);
  calls.cudnnBackendCreateDescriptor(
    cudnnBackendDescriptorType_t.CUDNN_BACKEND_TENSOR_DESCRIPTOR,
    at,
  );
  assert(at[0] > 0n);
  // Nothing is set yet.
  const error = assertThrows(() => calls.cudnnBackendFinalize(at[0]), CudnnError);
  assertEquals(error.call, "cudnnBackendFinalize");
  assertStringIncludes(error.status, "CUDNN_STATUS_BAD_PARAM");
  calls.cudnnBackendDestroyDescriptor(at[0]);
  if (hasGpu()) return;
  const create = assertThrows(() => calls.cudnnCreate(at), CudnnError);
  assertEquals(create.code, cudnnStatus_t.CUDNN_STATUS_NOT_INITIALIZED);
});

test("cuBLASLt", openCublasLt, ({ calls, version }) => {
  assert(version[0] >= 12);
  const at = new BigUint64Array(1);
  calls.cublasLtMatmulDescCreate(
    at,
    cublasComputeType_t.CUBLAS_COMPUTE_32F,
    cudaDataType_t.CUDA_R_32F,
  );
  const error = assertThrows(
    () => calls.cublasLtMatmulDescSetAttribute(at[0], 7, new Uint8Array(2), 2),
    CublasError,
  );
  assertEquals(error.status, "CUBLAS_STATUS_INVALID_VALUE");
  // What products of eight-bit floats set, of these sizes and no others.
  const {
    CUBLASLT_MATMUL_DESC_A_SCALE_POINTER,
    CUBLASLT_MATMUL_DESC_B_SCALE_POINTER,
    CUBLASLT_MATMUL_DESC_FAST_ACCUM,
  } = cublasLtMatmulDescAttributes_t;
  const attributes = [
    [CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, BigUint64Array.of(512n)],
    [CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, BigUint64Array.of(1024n)],
    [CUBLASLT_MATMUL_DESC_FAST_ACCUM, Int8Array.of(1)],
  ] as const;
  for (const [attribute, wanted] of attributes) {
    const [desc] = at, bytes = wanted.byteLength;
    calls.cublasLtMatmulDescSetAttribute(desc, attribute, wanted, bytes);
    const got = new Uint8Array(8), size = new BigUint64Array(1);
    calls.cublasLtMatmulDescGetAttribute(desc, attribute, got, bytes, size);
    assertEquals(size[0], BigInt(bytes));
    assertEquals(got.slice(0, bytes), new Uint8Array(wanted.buffer));
    assertThrows(
      () => calls.cublasLtMatmulDescSetAttribute(desc, attribute, new Uint8Array(16), 4),
      CublasError,
    );
  }
  calls.cublasLtMatmulDescDestroy(at[0]);
  for (const type of [cudaDataType_t.CUDA_R_8F_E4M3, cudaDataType_t.CUDA_R_8F_E5M2]) {
    calls.cublasLtMatrixLayoutCreate(at, type, 64, 32, 64);
    const got = new Int32Array(1), size = new BigUint64Array(1);
    calls.cublasLtMatrixLayoutGetAttribute(at[0], 0, got, 4, size);
    assertEquals([got[0], size[0]], [type, 4n]);
    calls.cublasLtMatrixLayoutDestroy(at[0]);
  }
  // Sizes of 64 bits and a leading dimension come back as given.
  calls.cublasLtMatrixLayoutCreate(at, cudaDataType_t.CUDA_R_16BF, 2 ** 33, 3, 2 ** 34);
  const value = new BigUint64Array(1), written = new BigUint64Array(1);
  const read = (attribute: number) => {
    calls.cublasLtMatrixLayoutGetAttribute(at[0], attribute, value, 8, written);
    return value[0];
  };
  assertEquals([read(2), read(3), read(4)], [2n ** 33n, 3n, 2n ** 34n]);
  calls.cublasLtMatrixLayoutDestroy(at[0]);
  if (hasGpu()) return;
  const create = assertThrows(() => calls.cublasLtCreate(at), CublasError);
  assertEquals(create.code, cublasStatus_t.CUBLAS_STATUS_NOT_INITIALIZED);
});

test("cuBLAS", openCublas, ({ version }) => {
  assertEquals(version, openCublasLt().version);
});

test("NCCL", openNccl, ({ calls, version }) => {
  assertEquals(version[0], 2);
  const id = new Uint8Array(128);
  calls.ncclGetUniqueId(id);
  assert(id.some((byte) => byte !== 0));
  if (hasGpu()) return;
  const error = assertThrows(
    () => calls.ncclCommInitRank(new BigUint64Array(1), 1, id, 0),
    NcclError,
  );
  assertEquals([error.call, error.status], ["ncclCommInitRank", "ncclUnhandledCudaError"]);
  assertStringIncludes(error.text, "Cuda failure");
});

const kernel = `
extern "C" __global__ void axpy(float *y, const float *x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = fmaf(a, x[i], y[i]);
}
template <typename T> __global__ void twice(T *x) { x[threadIdx.x] *= T(2); }
`;

test("NVRTC compiles for sm_80, sm_90 and sm_100", openNvrtc, ({ calls, version }) => {
  assert(version[0] >= 12);
  // A newer device than this NVRTC knows of is its own matter.
  const count = new Int32Array(1);
  calls.nvrtcGetNumSupportedArchs(count);
  const supported = new Int32Array(count[0]);
  calls.nvrtcGetSupportedArchs(supported);
  const wanted = [80, 90, 100].filter((arch) => version[0] >= 13 || supported.includes(arch));
  const seen = wanted.map((arch) => {
    const binary = compileCuda(calls, {
      source: kernel,
      options: [`-arch=sm_${arch}`],
      expressions: ["twice<float>"],
    });
    // The magic number of an ELF file: 7f E L F.
    assertEquals([...binary.cubin.slice(0, 4)], [0x7f, 0x45, 0x4c, 0x46]);
    assertStringIncludes(binary.ptx, `.target sm_${arch}`);
    assertStringIncludes(binary.ptx, ".entry axpy(");
    assertEquals(binary.lowered, { "twice<float>": "_Z5twiceIfEvPT_" });
    assertEquals(binary.log, "");
    return binary.cubin.join();
  });
  assertEquals(new Set(seen).size, wanted.length);
});

test("NVRTC: messages, headers, unknown architectures", openNvrtc, ({ calls }) => {
  const error = assertThrows(
    () => compileCuda(calls, { source: "__global__ void k() { nope(); }", name: "bad.cu" }),
    NvrtcError,
  );
  assertEquals([error.call, error.code], ["nvrtcCompileProgram", 6]);
  assertStringIncludes(error.text, `bad.cu(1): error: identifier "nope" is undefined`);
  const { ptx, cubin } = compileCuda(calls, {
    source: `#include "own.h"\nextern "C" __global__ void k(float *x) { *x = VALUE; }`,
    headers: { "own.h": "#define VALUE 3.0f" },
    options: ["-arch=compute_90"],
  });
  assertEquals(cubin.length, 0);
  // The bits of 3.0f.
  assertStringIncludes(ptx, String(0x40400000));
  const unknown = assertThrows(
    () => compileCuda(calls, { source: kernel, options: ["-arch=sm_20"] }),
    NvrtcError,
  );
  assertEquals(
    [unknown.call, unknown.status],
    ["nvrtcCompileProgram", "NVRTC_ERROR_INVALID_OPTION"],
  );
  assertStringIncludes(unknown.hint ?? "", "nvrtcGetSupportedArchs");
});
