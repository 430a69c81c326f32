/** Hooks of modules, and errors that name the module they arose in. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { nn, ones, type Tensor, tensor } from "@pta/accelerated";

class Block extends nn.Module {
  layers = new nn.Sequential(new nn.Linear(3, 4), new nn.ReLU(), new nn.Linear(5, 2));
  override forward(x: Tensor): Tensor {
    return this.layers.forward(x);
  }
}

class Net extends nn.Module {
  first = new nn.Linear(2, 3);
  blocks = [new Block()];
  override forward(x: Tensor): Tensor {
    return this.blocks[0].forward(this.first.forward(x));
  }
}

Deno.test("an error names the module by its path in the model", () => {
  const error = assertThrows(() => new Net().forward(ones([1, 2])), TypeError);
  assert(error.message.startsWith("In blocks.0.layers.2 (Linear): Cannot "), error.message);
  assert(error.stack!.includes("In blocks.0.layers.2"));
  // The same error from a module on its own has no path.
  const alone = assertThrows(() => new nn.Linear(5, 2).forward(ones([1, 4])), TypeError);
  assert(alone.message.startsWith("Cannot "), alone.message);
});

Deno.test("forward hooks see and replace inputs and outputs until they are removed", () => {
  const layer = new nn.ReLU(), seen: string[] = [];
  const pre = layer.registerForwardPreHook((module, [x]) => {
    seen.push(`before ${module.constructor.name}`);
    return (x as Tensor).sub(3);
  });
  const post = layer.registerForwardHook((_, [x], y) => {
    seen.push(`after ${(x as Tensor).toArray()}`);
    return (y as Tensor).mul(10);
  });
  const x = tensor([1, 5]);
  assertEquals(layer.forward(x).toArray(), [0, 20]);
  assertEquals(seen, ["before ReLU", "after -2,2"]);
  pre.remove();
  post.remove();
  assertEquals(layer.forward(x).toArray(), [1, 5]);
  assertEquals(seen.length, 2);
});

Deno.test("a backward hook sees the gradients of inputs and outputs and may replace the former", () => {
  const model = new nn.Sequential(new nn.Linear(2, 2, { bias: false }), new nn.Tanh());
  model.loadStateDict({ "0.weight": tensor([[1, 2], [3, 4]]) });
  const [layer] = model.children(), seen: unknown[] = [];
  layer.registerFullBackwardHook((_, [gradInput], [gradOutput]) => {
    seen.push(gradInput!.toArray(), gradOutput!.toArray());
    return gradInput!.mul(2);
  });
  const x = tensor([[0, 0]], { requiresGrad: true });
  model.forward(x).sum().backward();
  assertEquals(x.grad!.toArray(), [[8, 12]]);
  assertEquals(seen, [[[4, 6]], [[1, 1]]]);
});
