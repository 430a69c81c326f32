/** Small things around training: limits of types, parameters as a vector, clipping by a given norm. Values are PyTorch's. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  finfo,
  grad,
  iinfo,
  loadSafetensors,
  nn,
  optim,
  Parameter,
  saveSafetensors,
  tensor,
} from "@pta/core";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";

Deno.test("finfo: limits of floating types", () => {
  assertEquals(finfo("float32"), {
    bits: 32,
    eps: 1.1920928955078125e-07,
    max: 3.4028234663852886e+38,
    min: -3.4028234663852886e+38,
    tiny: 1.1754943508222875e-38,
    smallestNormal: 1.1754943508222875e-38,
    resolution: 1e-6,
  });
  assertEquals([finfo("float64").max, finfo("float64").eps], [Number.MAX_VALUE, Number.EPSILON]);
  assertEquals(finfo("float64").resolution, 1e-15);
  const half = finfo("float16"), brain = finfo("bfloat16");
  assertEquals([half.max, half.eps, half.tiny, half.resolution], [
    65504,
    0.0009765625,
    6.103515625e-05,
    0.001,
  ]);
  assertEquals([brain.max, brain.eps, brain.tiny, brain.resolution, brain.bits], [
    3.3895313892515355e+38,
    0.0078125,
    1.1754943508222875e-38,
    0.01,
    16,
  ]);
  assertThrows(() => finfo("int32"), TypeError, "Cannot take finfo of int32");
});

Deno.test("iinfo: limits of integer types", () => {
  assertEquals(iinfo("int32"), { bits: 32, min: -2147483648, max: 2147483647 });
  assertEquals(iinfo("uint8"), { bits: 8, min: 0, max: 255 });
  const long = iinfo("int64");
  assertEquals([long.min, long.max], [-9223372036854775808n, 9223372036854775807n]);
  assertThrows(() => iinfo("float32"), TypeError, "use finfo");
  assertThrows(() => iinfo("bool"), TypeError, "it must be an integer type");
});

eachDevice("parametersToVector and vectorToParameters: there and back, with gradients", () => {
  const model = new nn.Linear(3, 2), parameters = [...model.parameters()];
  const vector = nn.parametersToVector(model.parameters());
  assertEquals(vector.shape, [8]);
  assertEquals(numbers(vector), parameters.flatMap(numbers));
  const [gw, gb] = grad(vector.mul(tensor([1, 2, 3, 4, 5, 6, 7, 8])).sum(), parameters);
  assertEquals([numbers(gw), numbers(gb)], [[1, 2, 3, 4, 5, 6], [7, 8]]);
  nn.vectorToParameters(tensor([8, 7, 6, 5, 4, 3, 2, 1]), model.parameters());
  assertEquals([numbers(model.weight), numbers(model.bias!)], [[8, 7, 6, 5, 4, 3], [2, 1]]);
  assert(model.weight.requiresGrad);
  assertThrows(
    () => nn.vectorToParameters(tensor([1, 2, 3]), model.parameters()),
    TypeError,
    "Cannot write [3] over parameters: they have 8 elements",
  );
  assertEquals(numbers(model.bias!), [2, 1]);
  assertThrows(() => nn.parametersToVector([]), TypeError, "no parameters");
});

eachDevice("clipGradsWithNorm_: scales by a norm that is given", () => {
  const make = () => {
    const p = new Parameter(tensor([1, 2]));
    p.grad = tensor([3, 4]);
    return p;
  };
  const p = make();
  optim.clipGradsWithNorm_([p], 1, tensor(10));
  closeNumbers(numbers(p.grad!), [0.3, 0.4], {}, "a larger norm");
  const q = make();
  optim.clipGradsWithNorm_([q], 7, optim.getTotalNorm([q]));
  closeNumbers(numbers(q.grad!), [3, 4], {}, "below the bound");
  assertThrows(() => optim.clipGradsWithNorm_([p], -1, tensor(1)), RangeError, "at least 0");
});

Deno.test("ParametrizationList: holds the originals and what is applied, in order", () => {
  const model = new nn.Linear(3, 2);
  nn.parametrizations.weightNorm(model);
  const list = new Map(model.namedModules()).get("parametrizations.weight")!;
  assert(list instanceof nn.parametrize.ParametrizationList);
  assertEquals([...list.namedParameters()].map(([key, p]) => [key, p.shape]), [
    ["original0", [2, 1]],
    ["original1", [2, 3]],
  ]);
});

Deno.test("saveSafetensors and loadSafetensors: a state there and back", async () => {
  const path = await Deno.makeTempFile();
  try {
    const { weight, bias } = new nn.Linear(3, 2);
    await saveSafetensors({ weight, bias: bias! }, path);
    const state = await loadSafetensors(path);
    assertEquals(numbers(state.weight), numbers(weight));
    assertEquals(numbers(state.bias), numbers(bias!));
  } finally {
    await Deno.remove(path);
  }
});
