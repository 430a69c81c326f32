/** Bad calls: each raises at the call that is wrong, with a message that says what was given and what is wanted. The rows are in `*_error_cases.ts`. */
import { cat, noGrad, Parameter, stepScope, tensor } from "@pta/core";
import { assertEquals } from "@std/assert";
import { throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { movementErrors } from "./movement_error_cases.ts";
import { operandErrors } from "./operand_error_cases.ts";
import { tensorErrors } from "./tensor_error_cases.ts";

const stale =
  "Cannot compute this value: it was described from a tensor that has been changed in place since " +
  "(by an optimizer step, say); call realize() on it before the change";
const freed =
  "Cannot use this tensor: its memory was freed when its step scope ended or by dispose(); " +
  "keep(tensor) inside the scope makes it last";

const rows = [operandErrors, movementErrors, tensorErrors].flatMap((table) =>
  Object.entries(table)
);

for (const [kind, list] of rows) {
  eachDevice(`bad calls raise at once, in words: ${kind}`, () => {
    for (const [call, type, message] of list) throwsExactly(call, type, message);
  });
}

Deno.test("operands on different devices", () =>
  on("ref", () => {
    const here = tensor([1, 2]), there = tensor([1, 2], { device: "null" });
    throwsExactly(
      () => here.add(there),
      TypeError,
      'Cannot add tensors on ref and null: move one with to("ref")',
    );
    throwsExactly(
      () => cat([here, there]),
      TypeError,
      "Cannot concatenate tensors on ref and null",
    );
    throwsExactly(
      () => here.assign(there),
      TypeError,
      "Cannot assign [2] float32 on null to [2] float32 on ref: devices differ",
    );
    throwsExactly(
      () => here.assign(tensor([1])),
      TypeError,
      "Cannot assign [1] float32 on ref to [2] float32 on ref: shape and dtype must be equal",
    );
    throwsExactly(
      () => here.assign(here.double()),
      TypeError,
      "Cannot assign [2] float64 on ref to [2] float32 on ref: shape and dtype must be equal",
    );
  }));

eachDevice(
  "a value described from a tensor that was changed since is an error, not a wrong number",
  () => {
    const x = tensor([1, 2]);
    const y = x.mul(2), seen = x.reshape(2, 1).realize();
    x.copy_([5, 6]);
    throwsExactly(() => y.data(), ReferenceError, stale);
    throwsExactly(() => seen.data(), ReferenceError, stale);
    const z = x.mul(2);
    x.assign(x.add(1)).realize();
    throwsExactly(() => z.data(), ReferenceError, stale);
    assertEquals(x.toArray(), [6, 7]);
    assertEquals(x.mul(2).toArray(), [12, 14]);
  },
);

eachDevice("a stale loss spoils its own gradients and nothing else", () => {
  const w = new Parameter(tensor([1]));
  const loss = w.mul(w).sum();
  w.assign(noGrad(() => w.add(1))).realize();
  loss.backward();
  throwsExactly(() => w.grad!.data(), ReferenceError, stale);
  assertEquals(tensor([1]).add(1).item(), 2);
  w.grad = undefined;
  w.mul(w).sum().backward();
  assertEquals(w.grad!.item(), 4);
});

eachDevice("a scope ends also when its gradients cannot be computed", () => {
  const w = new Parameter(tensor([1]));
  throwsExactly(
    () => {
      using _ = stepScope();
      const loss = w.mul(w).sum();
      w.assign(noGrad(() => w.add(1))).realize();
      loss.backward();
    },
    ReferenceError,
    stale,
  );
  w.grad = undefined;
  {
    using _ = stepScope();
    assertEquals(w.item(), 2);
  }
});

eachDevice("use after free", () => {
  const x = tensor([1]), y = x.mul(2);
  x.dispose();
  throwsExactly(() => x.item(), ReferenceError, freed);
  throwsExactly(() => y.item(), ReferenceError, freed);
});

Deno.test("there are at least forty bad calls", () => {
  assertEquals(rows.flatMap(([_, list]) => list).length >= 40, true);
});
