/** The orthogonal parametrization: PyTorch's numbers and keys (`golden/orthogonal.py`), training, bad arguments. */
import { assertEquals, assertThrows } from "@std/assert";
import { arange, nn, optim, randn, stepScope, type Tensor, tensor } from "@pta/core";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";
import golden from "./golden/orthogonal.json" with { type: "json" };

interface Packed {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
const unpack = ({ shape, data }: Packed) => tensor([...data], { shape });
const { orthogonal } = nn.parametrizations;
const close = { rtol: 1e-4, atol: 1e-5 };

/** `q.T @ q`, of the smaller side. */
const gram = (q: Tensor) => q.shape[0] < q.shape[1] ? q.matmul(q.t()) : q.t().matmul(q);

golden.forEach(({ map, trivial, start, first, state, weight, gradient }) => {
  const name = `${map} of [${start.shape}]${trivial ? "" : ", not around the start"}`;
  eachDevice(`orthogonal: ${name} as PyTorch has it`, () => {
    const [rows, columns] = start.shape;
    const module = new nn.Linear(columns, rows, { bias: false });
    module.loadStateDict({ weight: unpack(start) });
    const options = { useTrivialization: trivial, ...(map === null ? {} : { orthogonalMap: map }) };
    orthogonal(module, "weight", options as nn.parametrizations.OrthogonalOptions);
    closeNumbers(numbers(module.weight), first.data, close, "at the start");
    const packed = state as Readonly<Record<string, Packed>>;
    assertEquals(Object.keys(module.stateDict()).toSorted(), Object.keys(packed).toSorted());
    module.loadStateDict(
      Object.fromEntries(Object.entries(packed).map(([k, v]) => [k, unpack(v)])),
    );
    closeNumbers(numbers(module.weight), weight.data, close, "weight");
    const factors = arange(rows * columns).to("float32").reshape(rows, columns);
    (module.weight as Tensor).mul(factors).sum().backward();
    const [original] = module.parameters();
    closeNumbers(numbers(original.grad!), gradient.data, close, "gradient");
  });
});

eachDevice("orthogonal: stays so in training", () => {
  const module = orthogonal(new nn.Linear(4, 3, { bias: false }));
  const optimizer = new optim.SGD(module.parameters(), { lr: 0.1 }), x = randn([8, 4]);
  for (let step = 0; step < 3; step++) {
    using _scope = stepScope();
    optimizer.zeroGrad();
    module.forward(x).sub(1).square().mean().backward();
    optimizer.step();
  }
  const one = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  closeNumbers(numbers(gram(module.weight)), one, { atol: 1e-5 }, "gram");
});

Deno.test("orthogonal: bad arguments", () => {
  assertThrows(
    () => orthogonal(new nn.Linear(3, 3), "bias"),
    TypeError,
    'Cannot make "bias" of Linear orthogonal: it must be a parameter of at least two dimensions',
  );
  assertThrows(
    () => orthogonal(new nn.Linear(3, 3), "weight", { orthogonalMap: "qr" as "cayley" }),
    RangeError,
    "it must be matrix_exp, cayley, householder",
  );
  assertThrows(
    () => orthogonal(new nn.Linear(3, 3), "weight", { useTrivialization: false }),
    TypeError,
    "the map has no inverse",
  );
});
