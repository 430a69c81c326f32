/** Containers of modules and parameters: keys, order, casts, printing, refusals. */
import { nn, Parameter, type Tensor, zeros } from "@pta/core";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { throwsExactly } from "./assert.ts";
import { on } from "./devices.ts";

const parameter = (...shape: number[]) => new Parameter(zeros(shape));
// deno-lint-ignore no-explicit-any -- what a caller without types might pass
const untyped = (x: unknown) => x as any;

class Net extends nn.Module {
  heads = new nn.ModuleDict({ price: new nn.Linear(2, 1), kind: new nn.ReLU() });
  scales = new nn.ParameterList([parameter(2, 3), parameter(4)]);
  named = new nn.ParameterDict({ right: parameter(1), left: parameter(2) });
  override forward(x: Tensor): Tensor {
    return this.heads.get("price").forward(x);
  }
}

Deno.test("containers: parameters are found under PyTorch's keys, in its order", () => {
  on("ref", () => {
    const net = new Net();
    // Names of a plain object are sorted, as torch.nn.ParameterDict sorts those of a dict.
    const keys = ["heads.price.weight", "heads.price.bias", "scales.0", "scales.1", "named.left"];
    assertEquals(net.namedParameters().map(([name]) => name), [...keys, "named.right"]);
    assertEquals(Object.keys(net.stateDict()).toSorted(), [...keys, "named.right"].toSorted());
    assertEquals(net.loadStateDict(net.stateDict()).missingKeys, []);
    assertEquals(`${net}`.replace(/weight.*/s, "").split("\n").slice(0, 11), [
      "Net(",
      "  (heads): ModuleDict(",
      "    (price): Linear(inFeatures=2, outFeatures=1, bias=true)",
      "    (kind): ReLU()",
      "  )",
      "  (scales): ParameterList(",
      "    (0): Parameter [2, 3] float32",
      "    (1): Parameter [4] float32",
      "  )",
      "  (named): ParameterDict(",
      "    (left): Parameter [2] float32",
    ]);
  });
});

Deno.test("containers: a cast reaches what they hold", () => {
  on("ref", () => {
    const net = new Net().to("float64");
    assert(net.parameters().every((p) => p.dtype === "float64"));
    assertEquals(net.parameters().length, 6);
    assertStrictEquals(net.scales.at(-1), net.parameters()[3]);
    assertStrictEquals(net.named.get("left"), net.parameters()[4]);
    assertEquals(net.train(false).heads.get("kind").training, false);
  });
});

Deno.test("ModuleDict: names keep their place; children can be mapped", () => {
  on("ref", () => {
    const dict = new nn.ModuleDict<nn.Module>([["b", new nn.ReLU()], ["a", new nn.Tanh()]]);
    dict.set("c", new nn.Sigmoid()).set("b", new nn.SiLU());
    assertEquals([...dict.keys()], ["b", "a", "c"]);
    assertEquals([...dict.values()].map(String), ["SiLU()", "Tanh()", "Sigmoid()"]);
    assertEquals(`${dict.pop("a")}`, "Tanh()");
    assertEquals([dict.size, dict.has("a"), dict.has("c")], [2, false, true]);
    dict.mapChildren((child, name) => name === "c" ? new nn.Identity() : child);
    assertEquals([...dict].map(([name, m]) => `${name} ${m}`), ["b SiLU()", "c Identity()"]);
    dict.clear();
    assertEquals(dict.size, 0);
  });
});

Deno.test("ParameterList and ParameterDict: adding, replacing, taking out", () => {
  on("ref", () => {
    const [a, b, c] = [parameter(1), parameter(2), parameter(3)];
    const list = new nn.ParameterList([a]).append(b).extend([c]);
    assertEquals([...list], [a, b, c]);
    assertStrictEquals(list.set(-1, a).at(2), a);
    const dict = new nn.ParameterDict([["y", a], ["x", b]]).set("y", c);
    assertEquals([...dict.keys()], ["y", "x"]);
    assertEquals([...dict.values()], [c, b]);
    assertStrictEquals(dict.pop("y"), c);
    assertEquals([...dict.entries()], [["x", b]]);
    assertEquals([dict.size, dict.has("y")], [1, false]);
  });
});

Deno.test("ModuleList: inserting and extending keep the numbers in order", () => {
  on("ref", () => {
    const list = new nn.ModuleList<nn.Module>([new nn.ReLU()]).extend([new nn.Tanh()])
      .insert(0, new nn.SiLU()).insert(-1, new nn.Mish());
    assertEquals([...list].map(String), ["SiLU()", "ReLU()", "Mish()", "Tanh()"]);
    assertEquals(list.namedChildren().map(([name]) => name), ["0", "1", "2", "3"]);
  });
});

Deno.test("containers: what does not belong in is refused", () => {
  on("ref", () => {
    const list = new nn.ParameterList([parameter(1)]), dict = new nn.ModuleDict();
    const table: readonly (readonly [() => unknown, new (message: string) => Error, string])[] = [
      [
        () => list.append(untyped(zeros([2]))),
        TypeError,
        "Cannot use item 1 as a parameter: it is Tensor, not a Parameter",
      ],
      [() => list.at(1), RangeError, "Cannot take parameter 1 of ParameterList: it has 1"],
      [
        () => dict.set("a.b", new nn.ReLU()),
        TypeError,
        'Cannot put "a.b" into a ModuleDict: a name is not empty and has no dot',
      ],
      [
        () => dict.set("a", untyped(nn.ReLU)),
        TypeError,
        "Cannot use item a as a layer: it is the class or function ReLU, not a Module",
      ],
      [() => dict.get("a"), RangeError, 'Cannot take "a" of ModuleDict: it has nothing'],
      [
        () => new nn.ParameterDict({ x: parameter(1) }).get("y"),
        RangeError,
        'Cannot take "y" of ParameterDict: it has x',
      ],
      [
        () => new nn.ModuleList<nn.Module>().insert(1, new nn.ReLU()),
        RangeError,
        "Cannot insert at 1 into ModuleList: it has 0",
      ],
      [
        () => new nn.ModuleDict().forward(),
        TypeError,
        "Cannot call a ModuleDict: call its modules in the forward of the module that holds it",
      ],
      [
        () => new nn.ParameterList().forward(),
        TypeError,
        "Cannot call a ParameterList: use its parameters in the forward of the module that holds it",
      ],
    ];
    for (const [fn, kind, message] of table) throwsExactly(fn, kind, message);
    assertEquals([list.length, dict.size], [1, 0]);
  });
});
