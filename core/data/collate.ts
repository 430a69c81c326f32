/** Joining samples to a batch. */
import { type DType, dtypes, type HostArray } from "../dtype.ts";
import { Tensor } from "../tensor/mod.ts";
import { dtypeOf, HostField, isHostArray } from "./host_field.ts";

/** Joins samples to a batch. */
// Samples are whatever the dataset gives: `any` lets a function name its own type.
// deno-lint-ignore no-explicit-any
export type Collate = (samples: any[]) => unknown;

const isPlain = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null &&
  (Object.getPrototypeOf(x) === Object.prototype || Object.getPrototypeOf(x) === null);

/**
 * Joins samples on the host: the same as {@linkcode defaultCollate} with host fields for tensors.
 *
 * @throws {TypeError} When samples differ in structure, shape or dtype; says where
 */
export function collateHost(samples: readonly unknown[], path: string = "sample"): unknown {
  const [first] = samples;
  if (typeof first === "number") return scalars(samples, "float32", path);
  if (typeof first === "bigint") return scalars(samples, "int64", path);
  if (typeof first === "boolean") return scalars(samples, "bool", path);
  if (first instanceof Tensor || first instanceof HostField || isHostArray(first)) {
    return stackFields(samples.map((s, i) => fieldOf(s, path, i)), path);
  }
  if (Array.isArray(first)) {
    samples.forEach((s, i) => {
      if (!Array.isArray(s) || s.length !== first.length) {
        throw differ(
          path,
          i,
          Array.isArray(s) ? `an array of ${s.length}` : kindOf(s),
          `an array of ${first.length}`,
        );
      }
    });
    return first.map((_, k) =>
      collateHost(samples.map((s) => (s as unknown[])[k]), `${path}[${k}]`)
    );
  }
  if (isPlain(first)) {
    const keys = Object.keys(first);
    samples.forEach((s, i) => {
      if (!isPlain(s) || keys.some((key) => !Object.hasOwn(s, key))) {
        throw differ(path, i, isPlain(s) ? `{${Object.keys(s)}}` : kindOf(s), `{${keys}}`);
      }
    });
    return Object.fromEntries(keys.map((key) => [
      key,
      collateHost(samples.map((s) => (s as Record<string, unknown>)[key]), `${path}.${key}`),
    ]));
  }
  return [...samples];
}

/**
 * Joins samples to a batch, by what they are made of: numbers to float32, bigints to int64, booleans to bool, typed arrays and tensors of
 * one shape to one more dimension in front; arrays (taken as tuples) and objects by member; anything else to an array.
 *
 * Class numbers for a cross entropy are best given as bigint or in an integer array.
 *
 * @throws {TypeError} When samples differ in structure, shape or dtype; says where
 */
export function defaultCollate(samples: readonly unknown[]): unknown {
  return toTensors(collateHost(samples));
}

/** Turns host fields into tensors, at any depth of arrays and objects. */
export function toTensors(batch: unknown): unknown {
  if (batch instanceof HostField) return batch.toTensor();
  if (Array.isArray(batch)) return batch.map(toTensors);
  if (!isPlain(batch)) return batch;
  return Object.fromEntries(Object.entries(batch).map(([key, x]) => [key, toTensors(x)]));
}

function scalars(samples: readonly unknown[], dtype: DType, path: string): HostField {
  const out = dtypes[dtype].array(samples.length);
  samples.forEach((s, i) => {
    if (typeof s !== typeof samples[0]) throw differ(path, i, kindOf(s), kindOf(samples[0]));
    (out as { [index: number]: unknown })[i] = dtype === "bool" ? Number(s) : s;
  });
  return new HostField(out, [samples.length], dtype);
}

function fieldOf(sample: unknown, path: string, i: number): HostField {
  if (sample instanceof HostField) return sample;
  if (sample instanceof Tensor) return new HostField(sample.data(), sample.shape, sample.dtype);
  if (isHostArray(sample)) return new HostField(sample, [sample.length], dtypeOf(sample));
  throw differ(path, i, kindOf(sample), "an array or tensor");
}

function stackFields(fields: readonly HostField[], path: string): HostField {
  const [{ shape, dtype, data }] = fields, size = data.length;
  const out: HostArray = dtypes[dtype].array(fields.length * size);
  fields.forEach((f, i) => {
    if (f.dtype !== dtype || `${f.shape}` !== `${shape}`) {
      throw differ(path, i, `[${f.shape.join(", ")}] ${f.dtype}`, `[${shape.join(", ")}] ${dtype}`);
    }
    // Both have the array type of the dtype, which TypeScript cannot see.
    (out as Float32Array).set(f.data as Float32Array, i * size);
  });
  return new HostField(out, [fields.length, ...shape], dtype);
}

const kindOf = (x: unknown): string =>
  x === null ? "null" : Array.isArray(x) ? "an array" : `a ${typeof x}`;

function differ(path: string, i: number, actual: string, wanted: string): TypeError {
  return new TypeError(
    `Cannot join samples: ${path} is ${actual} in sample ${i} of the batch and ${wanted} in sample 0; give a collate function`,
  );
}
