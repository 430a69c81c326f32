/** Checks of constructor arguments, in one voice. */

/** @throws {RangeError} When a size is not a whole number of at least 1 */
export function checkSize(name: string, sizes: Readonly<Record<string, number>>): void {
  for (const [key, value] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(
        `Cannot make ${name} with ${key} ${value}: it must be a whole number of at least 1`,
      );
    }
  }
}

/** @throws {RangeError} When a probability is outside 0 to 1 */
export function checkProbability(action: string, key: string, value: number): void {
  if (!(value >= 0 && value <= 1)) {
    throw new RangeError(`Cannot ${action} with ${key} ${value}: it must be between 0 and 1`);
  }
}
