/** A wait has run out of time. */
export class TimedOut extends Error {
  override name = "TimedOut";
}

/**
 * Runs `work` and gives up on it after `ms` milliseconds. What it was doing is not undone: the caller closes the
 * connection.
 *
 * @throws {TimedOut} When the time is over
 */
export async function withDeadline<T>(
  ms: number,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new TimedOut(`Cannot wait longer for the ${what}: ${ms / 1000} s are over`)),
      ms,
    );
  });
  const running = work();
  // when the deadline wins, a later failure of the work is nobody's business
  running.catch(() => {});
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves after `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
