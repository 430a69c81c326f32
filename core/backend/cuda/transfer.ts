/** Copies between host and device, through pinned memory so that the host need not wait. */
import type { BackendStats } from "../../device.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Bytes of one half of the upload ring. */
const HALF = 4 << 20;
/** Bytes up to which a download goes through pinned memory; larger ones go straight to their target. */
const DOWNLOAD = 1 << 20;

/**
 * Uploads return as soon as the data lies in pinned memory; the copies run in stream order. The ring has two halves: one is filled while the other is
 * being copied.
 */
export class Transfer {
  readonly #runtime: CudaRuntime;
  readonly #stats: BackendStats;
  #ring: Uint8Array<ArrayBuffer>[] | undefined;
  #events: bigint[] = [];
  #half = 0;
  #used = 0;
  #landing: Uint8Array<ArrayBuffer> | undefined;

  /**
   * @param runtime The device
   * @param stats Where downloads are counted, those of routines that run on the host included
   */
  constructor(runtime: CudaRuntime, stats: BackendStats) {
    this.#runtime = runtime;
    this.#stats = stats;
  }

  /** Copies bytes to a device address; they may change as soon as this returns. */
  upload(pointer: number, bytes: Uint8Array): void {
    const { driver, stream } = this.#runtime;
    this.#ring ??= this.#open();
    for (let from = 0; from < bytes.length;) {
      if (this.#used === HALF) this.#turn();
      const count = Math.min(HALF - this.#used, bytes.length - from);
      const place = this.#ring[this.#half].subarray(this.#used, this.#used + count);
      place.set(bytes.subarray(from, from + count));
      driver.cuMemcpyHtoDAsync(pointer + from, place, count, stream);
      from += count;
      // Addresses of pinned pieces stay multiples of 16.
      this.#used = Math.min(HALF, Math.ceil((this.#used + count) / 16) * 16);
    }
  }

  /** Copies from a device address, after everything launched before. */
  download(pointer: number, into: Uint8Array<ArrayBuffer>): void {
    const { driver, stream } = this.#runtime, count = into.length;
    this.#stats.reads++;
    if (count === 0) return this.#runtime.wait();
    if (count > DOWNLOAD) {
      driver.cuMemcpyDtoHAsync(into, pointer, count, stream);
      return this.#runtime.wait();
    }
    const landing = this.#landing ??= this.#runtime.pinned(DOWNLOAD);
    const place = landing.subarray(0, count);
    driver.cuMemcpyDtoHAsync(place, pointer, count, stream);
    this.#runtime.wait();
    into.set(place);
  }

  #open(): Uint8Array<ArrayBuffer>[] {
    this.#events = [this.#runtime.newEvent(), this.#runtime.newEvent()];
    const { driver, stream } = this.#runtime;
    for (const event of this.#events) driver.cuEventRecord(event, stream);
    return [this.#runtime.pinned(HALF), this.#runtime.pinned(HALF)];
  }

  /** Goes on in the other half, once what was copied from it has arrived. */
  #turn(): void {
    const { driver, stream } = this.#runtime;
    driver.cuEventRecord(this.#events[this.#half], stream);
    this.#half = 1 - this.#half;
    driver.cuEventSynchronize(this.#events[this.#half]);
    this.#used = 0;
  }
}
