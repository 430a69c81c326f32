/**
 * Types of the modules of Deno's standard library that we use. They come from an npm mirror without types; these declarations give the names of
 * the import map theirs, everywhere that `compilerOptions.types` reaches.
 */

declare module "@std/assert" {
  /** Thrown by a failed assertion. */
  export class AssertionError extends Error {
    constructor(message: string, options?: ErrorOptions);
  }
  // deno-lint-ignore no-explicit-any -- a constructor's parameters are contravariant: only `any` takes all of them
  type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;
  export function assert(expr: unknown, msg?: string): asserts expr;
  export function assertAlmostEquals(
    actual: number,
    expected: number,
    tolerance?: number,
    msg?: string,
  ): void;
  export function assertArrayIncludes<T>(
    actual: ArrayLike<T>,
    expected: ArrayLike<T>,
    msg?: string,
  ): void;
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T>;
  export function assertFalse(expr: unknown, msg?: string): asserts expr is false;
  export function assertGreater<T>(actual: T, expected: T, msg?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertInstanceOf<T>(
    actual: unknown,
    // deno-lint-ignore no-explicit-any -- as above
    expectedType: abstract new (...args: any[]) => T,
    msg?: string,
  ): asserts actual is T;
  export function assertIsError<E extends Error = Error>(
    error: unknown,
    ErrorClass?: ErrorClass<E>,
    msgMatches?: string | RegExp,
    msg?: string,
  ): asserts error is E;
  export function assertLess<T>(actual: T, expected: T, msg?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertObjectMatch(
    actual: Record<PropertyKey, unknown>,
    expected: Record<PropertyKey, unknown>,
    msg?: string,
  ): void;
  export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    msg?: string,
  ): asserts actual is T;
  export function assertStringIncludes(actual: string, expected: string, msg?: string): void;
  export function assertThrows(fn: () => unknown, msg?: string): unknown;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    ErrorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ): E;
  export function fail(msg?: string): never;
  export function unreachable(msg?: string): never;
}

declare module "@std/cli/parse-args" {
  /** How {@linkcode parseArgs} reads flags. */
  export interface ParseOptions<B extends string, S extends string, C extends string> {
    /** Puts what follows `--` into the field `--`. */
    readonly "--"?: boolean;
    readonly alias?: Readonly<Record<string, string | readonly string[]>>;
    readonly boolean?: boolean | B | readonly B[];
    readonly string?: S | readonly S[];
    readonly collect?: C | readonly C[];
    readonly negatable?: string | readonly string[];
    readonly default?: Readonly<Record<string, unknown>>;
    /** Whether everything after the first positional argument is positional. */
    readonly stopEarly?: boolean;
    /** Called for each flag that is not declared; false drops it. */
    readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  /** Flags by name, and positional arguments under `_`; what follows `--` under that name. */
  export type Args<B extends string, S extends string, C extends string> =
    & { [K in Exclude<S, C>]?: string }
    & { [K in Exclude<B, C>]: boolean }
    & { [K in C]: string[] }
    & { _: (string | number)[]; "--"?: string[] }
    // deno-lint-ignore no-explicit-any -- an undeclared flag is a string, a number or a boolean by how it looks
    & { [name: string]: any };
  export function parseArgs<
    B extends string = never,
    S extends string = never,
    C extends string = never,
  >(args: readonly string[], options?: ParseOptions<B, S, C>): Args<B, S, C>;
}

declare module "@std/yaml" {
  export function parse(content: string, options?: { filename?: string }): unknown;
  export function stringify(
    data: unknown,
    options?: { indent?: number; lineWidth?: number; sortKeys?: boolean; skipInvalid?: boolean },
  ): string;
}
