/** A bad argument to a module: the message names the module's path, the argument, what it got and what it wants. The rows are in `*_argument_cases.ts`. */
import { assert, assertThrows } from "@std/assert";
import { nn, type Tensor } from "@pta/accelerated";
import { containerArguments } from "./container_argument_cases.ts";
import { layerArguments } from "./layer_argument_cases.ts";
import { lossArguments } from "./loss_argument_cases.ts";
import { sequenceArguments } from "./sequence_argument_cases.ts";
import { windowArguments } from "./window_argument_cases.ts";

/** A model as users write it; the layer under test is `features.1`. */
class Net extends nn.Module {
  readonly features: nn.Sequential;
  constructor(layer: nn.Module) {
    super();
    this.features = new nn.Sequential(new nn.Identity(), layer);
  }
  override forward(...inputs: unknown[]): unknown {
    if (inputs.length === 1) return this.features.forward(inputs[0] as Tensor);
    return this.features.at(1).forward(...inputs);
  }
}

/** What a message must not be: the engine's own words. */
const engineWords = /undefined|\[object|NaN|is not a function|Cannot read prop|is not iterable/;

const tables = [
  containerArguments,
  layerArguments,
  lossArguments,
  sequenceArguments,
  windowArguments,
];

for (const [name, [make, ...says]] of tables.flatMap((t) => Object.entries(t.making))) {
  Deno.test(`making ${name}`, () => {
    const { message } = assertThrows(make, Error);
    for (const text of says) assert(message.includes(text), `"${message}" does not say ${text}`);
    assert(!engineWords.test(message) && message.startsWith("Cannot "), message);
  });
}

for (const [name, [layer, inputs, ...says]] of tables.flatMap((t) => Object.entries(t.calling))) {
  Deno.test(`calling ${name}`, () => {
    const made = layer(), net = new Net(made);
    const { message } = assertThrows(() => {
      const y = net.forward(...inputs);
      // An index is looked at when the values are.
      if (y instanceof Object && "data" in y) (y as Tensor).data();
    }, Error);
    const path = `In features.1 (${made.constructor.name}): Cannot `;
    const nested = message.startsWith("In features.1.") && message.includes("): Cannot ");
    assert(message.startsWith(path) || nested, message);
    for (const text of says) assert(message.includes(text), `"${message}" does not say ${text}`);
    assert(!engineWords.test(message), message);
  });
}
