/** `deno run -A tests/emulator/run.ts COMMAND ...`: runs a command with the emulated CUDA device as the default one. */
import { buildEmulator, whyNotEmulated } from "./build.ts";

const [command, ...args] = Deno.args;
const reason = whyNotEmulated();
if (command === undefined || reason !== undefined) {
  console.error(reason ?? "usage: run.ts COMMAND ...");
  Deno.exit(2);
}
const env = { ...buildEmulator(), PTA_DEVICE: "cuda", PTA_TEST_DEVICES: "ref,cuda" };
const { code } = await new Deno.Command(command === "deno" ? Deno.execPath() : command, {
  args,
  env: { ...env, ...Deno.env.toObject() },
  stdin: "inherit",
  stdout: "inherit",
  stderr: "inherit",
}).spawn().status;
Deno.exit(code);
