// What was recorded on its way to the server. In: int16 samples, in order. Out: chunks of 2 s, each kept until it is there.
//
// One request at a time, so chunks arrive in order; a repeat says the same offset and the server ignores what it has.
// What the server has stays for ten minutes more, to be listened to; everything unsent stays for as long as it takes.

export const RATE = 16000;
const CHUNK = 2 * RATE;
const KEPT = 600 * RATE; // ten minutes are 19 MB; two hours would be 230 MB
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 10_000];
const KEEPALIVE_BYTES = 65_000; // requests up to here outlive a page that closes; a chunk is one

/** Events: "change"; "refused" {status, message, remedy}: the server will not take more of this recording. */
export class Outbox extends EventTarget {
  #chunks = []; // {at: first sample, samples: Int16Array}
  #open = new Int16Array(CHUNK);
  #filled = 0;
  #there = 0; // samples that the server has
  #sending = false;
  #turn = 0; // failures in a row
  #timer = 0;
  #refusal = null;
  #closed = false;

  /** `post(byteOffset, samples, outlives)` resolves with the bytes the server has now; rejects with {status}. */
  constructor(post) {
    super();
    this.post = post;
    this.total = 0;
  }

  get unsent() {
    return this.total - this.#there;
  }

  get failing() {
    return this.#turn > 0;
  }

  get first() {
    return this.#chunks[0]?.at ?? this.total - this.#filled;
  }

  /** Samples from `first` on, as pieces. */
  held() {
    return [...this.#chunks.map((chunk) => chunk.samples), this.#open.slice(0, this.#filled)];
  }

  push(samples) {
    if (this.#closed) return;
    for (let from = 0; from < samples.length; ) {
      const piece = samples.subarray(from, from + CHUNK - this.#filled);
      this.#open.set(piece, this.#filled);
      this.#filled += piece.length;
      this.total += piece.length;
      from += piece.length;
      if (this.#filled === CHUNK) this.flush();
    }
  }

  /** What is there so far, although it is no whole chunk. */
  flush() {
    if (this.#filled) {
      this.#chunks.push({ at: this.total - this.#filled, samples: this.#open.slice(0, this.#filled) });
      this.#filled = 0;
    }
    this.#send();
  }

  /** Try again now, whatever the wait was: the network or the server is back. */
  hurry() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#send();
  }

  /** Once everything is at the server; rejects where the server refuses or the outbox is closed. */
  async delivered() {
    this.flush();
    while (this.unsent > 0) {
      if (this.#refusal) throw this.#refusal;
      const ends = new AbortController();
      const { signal } = ends;
      await new Promise((resolve, reject) => {
        this.addEventListener("change", resolve, { signal });
        this.addEventListener("refused", ({ detail }) => reject(detail), { signal });
        this.addEventListener("closed", () => reject(new DOMException("closed", "AbortError")), { signal });
      }).finally(() => ends.abort());
    }
  }

  /** Nothing is sent any more, and the samples are overwritten. */
  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const samples of this.held()) samples.fill(0);
    this.#open.fill(0);
    this.#chunks = [];
    this.#filled = 0;
    this.dispatchEvent(new Event("closed"));
  }

  async #send() {
    if (this.#sending || this.#refusal || this.#closed || this.#timer) return;
    const chunk = this.#chunks.find(({ at, samples }) => at + samples.length > this.#there);
    if (!chunk) return;
    this.#sending = true;
    const skip = Math.max(0, this.#there - chunk.at); // the server may have taken a part of it
    const samples = chunk.samples.subarray(skip);
    try {
      const bytes = await this.post((chunk.at + skip) * 2, samples, this.#turn === 0 && samples.byteLength < KEEPALIVE_BYTES);
      this.#arrived(Math.floor(bytes / 2), chunk.at + skip);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#sending = false;
    }
    if (!this.#closed) this.dispatchEvent(new Event("change"));
    this.#send();
  }

  #arrived(there, from) {
    if (there < from) return this.#refuse({ status: 404 }); // it lost what it had said it has
    if (there === this.#there) return this.#wait();
    this.#turn = 0;
    this.#there = Math.min(there, this.total);
    while (this.#chunks.length) {
      const { at, samples } = this.#chunks[0];
      const end = at + samples.length;
      if (end > this.#there || this.total - end < KEPT) return;
      samples.fill(0);
      this.#chunks.shift();
    }
  }

  #failed(error) {
    const { status = 0 } = error;
    // no answer, another start's key, overload, a fault: it may pass. The rest will not
    const passes = status === 0 || status === 403 || status === 408 || status === 429 || status >= 500;
    if (passes) this.#wait();
    else this.#refuse(error);
  }

  #wait() {
    const wait = WAITS_MS[Math.min(this.#turn, WAITS_MS.length - 1)];
    this.#turn += 1;
    this.#timer = setTimeout(() => this.hurry(), wait);
  }

  #refuse(detail) {
    if (this.#closed) return;
    this.#refusal = detail; // nothing is sent any more; what is unsent stays
    this.dispatchEvent(new CustomEvent("refused", { detail }));
  }
}

/** A WAV file in memory of int16 pieces. */
export function wav(pieces) {
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const word = (at, text) => [...text].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  word(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, RATE, true);
  head.setUint32(28, RATE * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  word(36, "data");
  head.setUint32(40, bytes, true);
  return new Blob([head, ...pieces], { type: "audio/wav" });
}
