/** What `launch test` runs on every rank: the parts of a training run that depend on how many ranks there are. */
import {
  allReduceGradients,
  type Comm,
  data,
  defaultDevice,
  initComm,
  manualSeed,
  nn,
  optim,
  rand,
  randn,
  readRank,
  type Tensor,
  Trainer,
} from "@pta/accelerated";

const { rank, worldSize, localRank, localWorldSize } = readRank();
const comm: Comm = initComm();

/** One test; returns what it has found out. */
const tests: Record<string, () => string | Promise<string>> = {
  "process control": () => {
    const places = gather(new Int32Array([rank, localRank, localWorldSize]));
    for (let r = 0; r < worldSize; r++) {
      equal(places[3 * r], r, `the number of rank ${r}`);
      equal(places[3 * r + 2] > places[3 * r + 1], true, `rank ${r} has a place on its machine`);
    }
    comm.barrier();
    // the one after the other: each sees what those before it have done
    let turns = 0;
    for (let r = 0; r < worldSize; r++) {
      const turn = new Int32Array([r === rank ? turns + 1 : 0]);
      comm.broadcast(turn, r).wait();
      equal(turn[0], turns + 1, `the turn of rank ${r}`);
      turns = turn[0];
    }
    return `${turns} ranks in order`;
  },

  collectives: () => {
    for (const length of [1, 5, 1000, 70_001]) {
      const value = (r: number, i: number) => r + 1 + (i % 7);
      const own = Float32Array.from({ length }, (_, i) => value(rank, i));
      const total = (worldSize * (worldSize + 1)) / 2;
      const sum = own.slice();
      comm.allReduce(sum).wait();
      each(sum, (i) => total + worldSize * (i % 7), `allReduce of ${length}`);
      const most = own.slice();
      comm.allReduce(most, "max").wait();
      each(most, (i) => value(worldSize - 1, i), `allReduce max of ${length}`);
      const copy = own.slice();
      comm.broadcast(copy, worldSize - 1).wait();
      each(copy, (i) => value(worldSize - 1, i), `broadcast of ${length}`);
      const all = gather(own);
      each(all, (i) => value(Math.floor(i / length), i % length), `allGather of ${length}`);
      const wide = new Float32Array(length * worldSize).map((_, i) => rank + (i % 11));
      const part = new Float32Array(length);
      comm.reduceScatter(wide, part).wait();
      each(
        part,
        (i) => total - worldSize + worldSize * ((rank * length + i) % 11),
        `reduceScatter of ${length}`,
      );
    }
    const exact = new Float64Array([1 + 2 ** -40]);
    comm.allReduce(exact).wait();
    equal(exact[0], worldSize * (1 + 2 ** -40), "allReduce in float64");
    return "allReduce, broadcast, allGather, reduceScatter";
  },

  sharding: () => {
    for (const size of [1, worldSize, 4 * worldSize + 1, 97]) {
      for (const shuffle of [false, true]) {
        const sampler = new data.DistributedSampler(size, { rank, worldSize, shuffle, seed: 3 });
        sampler.setEpoch(2);
        const seen = new Int32Array(size);
        for (const i of sampler) seen[i]++;
        comm.allReduce(seen).wait();
        each(seen, () => 1, `how often ${size} samples are seen`);
      }
    }
    return "every sample once, also uneven";
  },

  "random numbers": () => {
    manualSeed(7);
    const same = hostOf(rand([16]));
    const all = gather(same);
    each(all, (i) => same[i % 16], "random numbers of one seed");
    manualSeed(100 + rank);
    const own = gather(hostOf(rand([4])));
    const firsts = new Set(Array.from({ length: worldSize }, (_, r) => own[4 * r]));
    equal(firsts.size, worldSize, "different numbers of different seeds");
    return "equal for one seed, different for several";
  },

  "training parity": () => {
    const batch = 4 * worldSize, steps = 8;
    manualSeed(1);
    const x = randn([batch * steps, 6]), y = x.sum(1, true).tanh();
    const run = (shared: boolean): { losses: number[]; weights: Float32Array } => {
      manualSeed(2);
      const model = new nn.Sequential(new nn.Linear(6, 16), new nn.Tanh(), new nn.Linear(16, 1));
      const optimizer = new optim.AdamW(model.parameters(), { lr: 0.02 });
      const loss = new nn.MSELoss(), losses: number[] = [];
      for (let step = 0; step < steps; step++) {
        const size = shared ? 4 : batch;
        const start = step * batch + (shared ? rank * size : 0);
        const out = loss.forward(
          model.forward(x.narrow(0, start, size)) as Tensor,
          y.narrow(0, start, size),
        );
        const value = new Float64Array([out.item()]);
        optimizer.zeroGrad();
        (shared ? out.div(worldSize) : out).backward();
        if (shared && worldSize > 1) allReduceGradients([...model.parameters()]);
        optimizer.step();
        if (shared) comm.allReduce(value).wait();
        losses.push(value[0] / (shared ? worldSize : 1));
      }
      const parts = [...model.parameters()].flatMap((p) => [...hostOf(p)]);
      return { losses, weights: Float32Array.from(parts) };
    };
    const one = run(false), many = run(true);
    let worst = 0;
    one.losses.forEach((value, i) => {
      const error = Math.abs(many.losses[i] - value) / Math.max(1e-3, Math.abs(value));
      if (!(error < 1e-4)) {
        throw new Error(
          `Loss of step ${i}: ${many.losses[i]} on ${worldSize} ranks, ${value} on one`,
        );
      }
      worst = Math.max(worst, error);
    });
    const all = gather(many.weights);
    each(all, (i) => many.weights[i % many.weights.length], "weights of the ranks");
    return `losses within ${worst.toExponential(1)} of one rank, weights equal`;
  },

  trainer: async () => {
    manualSeed(3);
    const x = randn([64 * worldSize, 8]), y = x.sum(1, true);
    const model = new nn.Sequential(new nn.Linear(8, 16), new nn.ReLU(), new nn.Linear(16, 1));
    const trainer = new Trainer({
      model,
      lossFunc: new nn.MSELoss(),
      optimizer: new optim.AdamW(model.parameters(), { lr: 0.01 }),
      callbacks: [],
      seed: 0,
    });
    await trainer.train({
      trainDataset: new data.TensorDataset(x, y),
      numEpochs: 4,
      perDeviceBatchSize: 16,
    });
    const losses = trainer.runHistory.values("train_loss_epoch");
    equal(losses[3] < losses[0], true, `the loss falls (${losses})`);
    const all = gather(Float64Array.from(losses));
    each(all, (i) => losses[i % losses.length], "losses that the ranks report");
    return `loss ${losses[0].toFixed(3)} to ${losses[3].toFixed(3)} in 4 epochs`;
  },
};

type Numbers = Float32Array | Float64Array | Int32Array;

/** What all ranks hold, one after the other. */
function gather<T extends Numbers>(own: T): T {
  const all = new (own.constructor as new (length: number) => T)(own.length * worldSize);
  comm.allGather(own, all).wait();
  return all;
}

/** Values on the host. */
function hostOf(tensor: Tensor): Float32Array {
  return Float32Array.from(tensor.data() as Float32Array);
}

function equal(actual: unknown, wanted: unknown, what: string): void {
  if (actual !== wanted) throw new Error(`Wrong: ${what}: ${actual} instead of ${wanted}`);
}

function each(actual: ArrayLike<number>, wanted: (i: number) => number, what: string): void {
  for (let i = 0; i < actual.length; i++) {
    if (actual[i] !== wanted(i)) equal(actual[i], wanted(i), `${what}, element ${i}`);
  }
}

const say = (text: string) => rank === 0 && console.log(text);
say(`${worldSize} rank${worldSize === 1 ? "" : "s"}, device ${defaultDevice()}`);
for (const [name, test] of Object.entries(tests)) {
  try {
    const begin = performance.now();
    const found = await test();
    say(`ok  ${name}: ${found} (${Math.round(performance.now() - begin)} ms)`);
  } catch (error) {
    throw new Error(`The test of ${name} failed on rank ${rank}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
comm.barrier();
say(`All ${Object.keys(tests).length} tests passed`);
comm.close();
