/**
 * Loaded before a command (`deno test --preload`): every kernel that the reference runs is also printed for the CUDA device and handed to its compiler, which the emulator has write
 * it down. So all kernels of a run are known without one of them being compiled, and the run is a right one.
 */
import { RefBackend } from "../../core/backend/ref/ref.ts";
import { CudaBackend } from "../../core/backend/cuda/mod.ts";
import { executable } from "../../core/backend/cuda/kernels.ts";
import type { Executable } from "../../core/device.ts";

let cuda: CudaBackend | undefined;
const seen = new Set<string>(), bind = RefBackend.prototype.bind;

RefBackend.prototype.bind = function (exe: Executable, extent, buffers) {
  const { kernel } = exe, key = `${extent} ${kernel.key}`;
  if (!seen.has(key)) {
    seen.add(key);
    cuda ??= new CudaBackend(0);
    const { printed } = executable(kernel, extent, cuda.runtime);
    for (const { printed: text, program } of printed.values()) {
      for (const pass of text.passes) program.function(pass.name);
    }
  }
  return bind.call(this, exe, extent, buffers);
};
