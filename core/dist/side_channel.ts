/** What a rank's communicator thread tells the main rank beside the collectives: that it lives, and why it failed. */
import { tryClose } from "./auth.ts";
import type { Failure, FailureReport } from "./failure.ts";
import { StoreClient } from "./store_client.ts";
import type { StoreAddress } from "./store.ts";

/** Seconds from one heartbeat to the next. */
const BEAT_S = 1;
/** Longest wait for the group's decision about a failure. */
const DECIDE_S = 1;

/** One rank's connection for heartbeats and one for everything else. */
export class SideChannel {
  readonly #rank: number;
  readonly #silence: number;
  readonly #beats: StoreClient;
  #left = false;

  /** Requests of the rendezvous. */
  readonly store: StoreClient;

  private constructor(rank: number, silence: number, store: StoreClient, beats: StoreClient) {
    this.#rank = rank;
    this.#silence = silence;
    this.store = store;
    this.#beats = beats;
  }

  /**
   * Connects to the main rank.
   *
   * @param seconds Longest wait for it
   * @param silence Seconds without an answer after which it is lost
   */
  static async connect(
    address: StoreAddress,
    secret: string,
    rank: number,
    { seconds, silence }: { seconds: number; silence: number },
  ): Promise<SideChannel> {
    const store = await StoreClient.connect(address, secret, seconds);
    try {
      const beats = await StoreClient.connect(address, secret, seconds);
      return new SideChannel(rank, silence, store, beats);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  /** Sends heartbeats until the group ends; returns the failure, or nothing when it ends in good order. */
  async watch(doing: () => string): Promise<Failure | undefined> {
    const lost = (text: string) => ({ origin: this.#rank, lost: 0, text });
    let begin = performance.now();
    try {
      while (!this.#left) {
        begin = performance.now();
        const beat = { rank: this.#rank, doing: doing() };
        const news = await this.#beats.beat(beat, BEAT_S, this.#silence);
        if (news === "closed") return undefined;
        if (news !== undefined) return news;
      }
    } catch {
      if (this.#left) return undefined;
      const silent = (performance.now() - begin) / 1000;
      const isSilence = silent >= this.#silence;
      return lost(
        isSilence ? `no answer for ${silent.toFixed(1)} s` : "its connection is closed",
      );
    }
  }

  /** Reports a failure; the group's decision, or the reported failure when there is none in time. */
  async decide(report: FailureReport): Promise<Failure> {
    try {
      return await this.store.report(report, DECIDE_S);
    } catch {
      return report.failure;
    }
  }

  /** Says that the end of this rank is no failure. */
  async leave(): Promise<void> {
    this.#left = true;
    // the heartbeat under way holds its connection, so the word goes by the other one
    await this.store.bye(this.#rank).catch(() => {});
    this.close();
  }

  close(): void {
    this.#left = true;
    tryClose(this.store);
    tryClose(this.#beats);
  }
}
