/** The checked calls and the search, on libraries that only remember what they are asked. Needs a C compiler, and no NVIDIA library. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  address,
  CublasError,
  CudaError,
  type DriverCalls,
  ncclConfig,
  ParameterBlock,
} from "@pta/ffi";
import { bindCublasLt, cublasLtSymbols } from "../ffi/cuda/cublas_lt.ts";
import { bindDriver, driverSymbols } from "../ffi/cuda/driver.ts";
import { findLibrary, type NativeSpec } from "../ffi/cuda/find.ts";
import { bindNccl, ncclSymbols } from "../ffi/cuda/nccl.ts";
import { buildStub, stubSymbols } from "./ffi_stub.ts";

const folder = Deno.makeTempDirSync();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** What a driver of this CUDA version answers. */
const driverBodies = (version: number) => ({
  cuDriverGetVersion: `*(int *)a0 = ${version}; return 0;`,
  cuGetErrorString: `*(const char **)a1 = "told"; return 0;`,
});
const driverPath = `${folder}/libcuda.so.1`;
const reason = Deno.build.os === "linux"
  ? buildStub(driverPath, driverSymbols, driverBodies(13000))
  : "the stubs are built for Linux only";
const ignore = reason !== undefined;
const test = (name: string, fn: () => void | Promise<void>) =>
  Deno.test({ name: `ffi cuda: ${name}${ignore ? ` (skipped: ${reason})` : ""}`, ignore, fn });

/** A stub with its wrappers. */
function stub<S extends Deno.ForeignLibraryInterface, C>(
  path: string,
  symbols: S,
  bind: (symbols: Deno.DynamicLibrary<S>["symbols"]) => C,
) {
  const library = Deno.dlopen(path, symbols), own = Deno.dlopen(path, stubSymbols);
  const seen = new BigInt64Array(
    new Deno.UnsafePointerView(own.symbols.stub_seen()!).getArrayBuffer(256),
  );
  const called = () => Deno.UnsafePointerView.getCString(own.symbols.stub_called()!);
  return { calls: bind(library.symbols), seen, called, answer: own.symbols.stub_answer };
}

test("device pointers and sizes arrive whole, handles as they are", () => {
  const { calls, seen, called } = stub(driverPath, driverSymbols, bindDriver);
  // 47 bits, the width of addresses on x86-64, and the largest exact number.
  for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 0x7fff_dead_beef, 2 ** 53 - 1]) {
    calls.cuMemcpyDtoDAsync(value, 2 ** 53 - 1 - value, value, 0xffff_8000_0000_0001n);
    assertEquals(called(), "cuMemcpyDtoDAsync_v2");
    assertEquals([...seen.slice(0, 3)], [value, 2 ** 53 - 1 - value, value].map(BigInt));
    assertEquals(BigInt.asUintN(64, seen[3]), 0xffff_8000_0000_0001n);
  }
  const host = new Uint8Array(8);
  calls.cuMemcpyHtoD(5, host, 8);
  assertEquals([...seen.slice(0, 3)], [5n, address(host), 8n]);
});

test("every wrapper of the driver reaches its own symbol and names itself when it fails", () => {
  const { calls, called, answer } = stub(driverPath, driverSymbols, bindDriver);
  const special = ["cuDriverGetVersion", "cuGetErrorString"];
  const allowed = ["cuCtxEnablePeerAccess"];
  for (const [symbol, row] of Object.entries(driverSymbols)) {
    if (special.includes(symbol)) continue;
    const name = symbol.replace(/_v\d$/, "") as keyof DriverCalls;
    const call = calls[name] as (...args: unknown[]) => unknown;
    // Values that any parameter type takes: handles and addresses refuse a number only by type.
    const args = row.parameters.map((type) =>
      type === "buffer" ? null : typeof type === "object" ? new Uint8Array(64) : 0
    );
    const given = args.map((arg, i) => row.parameters[i] === "u64" && arg === 0 ? 0n : arg);
    const run = () => {
      try {
        return call(...given);
      } catch (error) {
        // A number was wanted: device pointers are split into halves.
        if (!(error instanceof TypeError)) throw error;
        return call(...args);
      }
    };
    answer(0);
    const result = run();
    assertEquals(called(), symbol);
    assert(result === undefined || result === 0, `${name} answers ${result}`);
    answer(allowed.includes(name) ? 1 : 704);
    const error = assertThrows(run, CudaError);
    assertEquals([error.call, error.text], [name, "told"]);
    assertStringIncludes(error.message, `${name} failed: CUDA_ERROR_`);
  }
  answer(0);
});

test("errors have code, name, text, call and hint", () => {
  const { calls, answer } = stub(driverPath, driverSymbols, bindDriver);
  answer(2);
  const error = assertThrows(() => calls.cuMemAlloc(new BigUint64Array(1), 8), CudaError);
  assertEquals({ ...error }, {
    name: "CudaError",
    call: "cuMemAlloc",
    code: 2,
    status: "CUDA_ERROR_OUT_OF_MEMORY",
    text: "told",
    hint: "use a smaller batch, or end other processes on the device",
  });
  assertEquals(
    error.message,
    "cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY (2), told; use a smaller batch, or end other processes on the device",
  );
  answer(98765);
  const unknown = assertThrows(() => calls.cuInit(0), CudaError);
  assertEquals([unknown.status, unknown.hint], ["CUresult 98765", undefined]);
  // Not done yet is an answer.
  answer(600);
  assertEquals(calls.cuEventQuery(1n), 600);
  assertEquals(calls.cuStreamQuery(1n), 600);
  assertThrows(() => calls.cuStreamSynchronize(1n), CudaError, "CUDA_ERROR_NOT_READY");
  answer(0);
});

test("a launch takes its parameters from the block", () => {
  const { calls, seen } = stub(driverPath, driverSymbols, bindDriver);
  const block = new ParameterBlock();
  block.pointer(0, 0x7f12_3456_7890).i32(1, -3).f32(2, 0.5).f64(3, Math.PI).u64(4, 2n ** 63n)
    .u32(63, 0xffff_ffff);
  calls.cuLaunchKernel(11n, 2, 3, 4, 128, 1, 1, 512, 22n, block.address, 0n);
  assertEquals([...seen.slice(0, 9)], [11n, 2n, 3n, 4n, 128n, 1n, 1n, 512n, 22n]);
  // As the driver reads it: an array of pointers to the values.
  const at = (i: number) => {
    const table = new Deno.UnsafePointerView(Deno.UnsafePointer.create(seen[9])!);
    return new Deno.UnsafePointerView(Deno.UnsafePointer.create(table.getBigUint64(8 * i))!);
  };
  assertEquals(at(0).getBigUint64(), 0x7f12_3456_7890n);
  assertEquals(at(1).getInt32(), -3);
  assertEquals(at(2).getFloat32(), 0.5);
  assertEquals(at(3).getFloat64(), Math.PI);
  assertEquals(at(4).getBigUint64(), 2n ** 63n);
  assertEquals(at(63).getUint32(), 0xffff_ffff);
  for (const slot of [-1, 64, NaN]) {
    assertThrows(() => block.i32(slot, 1), RangeError, `Cannot set kernel parameter ${slot}`);
  }
});

test("cuBLASLt and NCCL: negative leading dimensions, structs by value, missing symbols", () => {
  const lt = `${folder}/lt.so`, nccl = `${folder}/nccl.so`;
  assertEquals(buildStub(lt, cublasLtSymbols), undefined);
  assertEquals(
    buildStub(nccl, ncclSymbols, {}, ["ncclCommInitRankScalable"]),
    undefined,
  );
  const a = stub(lt, cublasLtSymbols, bindCublasLt);
  a.calls.cublasLtMatrixLayoutCreate(null, 14, 2 ** 40, 7, -5);
  assertEquals([...a.seen.slice(1, 5)], [14n, 2n ** 40n, 7n, -5n]);
  a.calls.cublasLtMatmul(1n, 2n, 3n, 4, 5n, 6, 7n, 8n, 9, 10n, 11, 12n, 13n, 14, 15, 16n);
  assertEquals([...a.seen.slice(0, 16)], Array.from({ length: 16 }, (_, i) => BigInt(i + 1)));
  a.answer(15);
  assertThrows(
    () => a.calls.cublasLtMatmul(1n, 2n, 3n, 4, 5n, 6, 7n, 8n, 9, 10n, 11, 12n, 13n, 14, 15, 16n),
    CublasError,
    "cublasLtMatmul failed: CUBLAS_STATUS_NOT_SUPPORTED (15), told",
  );
  a.answer(0);
  const n = stub(nccl, ncclSymbols, bindNccl);
  const id = new Uint8Array(128);
  id[0] = 42;
  n.calls.ncclCommInitRank(null, 8, id, 3);
  assertEquals([n.seen[1], n.seen[2], n.seen[3]], [8n, 42n, 3n]);
  assertThrows(
    () => n.calls.ncclCommInitRank(null, 8, new Uint8Array(64), 3),
    RangeError,
    "Cannot pass 64 bytes as commId of ncclCommInitRank: it takes 128",
  );
  n.answer(7);
  assertEquals(n.calls.ncclAllReduce(1, 2, 3, 7, 0, 4n, 5n), 7);
  assertThrows(
    () => n.calls.ncclCommInitRankScalable(null, 1, 0, 1, id, null),
    Error,
    "Cannot call ncclCommInitRankScalable: this NCCL is too old to have it",
  );
  n.answer(0);
  const config = new DataView(ncclConfig(22000, { blocking: 0 }).buffer);
  assertEquals(config.getUint32(8, true), 0xcafebeef);
  assertEquals(config.getUint32(12, true), 22000);
  assertEquals([config.getInt32(16, true), config.getInt32(20, true)], [0, -0x80000000]);
});

/** A library to search for, of which `files` exist only where a test puts them. */
function spec(
  more: Partial<NativeSpec<typeof driverSymbols, DriverCalls>> = {},
): NativeSpec<typeof driverSymbols, DriverCalls> {
  return {
    name: "the test library",
    variable: "PTA_TEST_LIB",
    install: "Build it",
    files: { linux: ["libptatest.so.2", "libptatest.so.1"] },
    symbols: driverSymbols,
    bind: bindDriver,
    version: (calls) => {
      const at = new Int32Array(1);
      calls.cuDriverGetVersion(at);
      return [at[0] / 1000, 0, 0];
    },
    oldest: [12, 0, 0],
    ...more,
  };
}

/** Runs with variables set. */
function withEnv<T>(values: Record<string, string>, run: () => T): T {
  const before = Object.keys(values).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(values)) Deno.env.set(name, value);
  try {
    return run();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

/** Puts a stub of a CUDA version into a folder below the temporary one. */
function put(path: string, version: number): string {
  const file = `${folder}/${path}`;
  Deno.mkdirSync(file.replace(/[^/]*$/, ""), { recursive: true });
  assertEquals(buildStub(file, driverSymbols, driverBodies(version)), undefined);
  return file;
}

test("the search: variable, wheels, CUDA_HOME, versions", () => {
  const error = assertThrows(() => findLibrary(spec()), Error);
  assertStringIncludes(
    error.message,
    "Cannot open the test library. Build it, or set PTA_TEST_LIB to its file or folder. Tried:\n",
  );
  for (const line of ["libptatest.so.2: cannot open", "libptatest.so.1: ", "/usr/lib64: no "]) {
    assertStringIncludes(error.message, line);
  }
  const home = put("cuda/lib64/libptatest.so.1", 12000);
  const wheel = put("env/lib/python3.11/site-packages/nvidia/some/lib/libptatest.so.2", 13000);
  const old = put("old/libptatest.so.2", 11000);
  const named = put("elsewhere/named.so", 14000);
  const CUDA_HOME = `${folder}/cuda`, VIRTUAL_ENV = `${folder}/env`;
  const found = (values: Record<string, string>) => {
    const { path, version } = withEnv(values, () => findLibrary(spec()));
    return [path, version[0]];
  };
  assertEquals(found({ CUDA_HOME }), [home, 12]);
  assertEquals(found({ CUDA_HOME: "/nowhere", CUDA_PATH: CUDA_HOME }), [home, 12]);
  assertEquals(found({ CUDA_HOME, VIRTUAL_ENV }), [wheel, 13]);
  assertEquals(found({ VIRTUAL_ENV, PTA_TEST_LIB: named }), [named, 14]);
  assertEquals(found({ VIRTUAL_ENV, PTA_TEST_LIB: `${folder}/cuda/lib64` }), [home, 12]);
  assertEquals(found({ VIRTUAL_ENV, PTA_CUDA_PATH: `${folder}/cuda/lib64` }), [home, 12]);
  // The Python on PATH.
  Deno.mkdirSync(`${folder}/env/bin`);
  Deno.writeTextFileSync(`${folder}/env/bin/python3`, "");
  assertEquals(found({ PATH: `${folder}/env/bin` }), [wheel, 13]);
  const fails = (values: Record<string, string>) =>
    assertThrows(() => withEnv(values, () => findLibrary(spec())), Error).message;
  assertStringIncludes(fails({ PTA_TEST_LIB: "off", CUDA_HOME }), "nothing, PTA_TEST_LIB is off");
  assertStringIncludes(
    fails({ PTA_TEST_LIB: old, CUDA_HOME }),
    `${old}: version 11.0.0 is too old, 12.0.0 is the oldest that works`,
  );
  // The variable is the only place, and so is the folder of all libraries.
  assertStringIncludes(fails({ PTA_TEST_LIB: "/nowhere/x.so", CUDA_HOME }), "/nowhere");
  assertStringIncludes(fails({ PTA_CUDA_PATH: "/nowhere", CUDA_HOME }), "/nowhere: no such folder");
});

test("the search: what is refused is passed over, what must come first is loaded", () => {
  put("two/lib64/libptatest.so.2", 13000);
  const second = put("two/lib64/libptatest.so.1", 12000);
  const CUDA_HOME = `${folder}/two`;
  const refuse: NativeSpec<typeof driverSymbols, DriverCalls>["refuse"] = ([major]) =>
    major > 12 ? "it is newer than the driver" : undefined;
  assertEquals(withEnv({ CUDA_HOME }, () => findLibrary(spec({ refuse }))).path, second);
  const first = () => "libfirst.so";
  const error = assertThrows(
    () => withEnv({ CUDA_HOME }, () => findLibrary(spec({ first }))),
    Error,
    "libfirst.so must be loaded first, cannot open",
  );
  assertStringIncludes(error.message, `${second}: `);
  put("two/lib64/libfirst.so", 13000);
  assertEquals(
    withEnv({ CUDA_HOME }, () => findLibrary(spec({ first }))).path,
    `${folder}/two/lib64/libptatest.so.2`,
  );
});

test("an old library that lacks a symbol is named as such", () => {
  const path = `${folder}/lacking.so`;
  assertEquals(buildStub(path, driverSymbols, driverBodies(13000), ["cuMemAllocAsync"]), undefined);
  const error = assertThrows(
    () => withEnv({ PTA_TEST_LIB: path }, () => findLibrary(spec())),
    Error,
  );
  assertStringIncludes(error.message, "cuMemAllocAsync");
  // Optional ones may be missing.
  assertEquals(
    buildStub(`${path}2`, driverSymbols, driverBodies(13000), ["cuFuncLoad"]),
    undefined,
  );
  const { calls } = withEnv({ PTA_TEST_LIB: `${path}2` }, () => findLibrary(spec()));
  assertThrows(() => calls.cuFuncLoad(1n), Error, "Cannot call cuFuncLoad: this CUDA driver");
});

Deno.test("ffi cuda: import needs no permission and no library; opening then says what is missing", async () => {
  const script = `
    const ffi = await import(${JSON.stringify(new URL("../ffi/mod.ts", import.meta.url).href)});
    for (const open of [ffi.openDriver, ffi.openNvrtc, ffi.openCublas, ffi.openCudnn, ffi.openNccl, ffi.openNvml]) {
      try { open(); console.log("opened"); } catch (error) { console.log(error.message); }
    }`;
  const file = `${folder}/import.ts`;
  await Deno.writeTextFile(file, script);
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--quiet", "--no-lock", "--allow-import", file],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const errors = text.split("Cannot open ").slice(1);
  assertEquals(errors.length, 6, text);
  for (const error of errors) {
    assertStringIncludes(error, "--allow-ffi is not granted");
    assertStringIncludes(error, "Install");
    assertStringIncludes(error, "--allow-read is not granted");
  }
});
