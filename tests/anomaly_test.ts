/** The first operator that makes a value which is not finite is named, forward and backward. */
import "@pta/core/backend";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  autocast,
  capture,
  isDetectingAnomaly,
  nn,
  ones,
  optim,
  setDetectAnomaly,
  type Tensor,
  tensor,
  where,
} from "@pta/core";

function detecting(fn: () => void): void {
  setDetectAnomaly(true);
  try {
    fn();
  } finally {
    setDetectAnomaly(false);
  }
}

class Strange extends nn.Module {
  fc = new nn.Linear(2, 2);
  override forward(x: Tensor): Tensor {
    return this.fc.forward(x).sub(100).relu().log();
  }
}

Deno.test("anomaly: names operator, module, line and element of the forward pass", () =>
  detecting(() => {
    const error = assertThrows(
      () => new Strange().forward(ones([1, 2])).mul(2).sum().item(),
      RangeError,
      "Found a value that is not finite: log in Strange at ",
    );
    assert(error.message.includes("anomaly_test.ts:"), error.message);
    assert(
      error.message.endsWith("made 2 infinite of 2 elements, [1, 2] float32, the first at 0"),
      error.message,
    );
  }));

Deno.test("anomaly: names the operator whose gradient is not finite", () =>
  detecting(() => {
    const x = tensor([0, 4]).requiresGrad_();
    x.sqrt().sum().backward();
    const error = assertThrows(
      () => x.grad!.toArray(),
      RangeError,
      "the backward pass of sqrt at ",
    );
    assert(error.message.includes("anomaly_test.ts:"), error.message);
  }));

Deno.test("anomaly: composites keep their public name, also under autocast", () =>
  detecting(() => {
    const x = tensor([1e30, 1]);
    assertThrows(() => x.cosh().sum().item(), RangeError, ": cosh at ");
    assertThrows(
      () =>
        autocast({ dtype: "float16" }, () => ones([2, 2]).mul(300).matmul(ones([2, 2]).mul(300)))
          .toArray(),
      RangeError,
      ": matmul at ",
    );
  }));

Deno.test("anomaly: what is given infinity may pass it on, but not make NaN of it", () =>
  detecting(() => {
    const mask = tensor([-Infinity, 0]);
    assertEquals(tensor([1, 2]).add(mask).softmax(0).toArray(), [0, 1]);
    assertEquals(where(tensor([1, 0]).bool(), 3, -Infinity).toArray(), [3, -Infinity]);
    assertThrows(() => mask.sub(mask).toArray(), RangeError, ": sub at ");
  }));

Deno.test("anomaly: training goes as without, uncaptured and with the reason", () => {
  const train = (): number[] => {
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.GELU(), new nn.Linear(4, 1));
    for (const p of model.parameters()) p.copy_(ones(p.shape).mul(0.1));
    const optimizer = new optim.AdamW(model.parameters());
    const step = capture((x: Tensor) => {
      const loss = model.forward(x).square().mean();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    const losses = Array.from({ length: 5 }, () => step(ones([2, 3])).item());
    assertEquals(step.reason?.includes("anomalies") ?? false, isDetectingAnomaly());
    return losses;
  };
  const plain = train();
  detecting(() => {
    train().forEach((x, i) => assert(Math.abs(x - plain[i]) < 1e-6));
  });
});
