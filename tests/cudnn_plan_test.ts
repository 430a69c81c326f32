/** The backend's cuDNN graphs, planned by the real library for devices that are not here. */
import { assert, assertEquals } from "@std/assert";
import { cudnnBackendNumericalNote_t as notes, openCudnn } from "@pta/ffi";
import type { Planned } from "./cudnn_plan_run.ts";

const devices = ["h100", "a100", "b200", "rtx4090"];
const folderOf = (path: string) => path.replace(/[^/]*$/, "");

let reason = "", library = "";
try {
  if (Deno.env.has("PTA_EMULATOR_KERNELS")) {
    throw new Error("the emulated cuDNN does not plan by property sheets");
  }
  library = openCudnn().path;
} catch (error) {
  reason = ` (skipped: ${(error as Error).message.split(". ")[0]})`;
}

/** A driver that has every function and does nothing: engines that are compiled at run time want one. */
function idleDriver(folder: string): string | undefined {
  const headers = [`${folderOf(library)}../../cu13/include`, "/usr/local/cuda/include"];
  const text = headers.map((h) => {
    try {
      return Deno.readTextFileSync(`${h}/cuda.h`);
    } catch {
      return "";
    }
  }).find((found) => found !== "");
  if (text === undefined) return undefined;
  const names = new Set(Array.from(text.matchAll(/\bcu[A-Z]\w*/g), ([name]) => name));
  const own = {
    cuDriverGetVersion: "(int *v) { *v = 13000; return 0; }",
    cuGetErrorString: '(int e, const char **s) { *s = "idle"; return 0; }',
    cuGetErrorName: '(int e, const char **s) { *s = "IDLE"; return 0; }',
    cuFuncGetAttribute: "(int *v) { *v = 64; return 0; }",
    cuFuncSetAttribute: "() { return 0; }",
    cuKernelGetAttribute: "(int *v) { *v = 64; return 0; }",
    cuKernelSetAttribute: "() { return 0; }",
    cuKernelGetFunction: "(void **f) { *f = (void *)0x3000; return 0; }",
    cuLibraryGetKernel: "(void **k) { *k = (void *)0x2000; return 0; }",
    cuLibraryLoadData: "(void **l) { *l = (void *)0x1000; return 0; }",
    cuLibraryUnload: "() { return 0; }",
    cuModuleGetFunction: "(void **f) { *f = (void *)0x3000; return 0; }",
    cuModuleLoadData: "(void **m) { *m = (void *)0x1000; return 0; }",
    cuModuleLoadDataEx: "(void **m) { *m = (void *)0x1000; return 0; }",
    cuModuleUnload: "() { return 0; }",
    cuOccupancyMaxActiveBlocksPerMultiprocessor: "(int *n) { *n = 1; return 0; }",
    cuOccupancyMaxActiveClusters: "(int *n) { *n = 1; return 0; }",
  };
  for (const name of Object.keys(own)) names.delete(name);
  const all = [
    ...Object.entries(own).map(([name, rest]) => `int ${name}${rest}`),
    ...Array.from(names, (name) => `int ${name}() { return 100; }`),
  ];
  Deno.writeTextFileSync(`${folder}/driver.c`, all.join("\n"));
  const at = `${folder}/libcuda.so.1`;
  // deno-fmt-ignore
  const args = ["-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", "-o", at, `${folder}/driver.c`];
  try {
    return new Deno.Command("gcc", { args }).outputSync().success ? at : undefined;
  } catch {
    return undefined;
  }
}

Deno.test({
  name: `cudnn plans: convolutions and attention for ${devices.join(", ")}${reason}`,
  ignore: reason !== "",
  fn: async (t) => {
    const folder = Deno.makeTempDirSync(), driver = idleDriver(folder);
    const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
      // deno-fmt-ignore
      args: ["run", "-A", new URL("cudnn_plan_run.ts", import.meta.url).pathname, driver ?? "none", ...devices],
    }).output();
    Deno.removeSync(folder, { recursive: true });
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assertEquals(code, 0, text(stderr));
    const all: Planned[] = JSON.parse(text(stdout).trim().split("\n").at(-1)!);
    assertEquals(all.map((p) => p.device), devices);
    for (const { device, notes: found, scratch, counts, again } of all) {
      const labels = Object.keys(found);
      await t.step(`${device}: every convolution has an engine`, () => {
        const lost = labels.filter((l) => l.startsWith("convolution") && found[l] === null);
        assertEquals(lost, []);
        assertEquals(labels.filter((l) => l.startsWith("convolution")).length, 18);
      });
      await t.step(`${device}: only TF32 uses tensor cores for float32`, () => {
        for (const name of ["convolution", "convolutionInput", "convolutionWeight"]) {
          const cores = notes.CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
          assert(!found[`${name} float32`]!.includes(cores));
          assert(found[`${name} float32 tf32`]!.includes(cores));
        }
      });
      await t.step(`${device}: with channels last nothing is turned in scratch memory`, () => {
        const resnet = labels.filter((l) => l.startsWith("resnet "));
        assertEquals(resnet.filter((l) => found[l] === null), []);
        assertEquals(resnet.length, 24);
        for (const label of resnet.filter((l) => l.endsWith(" last") && !l.includes("stem"))) {
          const bytes = scratch[label], plain = scratch[label.replace(/last$/, "second")];
          // Row-major operands are turned there, tens of megabytes of them; what is left are partial sums of weights' gradients.
          assert(bytes < 8e6, `${label}: ${bytes} bytes`);
          assert(plain === 0 || bytes < plain, `${label}: ${bytes} and ${plain} bytes`);
        }
      });
      await t.step({
        name: `${device}: batch norm has engines in both orders${
          driver === undefined ? " (skipped: no cuda.h or no C compiler)" : ""
        }`,
        ignore: driver === undefined,
        fn: () => {
          const norms = labels.filter((l) => l.startsWith("batchNorm"));
          assertEquals(norms.filter((l) => found[l] === null), []);
          assertEquals(norms.length, 8);
          for (const label of norms.filter((l) => l.endsWith(" last"))) {
            assert(scratch[label] < 2e6, `${label}: ${scratch[label]} bytes`);
          }
        },
      });
      await t.step({
        name: `${device}: attention forward and backward have engines${
          driver === undefined ? " (skipped: no cuda.h or no C compiler)" : ""
        }`,
        ignore: driver === undefined,
        fn: () => {
          const attention = labels.filter((l) => l.startsWith("attention"));
          assertEquals(attention.filter((l) => found[l] === null), []);
          assertEquals(attention.length, 4);
        },
      });
      await t.step(`${device}: a second process takes the plans from the disk`, () => {
        assertEquals([counts.built, counts.fromDisk], [labels.length, 0]);
        assertEquals([again.built, again.fromDisk], [0, labels.length]);
      });
    }
  },
});
