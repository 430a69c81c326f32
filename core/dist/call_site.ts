/** Where in the user's program a collective was called. Capturing is cheap, putting into words is not and comes later. */

/** Frames that are looked at; below them is usually the event loop. */
const FRAMES = 40;

/** Folders and addresses of pta itself, whose frames are of no interest to its users. */
const OWN = ownPrefixes(import.meta.url);

/** Remembers the place of a call. */
export function captureSite(): Error {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const error = new Error();
  Error.stackTraceLimit = before;
  return error;
}

/** The innermost place outside pta, such as `train.ts:10:5`; empty when there is none. */
export function describeSite(error: unknown): string {
  const stack = error instanceof Error ? error.stack ?? "" : "";
  for (
    const [, file, place] of stack.matchAll(/\(?((?:file|https?|data):[^\s()]*?)(:\d+:\d+)\)?$/gm)
  ) {
    if (OWN.some((prefix) => file.startsWith(prefix))) continue;
    return short(file) + place;
  }
  return "";
}

function ownPrefixes(url: string): string[] {
  const core = new URL("../", url).href;
  // on a registry the packages are scope/name/version
  const registry = /^(https:\/\/[^/]+\/@[^/]+\/)/.exec(url)?.[1];
  return registry !== undefined ? [registry] : [core, new URL("../trainer/", core).href];
}

/** A path below the working folder is shown from there. */
function short(file: string): string {
  if (!file.startsWith("file://")) return file;
  const path = decodeURIComponent(new URL(file).pathname);
  if (Deno.permissions.querySync({ name: "read", path: "." }).state !== "granted") return path;
  const cwd = `${Deno.cwd()}/`;
  return path.startsWith(cwd) ? path.slice(cwd.length) : path;
}
