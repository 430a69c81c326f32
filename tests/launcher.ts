/** Runs the launcher in tests and looks for processes it has left. */

/** What a launch printed and how it ended. */
export interface LaunchResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
}

const root = new URL("../", import.meta.url).pathname;

/** Starts the launcher in the root of the project, without colours. */
export function startLauncher(
  args: readonly string[],
  env: Record<string, string> = {},
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "launch/launch.ts", ...args],
    cwd: root,
    // neither the settings of the user nor the GPUs of the machine may matter
    env: {
      NO_COLOR: "1",
      XDG_CONFIG_HOME: "/nonexistent",
      PTA_CONFIG_FILE: "",
      CUDA_VISIBLE_DEVICES: "",
      ...env,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for a launcher to end; kills it after `limit` seconds, which is code 137. */
export async function finish(child: Deno.ChildProcess, limit = 30): Promise<LaunchResult> {
  const begin = performance.now();
  const timer = setTimeout(() => child.kill("SIGKILL"), limit * 1000);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const seconds = (performance.now() - begin) / 1000;
  return { code, out: decode(stdout), err: decode(stderr), seconds };
}

/** Starts the launcher and waits for it. */
export function runLauncher(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<LaunchResult> {
  return finish(startLauncher(args, env));
}

/** Process ids printed as `pid=123`, of processes that still live; a zombie does not. */
export function alive(text: string): number[] {
  const pids = [...text.matchAll(/\bpid=(\d+)/g)].map((m) => Number(m[1]));
  return pids.filter((pid) => {
    try {
      return !/^\d+ \(.*\) Z/.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
    } catch {
      return false;
    }
  });
}

/** The block of a failure, without its rules; every launch prints at most one. */
export function failureBlock(err: string): string {
  const parts = err.split(/^-{60,}$/m);
  if (parts.length !== 3) throw new Error(`${(parts.length - 1) / 2} blocks in:\n${err}`);
  return parts[1].trim();
}

/** Waits until the output of a launcher matches, without losing what was read. */
export async function until(child: Deno.ChildProcess, pattern: RegExp): Promise<{
  rest: () => Promise<string>;
  seen: string;
}> {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!pattern.test(seen)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Output ended before ${pattern}:\n${seen}`);
    seen += value;
  }
  const rest = async () => {
    let text = seen;
    for (let part; !(part = await reader.read()).done;) text += part.value;
    return text;
  };
  return { rest, seen };
}

/** Waits for the end of a launcher whose output is read elsewhere. */
export async function endOf(child: Deno.ChildProcess): Promise<{ code: number; err: string }> {
  const err = new Response(child.stderr).text();
  const { code } = await child.status;
  return { code, err: await err };
}

/** Lends a folder. */
export async function inFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
