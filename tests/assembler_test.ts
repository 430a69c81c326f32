import { assertEquals } from "@std/assert";
import {
  type Code,
  ModuleBuilder,
  type ValueType,
  Writer,
} from "../core/backend/wasm/assembler.ts";
import {
  block,
  br,
  brIf,
  call,
  drop,
  f32,
  f32x4,
  f64,
  f64x2,
  forLoop,
  get,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  i8x16,
  ifElse,
  increment,
  loop,
  ret,
  select,
  seq,
  set,
  tee,
  v128,
} from "../core/backend/wasm/instructions.ts";

type Anything = (...args: (number | bigint)[]) => number | bigint;

function instantiate(
  m: ModuleBuilder,
): { exports: Record<string, Anything>; memory: WebAssembly.Memory } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.build()), {
    e: { m: memory, exp: Math.exp, pow: Math.pow },
  });
  return { exports: exports as Record<string, Anything>, memory };
}

/** Evaluates one expression of the given parameters. */
function evaluate(
  type: ValueType,
  params: readonly ValueType[],
  args: readonly (number | bigint)[],
  make: (...params: Code[]) => Code,
): number | bigint {
  const m = new ModuleBuilder(), f = m.func(params, [type], "f");
  f.emit(make(...params.map((_, i) => get(i))));
  return instantiate(m).exports.f(...args);
}

Deno.test("signed and unsigned numbers are encoded as the format says", () => {
  const bytes = (write: (w: Writer) => void) => {
    const w = new Writer();
    write(w);
    return [...w.take()];
  };
  assertEquals(bytes((w) => w.unsigned(0)), [0]);
  assertEquals(bytes((w) => w.unsigned(127)), [127]);
  assertEquals(bytes((w) => w.unsigned(128)), [0x80, 1]);
  assertEquals(bytes((w) => w.unsigned(624485)), [0xe5, 0x8e, 0x26]);
  assertEquals(bytes((w) => w.unsigned(0xffffffff)), [0xff, 0xff, 0xff, 0xff, 0x0f]);
  assertEquals(bytes((w) => w.signed(-1)), [0x7f]);
  assertEquals(bytes((w) => w.signed(63)), [63]);
  assertEquals(bytes((w) => w.signed(64)), [0xc0, 0]);
  assertEquals(bytes((w) => w.signed(-64)), [0x40]);
  assertEquals(bytes((w) => w.signed(-123456)), [0xc0, 0xbb, 0x78]);
  assertEquals(bytes((w) => w.signed64(-123456n)), [0xc0, 0xbb, 0x78]);
  for (const n of [0, 1, -1, 63, 64, -65, 2 ** 31 - 1, -(2 ** 31), 0x12345678]) {
    assertEquals(evaluate("i32", [], [], () => i32.const(n)), n);
  }
  for (const n of [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 0x123456789abcdefn]) {
    assertEquals(evaluate("i64", [], [], () => i64.const(n)), n);
  }
});

Deno.test("a writer grows beyond its first size and nests parts", () => {
  const w = new Writer();
  const data = Uint8Array.from({ length: 5000 }, (_, i) => i & 255);
  w.raw(data);
  w.part((p) => p.raw(data));
  const out = w.take();
  assertEquals(out.length, 5000 + 2 + 5000);
  assertEquals(out.subarray(5002), data);
});

Deno.test("scalar instructions compute what their names say", () => {
  const int = (make: (a: Code, b: Code) => Code, a: number, b: number) =>
    evaluate("i32", ["i32", "i32"], [a, b], make);
  const cases: [keyof typeof i32, number, number, number][] = [
    ["add", 5, -7, -2],
    ["sub", 5, 7, -2],
    ["mul", 1 << 30, 4, 0],
    ["divS", -7, 2, -3],
    ["divU", -1, 2, 0x7fffffff],
    ["remS", -7, 2, -1],
    ["remU", 7, 4, 3],
    ["and", 6, 3, 2],
    ["or", 6, 3, 7],
    ["xor", 6, 3, 5],
    ["shl", 1, 33, 2],
    ["shrS", -8, 1, -4],
    ["shrU", -8, 28, 15],
    ["ltS", -1, 1, 1],
    ["ltU", -1, 1, 0],
    ["gtS", -1, 1, 0],
    ["gtU", -1, 1, 1],
    ["leS", 1, 1, 1],
    ["leU", 2, 1, 0],
    ["geS", -2, 1, 0],
    ["geU", -2, 1, 1],
    ["eq", 3, 3, 1],
    ["ne", 3, 3, 0],
  ];
  for (const [name, a, b, want] of cases) {
    assertEquals(int(i32[name] as (a: Code, b: Code) => Code, a, b), want, name);
  }
  const float = (make: (a: Code, b: Code) => Code, a: number, b: number) =>
    evaluate("f64", ["f64", "f64"], [a, b], make);
  assertEquals(float(f64.div, 1, 3), 1 / 3);
  assertEquals(float(f64.copysign, 2, -0), -2);
  assertEquals(float((a) => f64.nearest(a), 2.5, 0), 2);
  assertEquals(float((a) => f64.promoteF32(f32.demoteF64(a)), 0.1, 0), Math.fround(0.1));
  assertEquals(evaluate("i32", ["f64"], [1e20], (x) => i32.truncSatF64S(x)), 2 ** 31 - 1);
  assertEquals(evaluate("i64", ["i64", "i64"], [-7n, 2n], i64.divS), -3n);
  assertEquals(evaluate("i64", ["i64", "i64"], [-8n, 1n], i64.shrS), -4n);
  assertEquals(evaluate("i64", ["i32"], [-1], i64.extendI32U), 0xffffffffn);
});

Deno.test("vector instructions compute what their names say", () => {
  const lanesOf = (x: Code) =>
    [0, 1, 2, 3].map((l) => Number(evaluate("f32", [], [], () => f32x4.extractLane(l, x))));
  const intLanes = (x: Code) =>
    [0, 1, 2, 3].map((l) => Number(evaluate("i32", [], [], () => i32x4.extractLane(l, x))));
  const a = i32x4.lanes(1, -2, 3, -4), b = i32x4.lanes(10, 20, 30, 40);
  assertEquals(intLanes(i32x4.add(a, b)), [11, 18, 33, 36]);
  assertEquals(intLanes(i32x4.mul(a, b)), [10, -40, 90, -160]);
  assertEquals(intLanes(i32x4.shuffle(a, b, [3, 4, 0, 7])), [-4, 10, 1, 40]);
  assertEquals(intLanes(i32x4.shrU(a, i32.const(31))), [0, 1, 0, 1]);
  assertEquals(intLanes(i32x4.ltS(a, i32x4.const(0))), [0, -1, 0, -1]);
  assertEquals(intLanes(v128.bitselect(a, b, i32x4.lanes(-1, 0, -1, 0))), [1, 20, 3, 40]);
  assertEquals(intLanes(v128.andnot(i32x4.const(7), i32x4.const(2))), [5, 5, 5, 5]);
  assertEquals(intLanes(i32x4.replaceLane(2, a, i32.const(9))), [1, -2, 9, -4]);
  assertEquals(intLanes(i32x4.extendLowI16x8U(i16x8.extendLowI8x16U(i32x4.const(0x04030201)))), [
    1,
    2,
    3,
    4,
  ]);
  assertEquals(intLanes(i16x8.narrowI32x4U(i32x4.lanes(1, 70000, -1, 3), b)), [
    0xffff0001 | 0,
    0x30000,
    0x14000a,
    0x28001e,
  ]);
  assertEquals(intLanes(i64x2.extmulHighI32x4U(i32x4.const(-1), i32x4.const(2))), [-2, 1, -2, 1]);
  const x = f32x4.convertI32x4S(a);
  assertEquals(lanesOf(f32x4.relaxedMadd(x, x, f32x4.const(0.5))), [1.5, 4.5, 9.5, 16.5]);
  assertEquals(lanesOf(f32x4.relaxedNmadd(x, x, f32x4.const(0.5))), [-0.5, -3.5, -8.5, -15.5]);
  assertEquals(lanesOf(f32x4.pmax(x, f32x4.const(0))), [1, 0, 3, 0]);
  assertEquals(lanesOf(f32x4.nearest(f32x4.const(-1.5))), [-2, -2, -2, -2]);
  assertEquals(intLanes(i32x4.truncSatF32x4S(f32x4.const(NaN))), [0, 0, 0, 0]);
  assertEquals(evaluate("i32", [], [], () => i8x16.bitmask(i32x4.lanes(-1, 0, 0, -1))), 0xf00f);
  assertEquals(
    evaluate("f64", [], [], () => f64x2.extractLane(1, f64x2.div(f64x2.const(1), f64x2.const(3)))),
    1 / 3,
  );
  assertEquals(evaluate("i32", [], [], () => v128.anyTrue(i32x4.const(0))), 0);
  assertEquals(evaluate("i32", [], [], () => i32x4.allTrue(i32x4.const(2))), 1);
});

Deno.test("memory, control flow, calls and imports", () => {
  const m = new ModuleBuilder();
  const exp = m.import("exp", ["f64"], ["f64"]);
  assertEquals(m.import("exp", ["f64"], ["f64"]), exp);
  const double = m.func(["i32"], ["i32"]);
  double.emit(i32.add(get(0), get(0)));
  const sum = m.func(["i32"], ["i32"], "sum");
  const i = sum.local("i32"), s = sum.local("i32"), extra = sum.local("f64"), t = sum.local("i32");
  sum.emit(
    set(extra, f64.const(1)),
    forLoop(i, i32.const(0), get(0), i32.const(1), increment(s, call(double, get(i)))),
    ifElse(i32.gtS(get(s), i32.const(100)), seq(i32.const(-1), ret), set(t, i32.const(0))),
    block(loop(brIf(1, i32.geU(get(t), i32.const(3))), increment(t, i32.const(1)), br(0))),
    drop(get(extra)),
    i32.add(tee(i, get(s)), get(t)),
  );
  const store = m.func(["i32", "f32"], [], "store");
  store.emit(v128.store(get(0), f32x4.splat(get(1)), 16), i32.store8(get(0), i32.const(300), 1));
  const e = m.func(["f64"], ["f64"], "e");
  e.emit(select(call(exp, get(0)), f64.const(-1), f64.gt(get(0), f64.const(0))));
  const { exports, memory } = instantiate(m);
  assertEquals(exports.sum(5), 20 + 3);
  assertEquals(exports.sum(50), -1);
  exports.store(32, 2.5);
  assertEquals([...new Float32Array(memory.buffer, 48, 5)], [2.5, 2.5, 2.5, 2.5, 0]);
  assertEquals(new Uint8Array(memory.buffer)[33], 44);
  assertEquals(exports.e(1), Math.E);
  assertEquals(exports.e(-3), -1);
});

Deno.test("code that is used twice is emitted twice, and captured code where it is put", () => {
  const m = new ModuleBuilder(), f = m.func(["i32"], ["i32"], "f");
  const code = f.capture(() => f.emit(increment(0, i32.const(3))));
  f.emit(code, code, get(0));
  assertEquals(instantiate(m).exports.f(1), 7);
});
