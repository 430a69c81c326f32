/** The named routines of a device: vendor libraries, hand-written kernels, and the host for what is not worth a kernel. */
import type { Launch, Operand, RoutineCall, RoutineLaunch, Routines } from "../../device.ts";
import { dtypes } from "../../dtype.ts";
import { env } from "../../env.ts";
import { allReduce } from "../collective.ts";
import type { CommArray } from "../../dist/collective.ts";
import { plainTable } from "../plain/mod.ts";
import { CublasFloat8 } from "./cublas_float8.ts";
import { CublasProducts } from "./cublas_matmul.ts";
import { cublasOf } from "./cublas_open.ts";
import { addressOf, type CudaBuffer } from "./memory.ts";
import { ncclGroup } from "./nccl.ts";
import { cudaEnding } from "./routine_epilogue.ts";
import { cudaRoutines } from "./routine_table.ts";
import { inOrder } from "./routine_text.ts";
import type { CudaRuntime } from "./runtime.ts";
import type { Transfer } from "./transfer.ts";

/** What the routines work with. */
export interface RoutineContext {
  /** The device. */
  readonly runtime: CudaRuntime;
  /** Copies to and from the host. */
  readonly transfer: Transfer;
  /** Marks a launch that needs the host, so that no graph takes it. */
  readonly host: (launch: Launch) => Launch;
}

/** The table of routines. */
export function createRoutines({ runtime, transfer, host }: RoutineContext): Routines {
  // Factorisations and the like: computed by plain loops on the host.
  const plain = plainTable((_name, run) => (call, buffers): RoutineLaunch => ({
    start: host(() => {
      const results = call.operands.length - (call.results ?? 1);
      const operands = call.operands.map((o, i) => {
        const buffer = buffers[i] as CudaBuffer;
        // Results are written as a whole: what lies there is not worth a wait.
        const data = i < results
          ? download(transfer, o, buffer)
          : dtypes[o.dtype].array(buffer.length);
        return { ...o, data: data as unknown as Float64Array };
      });
      run(call.params, operands);
      for (let i = results; i < operands.length; i++) {
        upload(transfer, operands[i].data, buffers[i] as CudaBuffer);
      }
    }),
  }));
  const own = cudaRoutines(runtime);
  return {
    ...plain,
    ...own,
    ...createProducts(runtime, own),
    allReduce: (call, buffers): RoutineLaunch => {
      const buffer = buffers[0] as CudaBuffer;
      const onDevice = ncclGroup(runtime, call.params.group)?.allReduce(call, buffer);
      if (onDevice !== undefined) return onDevice;
      const { start, wait } = allReduce(call, {
        read: () => download(transfer, call.operands[0], buffer) as CommArray,
        write: (data) => upload(transfer, data, buffer),
      });
      return { start: host(start), wait: wait && host(wait) };
    },
  };
}

type Product = "matmul" | "matmulFloat8" | "matmulEpilogue";

/** Products by cuBLASLt where it can, else by a kernel of our own. `PTA_CUBLAS=off` leaves it out. */
function createProducts(
  runtime: CudaRuntime,
  own: Pick<Routines, "matmul" | "matmulFloat8">,
): Pick<Routines, Product> {
  let opened: { plain: CublasProducts; float8: CublasFloat8 } | undefined;
  const products = () => {
    const lt = cublasOf(runtime);
    if (lt === undefined) return undefined;
    return opened ??= { plain: new CublasProducts(lt), float8: new CublasFloat8(lt) };
  };
  return {
    matmul: (call, buffers): RoutineLaunch => {
      const start = products()?.plain.bind(call, buffers as CudaBuffer[]);
      return start === undefined ? own.matmul(call, buffers) : { start };
    },
    matmulEpilogue: (call, buffers): RoutineLaunch => {
      const [a, b, bias, out] = call.operands, [m, n] = [a.shape[0], b.shape[1]];
      const flat = { ...out, shape: [m, n], strides: [n, 1] };
      const product = {
        name: "matmul",
        params: { accumulate: false },
        operands: [a, b, flat],
      } as const;
      const three = [0, 1, 3].map((i) => buffers[i] as CudaBuffer);
      const start = products()?.plain.bind(product, three, {
        activation: call.params.activation,
        bias: addressOf(bias, buffers[2]),
      });
      if (start !== undefined) return { start };
      return inOrder([own.matmul(product, three).start, cudaEnding(runtime, call, buffers).start]);
    },
    matmulFloat8: (call, buffers): RoutineLaunch => {
      // Before Ada and Hopper no tensor core multiplies eight-bit floats.
      const start = hasFloat8(runtime)
        ? products()?.float8.bind(call, buffers as CudaBuffer[])
        : undefined;
      return start === undefined ? own.matmulFloat8(call, buffers) : { start };
    },
  };
}

/** Whether products can do the bias and activation that follow them: cuBLASLt is there, and takes the types. */
export function wantsEpilogue(
  runtime: CudaRuntime,
  { operands: [a, b, bias, out] }: RoutineCall<"matmulEpilogue">,
): boolean {
  if (cublasOf(runtime) === undefined) return false;
  const { dtype } = out,
    isTaken = dtype === "float32" || dtype === "float16" || dtype === "bfloat16";
  return isTaken && [a, b, bias].every((o) => o.dtype === dtype) &&
    [a, b].every((o) => o.strides.some((s, d) => s === 1 || o.shape[d] === 1));
}

/** Whether the tensor cores of a device multiply eight-bit floats. */
function hasFloat8({ facts: { capability: [major, minor] } }: CudaRuntime): boolean {
  return major > 8 || (major === 8 && minor >= 9);
}

/** Whether eight-bit products run in hardware here: the device can, cuBLASLt is there, and `PTA_FLOAT8` is not `off`. */
export function multipliesFloat8(runtime: CudaRuntime): boolean {
  return hasFloat8(runtime) && env("PTA_FLOAT8") !== "off" && cublasOf(runtime) !== undefined;
}

function download(transfer: Transfer, o: Operand, buffer: CudaBuffer): ArrayBufferView {
  const out = dtypes[o.dtype].array(buffer.length);
  transfer.download(
    buffer.pointer,
    new Uint8Array(out.buffer as ArrayBuffer, 0, buffer.length * dtypes[o.dtype].bytes),
  );
  return out;
}

function upload(transfer: Transfer, data: unknown, buffer: CudaBuffer): void {
  const { buffer: memory, byteOffset, byteLength } = data as Uint8Array;
  transfer.upload(buffer.pointer, new Uint8Array(memory, byteOffset, byteLength));
}
