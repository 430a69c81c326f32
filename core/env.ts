/**
 * Reads an environment variable when that is already permitted; never prompts and never throws.
 *
 * @param name Variable name, such as `PTA_DEBUG`
 * @returns The value, or `undefined` when the variable is unset or reading it is not granted
 */
export function env(name: string): string | undefined {
  const state = Deno.permissions.querySync({ name: "env", variable: name }).state;
  return state === "granted" ? Deno.env.get(name) : undefined;
}
