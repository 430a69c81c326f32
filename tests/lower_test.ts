/** Loops, rows, addresses and stores of generated code. */
import { assert, assertEquals } from "@std/assert";
import { fitsLanes, lowerKernel } from "../core/backend/wasm/lower.ts";
import { planKernel } from "../core/backend/wasm/lower_plan.ts";
import type { DType } from "../core/dtype.ts";
import { KernelBuilder } from "./kernel_builder.ts";
import { compareRuns, runModule } from "./kernel_interpreter.ts";

const ramp = (n: number, scale = 1): number[] =>
  Array.from({ length: n }, (_, i) => scale * 2 * Math.sin(i * 12.9898 + 1));
const zeros = (n: number): number[] => new Array(n).fill(0);
const axisOf = (b: KernelBuilder) => planKernel(b.build(), 4, 16).axis;

Deno.test("sums of every length from 0, in chunks and whole", () => {
  for (const n of [...Array(20).keys(), 31, 32, 33, 37]) {
    for (const dtype of ["float32", "float16", "uint8", "bool", "float64", "int64"] as DType[]) {
      const b = new KernelBuilder([n]);
      b.store(b.op(dtype === "bool" ? "xor" : "add", b.load(dtype, [1]), b.load(dtype, [1])), [1]);
      const data = [ramp(n, 40), ramp(n, 3), zeros(n)].map((x) => x.map(Math.abs));
      compareRuns(b.build(), n, data);
      compareRuns(b.build(), n, data, undefined, 16);
    }
  }
});

Deno.test("views: offsets, strides, reversal, broadcasts and transposed loads", () => {
  for (const [rows, columns] of [[1, 1], [3, 5], [7, 4], [6, 9], [17, 33]]) {
    const n = rows * columns;
    const b = new KernelBuilder([rows, columns]);
    const straight = b.load("float32", [columns, 1], { offset: 3 });
    const reversed = b.load("float32", [-columns, -1], { offset: n - 1 });
    const transposed = b.load("int32", [1, rows]);
    const spread = b.load("float16", [2 * columns, 2]);
    const row = b.load("float32", [0, 1]),
      column = b.load("float32", [1, 0]),
      one = b.load("float32", [0, 0]);
    const sum = [
      reversed,
      b.cast(transposed, "float32"),
      b.cast(spread, "float32"),
      row,
      column,
      one,
    ]
      .reduce((a, x) => b.op("add", a, x), straight);
    b.store(sum, [columns, 1], { offset: 2 });
    b.store(b.cast(sum, "bfloat16"), [1, rows]);
    b.store(b.op("lt", straight, reversed), [-columns, -1], { offset: n - 1 });
    // deno-fmt-ignore
    compareRuns(b.build(), rows, [
      ramp(n + 3), ramp(n), ramp(n, 100), ramp(2 * n), ramp(columns), ramp(rows), ramp(1),
      zeros(n + 4), zeros(n), zeros(n),
    ]);
  }
});

Deno.test("softmax of rows of all lengths, in place and not", () => {
  for (const columns of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 31, 32, 33, 64, 65, 127, 128, 1000]) {
    for (const inPlace of [false, true]) {
      const rows = 5, n = rows * columns, b = new KernelBuilder([rows], [columns]);
      const x = b.load("float32", [columns, 1]);
      const e = b.op("exp", b.op("sub", x, b.reduced("max", x)));
      b.store(b.op("div", e, b.reduced("sum", e)), [columns, 1], inPlace ? { buffer: 0 } : {});
      compareRuns(b.build(), rows, inPlace ? [ramp(n, 5)] : [ramp(n, 5), zeros(n)]);
    }
  }
});

Deno.test("a row that a later pass needs is kept in scratch memory, unless it is very long", () => {
  const softmax = (columns: number) => {
    const b = new KernelBuilder([2], [columns]), x = b.load("float32", [columns, 1]);
    const e = b.op("exp", b.op("sub", x, b.reduced("max", x)));
    b.store(b.op("div", e, b.reduced("sum", e)), [columns, 1]);
    return b.build();
  };
  assertEquals(lowerKernel(softmax(1000)).scratchBytes, 4000);
  assertEquals(lowerKernel(softmax(32)).scratchBytes, 0); // held in locals
  assertEquals(lowerKernel(softmax(100000)).scratchBytes, 0);
  compareRuns(softmax(100000), 2, [ramp(200000), zeros(200000)]);
});

Deno.test("layer norm with a store of each row and two of each element", () => {
  for (const columns of [3, 8, 12, 50, 128]) {
    const rows = 6, n = rows * columns, b = new KernelBuilder([rows], [columns]);
    const x = b.load("float32", [columns, 1]), count = b.const(columns), eps = b.const(1e-5);
    const mean = b.op("div", b.reduced("sum", x), count);
    const centered = b.op("sub", x, mean);
    const variance = b.op("div", b.reduced("sum", b.op("mul", centered, centered)), count);
    const scale = b.op("div", b.const(1), b.op("sqrt", b.op("add", variance, eps)));
    const normal = b.op("mul", centered, scale);
    const weight = b.load("float32", [0, 1]), bias = b.load("float32", [0, 1]);
    b.store(normal, [columns, 1]);
    b.store(b.op("add", b.op("mul", normal, weight), bias), [columns, 1]);
    b.store(mean, [1, 0]);
    b.store(variance, [1, 0]);
    const data = [
      ramp(n),
      ramp(columns),
      ramp(columns),
      zeros(n),
      zeros(n),
      zeros(rows),
      zeros(rows),
    ];
    compareRuns(b.build(), rows, data, { absolute: 2e-6, relative: 5e-6 }, 16);
  }
});

Deno.test("columns are reduced with lanes across them", () => {
  for (const [rows, columns] of [[1, 1], [5, 3], [9, 16], [40, 10], [3, 37], [2000, 6]]) {
    const b = new KernelBuilder([columns], [rows]), x = b.load("float32", [1, columns]);
    b.store(b.reduced("sum", x), [1, 0]);
    b.store(b.reduced("max", x), [1, 0]);
    b.store(b.op("exp", b.op("sub", x, b.reduced("max", x))), [1, columns]);
    if (columns > 4) assertEquals(axisOf(b), 0);
    const out = [zeros(columns), zeros(columns), zeros(rows * columns)];
    compareRuns(b.build(), columns, [ramp(rows * columns), ...out], {
      absolute: 1e-4,
      relative: 1e-5,
    }, 16);
  }
});

Deno.test("sums over several dimensions, as of the channels of images", () => {
  for (const [images, channels, pixels] of [[3, 5, 7], [2, 4, 16], [9, 3, 100], [50, 2, 1]]) {
    const b = new KernelBuilder([channels], [images, pixels]);
    const x = b.load("float32", [pixels, channels * pixels, 1]), w = b.load("float32", [0, 1, 0]);
    b.store(b.reduced("sum", b.op("mul", x, w)), [1, 0, 0]);
    b.store(b.reduced("min", x), [1, 0, 0]);
    const data = [ramp(images * channels * pixels), ramp(images), zeros(channels), zeros(channels)];
    compareRuns(b.build(), channels, data, { absolute: 1e-5, relative: 1e-5 });
  }
});

Deno.test("a middle dimension is reduced with lanes along the last", () => {
  const [a, n, c] = [3, 11, 6], b = new KernelBuilder([a, c], [n]);
  b.store(b.reduced("sum", b.load("float32", [n * c, 1, c])), [c, 1, 0]);
  assertEquals(axisOf(b), 1);
  compareRuns(b.build(), a, [ramp(a * n * c), zeros(a * c)]);
});

Deno.test("reductions of every kind over every dtype, whole rows and single elements", () => {
  const all: DType[] = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "int32",
    "int64",
    "uint8",
    "bool",
  ];
  for (const dtype of all) {
    for (const op of ["sum", "prod", "max", "min"] as const) {
      for (const columns of [1, 6, 70]) {
        for (const across of [false, true]) {
          const b = new KernelBuilder([6], [columns]);
          b.store(b.reduced(op, b.load(dtype, across ? [1, 6] : [columns, 1])), [1, 0]);
          const size = op === "prod" ? 1.05 : 6;
          const data = ramp(6 * columns, size).map((x) => dtype === "uint8" ? Math.abs(x) : x)
            .map((x) => op === "prod" && dtype !== "bool" ? Math.sign(x) || 1 : x);
          compareRuns(b.build(), 6, [data, zeros(6)], { absolute: 1e-5, relative: 1e-5 });
        }
      }
    }
  }
});

Deno.test("NaN and infinities go through reductions", () => {
  for (const op of ["sum", "max", "min"] as const) {
    for (const columns of [3, 9, 40]) {
      for (const across of [false, true]) {
        const rows = 5, b = new KernelBuilder([rows], [columns]);
        b.store(b.reduced(op, b.load("float32", across ? [1, rows] : [columns, 1])), [1, 0]);
        const data = ramp(rows * columns);
        const put = (r: number, c: number, x: number) =>
          data[across ? c * rows + r : r * columns + c] = x;
        put(0, columns - 1, NaN);
        put(1, 0, Infinity);
        put(2, 0, -Infinity);
        put(3, 0, Infinity);
        put(3, 1, -Infinity);
        put(4, 1, NaN);
        put(4, 2, Infinity);
        compareRuns(b.build(), rows, [data, zeros(rows)]);
      }
    }
  }
});

Deno.test("rows of nothing give the start of the reduction", () => {
  const b = new KernelBuilder([3], [0]), x = b.load("float32", [0, 1]);
  b.store(b.reduced("sum", x), [1, 0]);
  b.store(b.reduced("max", x), [1, 0]);
  b.store(x, [0, 1]);
  const { buffers } = runModule(b.build(), 3, [[], ramp(3), ramp(3), []]);
  assertEquals(buffers.slice(1, 3), [[0, 0, 0], [-Infinity, -Infinity, -Infinity]]);
  const none = new KernelBuilder([3, 0]);
  none.store(none.load("float32", [0, 1]), [0, 1]);
  runModule(none.build(), 3, [[], []]);
});

Deno.test("long float sums stay accurate", () => {
  // A running float32 sum of these would be off by about 1e-4; blocks of it are not.
  const n = 1 << 20, data = Array.from({ length: n }, (_, i) => Math.fround(1 + Math.sin(i) / 2));
  const want = data.reduce((a, x) => a + x, 0);
  for (const across of [false, true]) {
    const b = across ? new KernelBuilder([4], [n / 4]) : new KernelBuilder([1], [n]);
    b.store(
      b.reduced("sum", b.load("float32", across ? [1, 4] : [0, 1])),
      across ? [1, 0] : [0, 0],
    );
    const { buffers: [, out] } = runModule(b.build(), across ? 4 : 1, [data, zeros(4)]);
    const got = out.reduce((a, x) => a + x, 0);
    assert(Math.abs(got / want - 1) < 1e-6, `relative error ${got / want - 1}`);
  }
});

Deno.test("embedding rows are gathered as vectors, elements lane by lane", () => {
  for (const type of ["int32", "int64", "uint8"] as DType[]) {
    const [words, width, count] = [11, 6, 9], b = new KernelBuilder([count, width]);
    const i = b.load(type, [1, 0]);
    const row = b.load("float32", [0, 1], { dynamic: [{ value: i, stride: width, size: words }] });
    const cell = b.load("float32", [0, 0], {
      dynamic: [{ value: b.load("int32", [width, 1]), stride: 1, size: 5 }],
    });
    b.store(b.op("add", row, cell), [width, 1]);
    assert(fitsLanes(b.build()));
    const ids = Array.from({ length: count }, (_, i) => i * 7 % words);
    const cells = Array.from({ length: count * width }, (_, i) => i * 3 % 5);
    compareRuns(b.build(), count, [ids, ramp(words * width), cells, ramp(5), zeros(count * width)]);
  }
});

Deno.test("cross entropy picks the logit of a label", () => {
  for (const classes of [3, 10, 70]) {
    const rows = 7, b = new KernelBuilder([rows], [classes]);
    const x = b.load("float32", [classes, 1]);
    const top = b.reduced("max", x);
    const total = b.op("log", b.reduced("sum", b.op("exp", b.op("sub", x, top))));
    const label = b.load("int64", [1, 0]);
    const own = b.load("float32", [classes, 0], {
      buffer: 0,
      dynamic: [{ value: label, stride: 1, size: classes }],
    });
    b.store(b.op("sub", b.op("add", total, top), own), [1, 0]);
    const hit = b.op("eq", b.index([0, 1]), b.cast(label, "int32"));
    b.store(b.op("where", hit, b.const(1), b.const(0)), [classes, 1]);
    const labels = Array.from({ length: rows }, (_, i) => i * 5 % classes);
    compareRuns(b.build(), rows, [
      ramp(rows * classes, 4),
      labels,
      zeros(rows),
      zeros(rows * classes),
    ]);
  }
});

Deno.test("scatter adds rows and elements, also where they meet", () => {
  for (const type of ["float32", "float16", "int32", "float64"] as DType[]) {
    const [words, width, count] = [5, 7, 12], b = new KernelBuilder([count, width]);
    const i = b.load("int32", [1, 0]), x = b.load(type, [width, 1]);
    b.store(x, [0, 1], { mode: "add", dynamic: [{ value: i, stride: width, size: words }] });
    b.store(x, [0, 0], {
      mode: "add",
      dynamic: [{ value: b.load("int32", [width, 1]), stride: 1, size: 3 }],
    });
    const kernel = b.build();
    assert(!lowerKernel(kernel).parallel);
    const ids = Array.from({ length: count }, (_, i) => i * i % words);
    const cells = Array.from({ length: count * width }, (_, i) => i % 3);
    const data = ramp(count * width, 2).map((v) => type === "float16" ? Math.round(v) : v);
    compareRuns(kernel, count, [ids, data, ramp(words * width).map(Math.round), cells, zeros(3)], {
      absolute: 1e-5,
      relative: 1e-5,
    });
  }
});

Deno.test("adding every point of a kernel to one element adds each once", () => {
  const n = 23, b = new KernelBuilder([n]);
  b.store(b.load("float32", [1]), [0], { mode: "add" });
  b.store(b.const(1), [0], { mode: "add" });
  const { buffers } = compareRuns(b.build(), n, [ramp(n), [100], [5]], {
    absolute: 1e-4,
    relative: 0,
  });
  assertEquals(buffers[2][0], 28);
});

Deno.test("an index out of range is reported and touches nothing", () => {
  for (const bad of [-1, 5, 2 ** 31 - 1, -(2 ** 31)]) {
    for (const perLane of [false, true]) {
      for (const scalar of [false, true]) {
        const n = 6, b = new KernelBuilder([n, 4]);
        const i = b.load("int32", perLane ? [4, 1] : [1, 0]);
        const address = { dynamic: [{ value: i, stride: 4, size: 5 }] };
        const x = b.load(scalar ? "float64" : "float32", [0, 1], address);
        b.store(x, [4, 1]);
        const list = Array.from({ length: perLane ? n * 4 : n }, (_, i) => i % 5);
        const data = [list, ramp(20), zeros(24)];
        assertEquals(runModule(b.build(), n, data).bad, undefined);
        list[3] = bad;
        const { bad: found, buffers } = compareRuns(b.build(), n, data);
        assertEquals(found, { index: bad, size: 5 });
        assert(buffers[2].every((v) => Number.isFinite(v)));
      }
    }
  }
});

Deno.test("lanes beyond the end of a row never raise an index error", () => {
  // The element after the last index is out of range.
  for (let n = 1; n < 9; n++) {
    const b = new KernelBuilder([n]);
    const i = b.load("int32", [1]);
    b.store(b.load("float32", [0], { dynamic: [{ value: i, stride: 1, size: 4 }] }), [1]);
    const ids = [...Array.from({ length: n }, (_, i) => i % 4), 999, 999, 999];
    assertEquals(compareRuns(b.build(), n, [ids, ramp(4), zeros(n)]).bad, undefined);
  }
});

Deno.test("an optimizer step in place, with a device learning rate", () => {
  for (const n of [1, 5, 64, 1003]) {
    const b = new KernelBuilder([n]);
    const p = b.load("float32", [1]),
      g = b.load("float32", [1]),
      m = b.load("float32", [1]),
      v = b.load("float32", [1]);
    const rate = b.load("float32", [0]);
    const mean = b.op("add", b.op("mul", m, b.const(0.9)), b.op("mul", g, b.const(0.1)));
    const square = b.op(
      "add",
      b.op("mul", v, b.const(0.999)),
      b.op("mul", b.op("mul", g, g), b.const(0.001)),
    );
    const step = b.op("div", mean, b.op("add", b.op("sqrt", square), b.const(1e-8)));
    b.store(mean, [1], { buffer: 2 });
    b.store(square, [1], { buffer: 3 });
    b.store(b.op("sub", p, b.op("mul", rate, step)), [1], { buffer: 0 });
    compareRuns(
      b.build(),
      n,
      [ramp(n), ramp(n), ramp(n), ramp(n).map(Math.abs), [0.01]],
      undefined,
      16,
    );
  }
});

Deno.test("int64 labels stay in lanes, int64 arithmetic does not", () => {
  const n = 13, ids = Array.from({ length: n }, (_, i) => i * 3 - 9);
  const same = new KernelBuilder([n]);
  same.store(same.op("eq", same.load("int64", [1]), same.load("int64", [1])), [1]);
  assert(fitsLanes(same.build()));
  compareRuns(same.build(), n, [ids, ids.map((x, i) => i % 2 ? x : x + 1), zeros(n)]);
  const wide = new KernelBuilder([n]);
  wide.store(wide.cast(wide.load("int32", [1]), "int64"), [1]);
  assert(fitsLanes(wide.build()));
  compareRuns(wide.build(), n, [ids, zeros(n)]);
  const sum = new KernelBuilder([n]);
  sum.store(sum.op("add", sum.load("int64", [1]), sum.load("int64", [1])), [1]);
  assert(!fitsLanes(sum.build()));
  const large = ids.map((x) => x * 2 ** 40);
  compareRuns(sum.build(), n, [large, large, zeros(n)]);
  const copy = new KernelBuilder([n]);
  copy.store(copy.load("int64", [1]), [1]);
  compareRuns(copy.build(), n, [large, zeros(n)]);
});

Deno.test("products inside sums are computed in one step", () => {
  // (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 exactly, and 0 when the product is rounded first.
  const x = 1 + 2 ** -12, b = new KernelBuilder([5]);
  const a = b.load("float32", [1]);
  b.store(b.op("add", b.op("mul", a, a), b.load("float32", [1])), [1]);
  const { buffers } = runModule(b.build(), 5, [
    Array(5).fill(x),
    Array(5).fill(-(1 + 2 ** -11)),
    zeros(5),
  ]);
  for (const y of buffers[2]) assert(y === 2 ** -24 || y === 0);
});

Deno.test("a value stored over its own input is not computed again from what was stored", () => {
  for (const columns of [5, 33, 200]) {
    const rows = 3, n = rows * columns, b = new KernelBuilder([rows], [columns]);
    const x = b.load("float32", [columns, 1]), count = b.const(1 / columns);
    const centered = b.op("sub", x, b.op("mul", b.reduced("sum", x), count));
    const variance = b.op("mul", b.reduced("sum", b.op("mul", centered, centered)), count);
    b.store(centered, [columns, 1], { buffer: 0 });
    b.store(b.op("div", centered, b.op("sqrt", variance)), [columns, 1]);
    compareRuns(b.build(), rows, [ramp(n).map((v) => v + 3), zeros(n)], {
      absolute: 1e-5,
      relative: 1e-5,
    });
  }
});

Deno.test("lanes beyond the end of a row touch no memory beyond the buffer", () => {
  // One more step of these strides would leave the memory.
  const far = 50000, list = zeros(4 * far + 1).map((_, i) => i % 7);
  for (let n = 1; n <= 5; n++) {
    const rows = new KernelBuilder([n]);
    rows.store(rows.load("float32", [far]), [1]);
    compareRuns(rows.build(), n, [list, zeros(n)]);
    const inner = new KernelBuilder([2, n]);
    inner.store(inner.load("float32", [0, far]), [n, 1]);
    compareRuns(inner.build(), 2, [list, zeros(2 * n)]);
  }
});

Deno.test("the first extent is no part of the module", () => {
  const make = (rows: number) => {
    const b = new KernelBuilder([rows], [4]);
    b.store(b.reduced("sum", b.load("float32", [4, 1])), [1, 0]);
    return b.build();
  };
  assertEquals(lowerKernel(make(3)).bytes, lowerKernel(make(1000)).bytes);
  compareRuns(make(3), 50, [ramp(200), zeros(50)]);
});
