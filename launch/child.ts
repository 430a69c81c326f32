/** Runs a built-in script that needs the tensor core: as a process of its own, so that the launcher stays light. */

/** What a script printed and how it ended. */
export interface ChildResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** URL of a built-in script. */
export function scriptUrl(name: string): string {
  return new URL(`./scripts/${name}`, import.meta.url).href;
}

/** Runs a built-in script to its end; a rank's variables are kept from it, since it is none. */
export async function runChild(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ChildResult> {
  const vars = Deno.env.toObject();
  for (const key of ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"]) delete vars[key];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", scriptUrl(name), ...args],
    env: { ...vars, NO_COLOR: "1", ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}
