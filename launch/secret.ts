/** The secret of a launch: whoever knows it is a rank. It is handed on in the environment, never on a command line. */
import { RankEnv } from "@pta/core/dist/rank";
import { UsageError } from "./settings.ts";
import { createHmac } from "node:crypto";

const MIN_LENGTH = 16;

/** 256 random bits. */
export function makeSecret(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}

/**
 * The secret that several launchers share, from `PTA_LAUNCH_SECRET` or a file. After a restart it is another one made from it, so that a rank left
 * over from before cannot join.
 *
 * @throws {UsageError} If there is none, it is too short, or others may read the file
 */
export function readSecret(file: string | undefined, restart: number): string {
  const given = Deno.env.get(RankEnv.secret) || (file === undefined ? "" : readFile(file));
  if (given === "") {
    throw new UsageError(
      `Cannot join several launchers without a secret: set ${RankEnv.secret} to the same text for all, or give --secret-file`,
    );
  }
  if (given.length < MIN_LENGTH) {
    throw new UsageError(
      `Cannot use a secret of ${given.length} letters: wanted ${MIN_LENGTH} or more, such as those of openssl rand -hex 32`,
    );
  }
  if (restart === 0) return given;
  return createHmac("sha256", given).update(`restart ${restart}`).digest("hex");
}

function readFile(path: string): string {
  try {
    const { mode } = Deno.statSync(path);
    if (mode !== null && (mode & 0o077) !== 0) {
      throw new UsageError(`Cannot use ${path} as secret: others may read it; chmod 600 ${path}`);
    }
    return Deno.readTextFileSync(path).trim();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const isMissing = error instanceof Deno.errors.NotFound;
    const why = isMissing ? "there is no such file" : (error as Error).message;
    throw new UsageError(`Cannot read the secret from ${path}: ${why}`);
  }
}
