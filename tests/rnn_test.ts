/** Recurrent networks. Values against PyTorch are in tests/golden. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { capture, cat, manualSeed, nn, optim, stack, type Tensor, tensor, zeros } from "@pta/core";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { type GradientCase, gradientTests, noise } from "./nn_cases.ts";

/** A case whose inputs are a sequence, states and every parameter of a network. */
function network(
  name: string,
  make: () => nn.RecurrentNetwork,
  call: (net: nn.RecurrentNetwork, x: Tensor[]) => Tensor[],
  inputs: readonly Tensor[],
): GradientCase {
  const net = make(), names = [...net.namedParameters()].map(([key]) => key);
  const parameters = [...net.namedParameters()].map(([, p], i) => noise(p.shape, 30 + i));
  return [
    name,
    (...all) => {
      Object.assign(net, Object.fromEntries(names.map((key, i) => [key, all[inputs.length + i]])));
      const out = call(net, all.slice(0, inputs.length));
      return cat(out.map((t) => t.flatten()));
    },
    [...inputs, ...parameters],
  ];
}

gradientTests("recurrent", () => {
  const x = noise([3, 2, 2], 1), dtype = "float64";
  return [
    network(
      "RNN",
      () => new nn.RNN(2, 3, { numLayers: 2, dtype }),
      (net, [x, h]) => (net as nn.RNN).forward(x, h),
      [x, noise([2, 2, 3], 2)],
    ),
    network(
      "GRU in both directions",
      () => new nn.GRU(2, 3, { bidirectional: true, dtype }),
      (net, [x, h]) => (net as nn.GRU).forward(x, h),
      [x, noise([2, 2, 3], 2)],
    ),
    network(
      "LSTM in two layers, projected",
      () => new nn.LSTM(2, 3, { numLayers: 2, projSize: 2, dtype }),
      (net, [x, h, c]) => {
        const [y, state] = (net as nn.LSTM).forward(x, [h, c]);
        return [y, ...state];
      },
      [x, noise([2, 2, 2], 2), noise([2, 2, 3], 3)],
    ),
  ];
});

const kinds: Readonly<Record<string, (options: nn.RecurrentOptions) => nn.RecurrentNetwork>> = {
  RNN: (options) => new nn.RNN(4, 5, options),
  GRU: (options) => new nn.GRU(4, 5, options),
  LSTM: (options) => new nn.LSTM(4, 5, options),
};
const outputs = (net: nn.RecurrentNetwork, x: Tensor) => (net.forward(x) as [Tensor])[0];

for (const [name, make] of Object.entries(kinds)) {
  eachDevice(`recurrent: ${name} drops between layers, in training alone`, () => {
    manualSeed(1);
    const x = noise([6, 3, 4], 1).float();
    const net = make({ numLayers: 2, dropout: 0.5 });
    const plain = make({ numLayers: 2 }), all = make({ numLayers: 2, dropout: 1 });
    for (const other of [plain, all]) other.loadStateDict(net.stateDict());
    assertNotEquals(numbers(outputs(net, x)), numbers(outputs(net, x)), "each call draws anew");
    net.eval();
    closeNumbers(numbers(outputs(net, x)), numbers(outputs(plain, x)), {}, "evaluation");
    // With everything dropped the second layer reads zeros.
    const second = make({}), state = all.stateDict();
    const zero = zeros([20 * 5, 4]).narrow(0, 0, second.stateDict().weight_ih_l0.shape[0]);
    second.loadStateDict({
      weight_ih_l0: zero,
      weight_hh_l0: state.weight_hh_l1,
      bias_ih_l0: state.bias_ih_l1,
      bias_hh_l0: state.bias_hh_l1,
    });
    closeNumbers(numbers(outputs(all, x)), numbers(outputs(second, x)), {}, "all dropped");
    // One layer has no layer after it.
    const lone = make({ dropout: 0.9 });
    assertEquals(numbers(outputs(lone, x)), numbers(outputs(lone, x)));
  });

  eachDevice(`recurrent: ${name} in one call is its cell step by step; directions mirror`, () => {
    manualSeed(2);
    const x = noise([5, 3, 4], 1).float(), net = make({});
    const Cell = { RNN: nn.RNNCell, GRU: nn.GRUCell, LSTM: nn.LSTMCell }[name]!;
    const cell = new Cell(4, 5) as nn.Module;
    cell.loadStateDict(
      Object.fromEntries(
        Object.entries(net.stateDict()).map(([key, t]) => [key.replace("_l0", ""), t]),
      ),
    );
    let state: unknown;
    const steps = x.unbind(0).map((step) => {
      state = cell.forward(step, state);
      return Array.isArray(state) ? state[0] as Tensor : state as Tensor;
    });
    closeNumbers(numbers(outputs(net, x)), numbers(stack(steps)), {}, "steps");
    const both = make({ bidirectional: true }), given = net.stateDict();
    both.loadStateDict({
      ...given,
      ...Object.fromEntries(Object.entries(given).map(([key, t]) => [`${key}_reverse`, t])),
    });
    const y = outputs(both, x), back = outputs(both, x.flip(0)).flip(0);
    closeNumbers(numbers(y.narrow(2, 0, 5)), numbers(back.narrow(2, 5, 5)), {}, "mirrored");
    const first = make({ batchFirst: true });
    first.loadStateDict(given);
    const z = outputs(first, x.transpose(0, 1));
    closeNumbers(numbers(z.transpose(0, 1)), numbers(outputs(net, x)), {}, "batchFirst");
  });
}

/** Losses of a few steps on a hundred time steps, and the largest gradient of the last. */
function train(captured: boolean): number[] {
  manualSeed(3);
  const net = new nn.LSTM(3, 6), head = new nn.Linear(6, 1);
  const optimizer = new optim.Adam([...net.parameters(), ...head.parameters()], { lr: 0.01 });
  const step = (x: Tensor, t: Tensor): Tensor => {
    optimizer.zeroGrad();
    const [y] = net.forward(x);
    const loss = nn.functional.mseLoss(head.forward(y), t);
    loss.backward();
    optimizer.step();
    return loss;
  };
  const run = captured ? capture(step) : step;
  const losses = Array.from({ length: 6 }, (_, i) => {
    const x = noise([100, 2, 3], 40 + i).float().realize();
    // The sum of what came before: something to be remembered.
    return run(x, x.sum(2, true).cumsum(0).mul(0.1).realize()).item();
  });
  return [...losses, numbers(net.parameters()[1].grad!.abs().max())[0]];
}

Deno.test("recurrent: an LSTM over 100 steps learns, captured as plainly", () =>
  on("cpu", () => {
    const plain = train(false), captured = train(true);
    assertEquals(captured, plain);
    assert(plain.every((v) => Number.isFinite(v) && v > 0));
    assert(plain[5] < plain[0], `${plain}`);
  }));

Deno.test("recurrent: bad arguments are refused", () =>
  on("ref", () => {
    const net = new nn.LSTM(4, 5, { numLayers: 2, batchFirst: true }), x = zeros([2, 7, 4]);
    const table: [() => unknown, new (m: string) => Error, string][] = [
      [
        () => net.forward(zeros([2, 7, 5])),
        TypeError,
        "Cannot apply LSTM to [2, 7, 5]: it must be [N, T, 4] or [T, 4], the last size inputSize",
      ],
      [
        () => net.forward(x, [zeros([2, 7, 5]), zeros([2, 2, 5])]),
        TypeError,
        "Cannot apply LSTM with h0 [2, 7, 5]: it must be [2, 2, 5]",
      ],
      [
        () => net.forward(x, [zeros([2, 2, 5]), zeros([1, 2, 5])]),
        TypeError,
        "Cannot apply LSTM with c0 [1, 2, 5]: it must be [2, 2, 5]",
      ],
      [
        () => new nn.LSTM(4, 5, { projSize: 5 }),
        RangeError,
        "Cannot make LSTM with projSize 5: it must be from 0 to below hiddenSize 5",
      ],
    ];
    for (const [fn, type, message] of table) throwsExactly(fn, type, message);
  }));

eachDevice("recurrent networks: padded sequences end as each would alone", () => {
  const lengths = [3, 5, 1], x = noise([3, 5, 4], 9).float();
  for (const [kind, make] of Object.entries(kinds)) {
    manualSeed(2);
    const net = make({ numLayers: 2, bidirectional: true, batchFirst: true }) as nn.LSTM;
    const final = (state: unknown) => [state].flat() as Tensor[];
    const alone = lengths.map((n, i) => net.forward(x.slice(0, i, i + 1).slice(1, 0, n)));
    const wanted = nn.padSequence(alone.map(([y]) => y.squeeze(0)), { batchFirst: true });
    for (const given of [lengths, tensor(lengths, { dtype: "int64" })]) {
      const [y, state] = net.forward(x, undefined, { lengths: given });
      closeNumbers(numbers(y), numbers(wanted));
      final(state).forEach((s, k) =>
        closeNumbers(numbers(s), numbers(cat(alone.map(([, a]) => final(a)[k]), 1)))
      );
    }
    const name = `Cannot apply ${kind} with`;
    assertThrows(
      () => net.forward(x, undefined, { lengths: [5, 6, 1] }),
      RangeError,
      `${name} a length of 6: it must be a whole number from 1 to 5`,
    );
    assertThrows(
      () => net.forward(x, undefined, { lengths: [5, 1] }),
      TypeError,
      `${name} lengths [2]: it must be [3], one for each sequence`,
    );
    assertThrows(
      () => net.forward(x.select(0, 0), undefined, { lengths: [5] }),
      TypeError,
      `${name} lengths [1]: a single sequence has none`,
    );
  }
});

Deno.test("padSequence and unpadSequence are each other's way back", () => {
  const parts = [noise([2, 3], 1), noise([4, 3], 2), noise([1, 3], 3)];
  const padded = nn.padSequence(parts, { paddingValue: 7 });
  assertEquals(padded.shape, [4, 3, 3]);
  assertEquals(padded.index(1, 2).toArray(), [7, 7, 7]);
  nn.unpadSequence(padded, [2, 4, 1]).forEach((s, i) =>
    assertEquals(s.toArray(), parts[i].toArray())
  );
  const left = nn.padSequence(parts, { batchFirst: true, paddingSide: "left" });
  assertEquals(left.index(0, { start: 2 }).toArray(), parts[0].toArray());
  assertEquals(left.index(0, { stop: 2 }).sum().item(), 0);
  throwsExactly(() => nn.padSequence([]), TypeError, "Cannot pad no sequences");
  throwsExactly(
    () => nn.padSequence([parts[0], zeros([4, 2])]),
    TypeError,
    "Cannot pad sequence 1 of shape [4, 2]: it must be [L, 3]",
  );
  throwsExactly(
    () => nn.unpadSequence(padded, [2, 5, 1]),
    RangeError,
    "Cannot unpad sequence 1 to 5 steps: it must be a whole number from 0 to 4",
  );
});
