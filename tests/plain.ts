/**
 * Dense arrays in float64 on plain JavaScript: the expectation that tensors are held against. Every operation says which element comes from
 * where, without strides, graphs or kernels, so it shares no mistake with what it checks.
 */

/** A row-major array. */
export interface Plain {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

type Index = readonly number[];

const count = (shape: Index) => shape.reduce((n, s) => n * s, 1);

/** Every index of a shape in row-major order. */
export function indices(shape: Index): number[][] {
  let out: number[][] = [[]];
  for (const size of shape) {
    out = out.flatMap((head) => Array.from({ length: size }, (_, i) => [...head, i]));
  }
  return out;
}

/** An array whose elements are a function of their index. */
export function build(shape: Index, element: (index: number[]) => number): Plain {
  return { shape, data: indices(shape).map(element) };
}

/** The element at an index. */
export function at(p: Plain, index: Index): number {
  let linear = 0;
  p.shape.forEach((size, d) => linear = linear * size + index[d]);
  return p.data[linear];
}

/** The shape that shapes broadcast to. */
export function broadcast(...shapes: readonly Index[]): number[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, d) => {
    const sizes = shapes.map((s) => s[d - rank + s.length] ?? 1);
    return sizes.find((s) => s !== 1) ?? 1;
  });
}

/** An array seen at a larger shape. */
export function expand(p: Plain, shape: Index): Plain {
  const lead = shape.length - p.shape.length;
  return build(shape, (i) => at(p, p.shape.map((s, d) => s === 1 ? 0 : i[d + lead])));
}

/** A function of the elements of arrays broadcast together. */
export function zip(f: (...x: number[]) => number, ...arrays: readonly Plain[]): Plain {
  const shape = broadcast(...arrays.map((a) => a.shape));
  const wide = arrays.map((a) => expand(a, shape).data);
  return {
    shape,
    data: Array.from({ length: count(shape) }, (_, i) => f(...wide.map((w) => w[i]))),
  };
}

/** The same elements under another shape. */
export function reshape(p: Plain, shape: Index): Plain {
  return { shape, data: p.data };
}

/** Dimensions reordered. */
export function permute(p: Plain, dims: Index): Plain {
  return build(
    dims.map((d) => p.shape[d]),
    (i) => at(p, p.shape.map((_, d) => i[dims.indexOf(d)])),
  );
}

/** Elements `start, start + step, ...` below `end` of one dimension. */
export function slice(p: Plain, dim: number, start: number, end: number, step = 1): Plain {
  const length = Math.max(0, Math.ceil((end - start) / step));
  return build(
    p.shape.map((s, d) => d === dim ? length : s),
    (i) => at(p, i.map((x, d) => d === dim ? start + x * step : x)),
  );
}

/** Dimensions reversed. */
export function flip(p: Plain, dims: Index): Plain {
  return build(p.shape, (i) => at(p, i.map((x, d) => dims.includes(d) ? p.shape[d] - 1 - x : x)));
}

/** `[before, after]` elements of `value` around each dimension, first dimension first. */
export function pad(
  p: Plain,
  widths: readonly (readonly [number, number])[],
  value: number,
): Plain {
  return build(p.shape.map((s, d) => s + widths[d][0] + widths[d][1]), (i) => {
    const from = i.map((x, d) => x - widths[d][0]);
    return from.every((x, d) => x >= 0 && x < p.shape[d]) ? at(p, from) : value;
  });
}

/** Arrays one after the other along a dimension. */
export function cat(arrays: readonly Plain[], dim: number): Plain {
  const shape = arrays[0].shape.map((s, d) =>
    d === dim ? arrays.reduce((n, a) => n + a.shape[dim], 0) : s
  );
  return build(shape, (i) => {
    let x = i[dim], which = 0;
    while (x >= arrays[which].shape[dim]) x -= arrays[which++].shape[dim];
    return at(arrays[which], i.map((y, d) => d === dim ? x : y));
  });
}

/** A function of each row over `dims`, kept with size 1 or dropped. */
export function reduce(
  f: (row: number[]) => number,
  p: Plain,
  dims: Index = p.shape.map((_, d) => d),
  keepdim = false,
): Plain {
  const kept = p.shape.map((s, d) => dims.includes(d) ? 1 : s);
  const inner = indices(p.shape.map((s, d) => dims.includes(d) ? s : 1));
  const out = build(kept, (i) => f(inner.map((j) => at(p, i.map((x, d) => x + j[d])))));
  return keepdim ? out : reshape(out, kept.filter((_, d) => !dims.includes(d)));
}

/** Matrix product of the last two dimensions, leading ones broadcast. */
export function matmul(a: Plain, b: Plain): Plain {
  const left = a.shape.length === 1 ? reshape(a, [1, ...a.shape]) : a;
  const right = b.shape.length === 1 ? reshape(b, [...b.shape, 1]) : b;
  const [m, k] = left.shape.slice(-2), n = right.shape[right.shape.length - 1];
  const batch = broadcast(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const wideA = expand(left, [...batch, m, k]), wideB = expand(right, [...batch, k, n]);
  const full = build([...batch, m, n], (i) => {
    const head = i.slice(0, -2), [row, column] = i.slice(-2);
    let sum = 0;
    for (let q = 0; q < k; q++) {
      sum += at(wideA, [...head, row, q]) * at(wideB, [...head, q, column]);
    }
    return sum;
  });
  const shape = [
    ...batch,
    ...(a.shape.length === 1 ? [] : [m]),
    ...(b.shape.length === 1 ? [] : [n]),
  ];
  return reshape(full, shape);
}

/** `out[i] = p[i with i[dim] = index[i]]`. */
export function gather(p: Plain, dim: number, index: Plain): Plain {
  return build(index.shape, (i) => at(p, i.map((x, d) => d === dim ? at(index, i) : x)));
}

/** A copy of `p` with `src[i]` added at `i with i[dim] = index[i]`. */
export function scatterAdd(p: Plain, dim: number, index: Plain, src: Plain): Plain {
  const targets = indices(index.shape).map((i) => ({
    to: i.map((x, d) => d === dim ? at(index, i) : x).join(),
    value: at(src, i),
  }));
  return build(
    p.shape,
    (i) => targets.reduce((sum, t) => t.to === i.join() ? sum + t.value : sum, at(p, i)),
  );
}
