// One recording, from the microphone to the server. In: start, pause, resume, stop, finish, discard. Out: "change", "level".
//
// Time is counted in samples, not by a clock: what is shown is what there is. A second page of this browser sees by a
// lock that the recording is alive, so that it does not offer to finish it.

import { Microphone } from "./microphone.js";
import { Outbox, RATE, wav } from "./outbox.js";
import { store } from "./store.js";

const QUIET_PEAK = 0.008; // -42 dBFS: a voice at a table is 10 to 30 dB louder
const QUIET_S = 5;
const STALLED_MS = 3000;
const SLEPT_MS = 5000;
const ANSWER_MS = 20_000;

export const lockName = (id) => `jiyao.recording.${id}`;

export class Take extends EventTarget {
  state = "opening"; // recording, paused, stopped, sending
  troubles = new Set(); // lost, muted, stalled, quiet, slept, refused
  refusal = null;
  sleptMs = 0;
  id = null;
  #microphone = null;
  #outbox = null;
  #unlock = () => {};
  #quiet = 0; // samples since the last loud one
  #lastAt = 0;
  #watch = 0;
  #wake = null;
  #ends = new AbortController();

  get ms() {
    return ((this.#outbox?.total ?? 0) / RATE) * 1000;
  }

  get unsentMs() {
    return ((this.#outbox?.unsent ?? 0) / RATE) * 1000;
  }

  get failing() {
    return this.#outbox?.failing ?? false;
  }

  /** From here on the browser holds the sound. */
  get heldFromMs() {
    return ((this.#outbox?.first ?? 0) / RATE) * 1000;
  }

  get deviceId() {
    return this.#microphone?.deviceId ?? "";
  }

  /** Would closing the page lose something? */
  get atRisk() {
    if (this.state === "over") return false;
    return ["recording", "paused"].includes(this.state) || this.unsentMs > 0;
  }

  /** Throws MicrophoneError where there is no microphone, ApiError where the server will not have it. */
  async start(name, deviceId) {
    this.name = name;
    const microphone = await this.#open(deviceId);
    try {
      await this.#begin();
    } catch (error) {
      await microphone.close();
      throw error;
    }
    this.#use(microphone);
    this.#watch = setInterval(() => this.#look(), 1000);
    const { signal } = this.#ends;
    document.addEventListener("visibilitychange", () => this.#onVisible(), { signal });
    window.addEventListener("pagehide", () => this.#outbox?.flush(), { signal });
    window.addEventListener("online", () => this.#outbox?.hurry(), { signal });
    store.addEventListener("online", () => store.online && this.#outbox?.hurry(), { signal });
    this.#go("recording");
  }

  async #open(deviceId) {
    const microphone = new Microphone();
    await microphone.open(deviceId);
    return microphone;
  }

  /** A new recording at the server, and what carries to it. */
  async #begin() {
    const { id } = await store.api("POST", "/api/recordings", { name: this.name });
    this.id = id;
    const unlocked = new Promise((resolve) => (this.#unlock = resolve));
    navigator.locks?.request(lockName(id), () => unlocked).catch(() => {});
    this.#outbox = new Outbox((offset, samples, outlives) => post(id, offset, samples, outlives));
    this.#outbox.addEventListener("change", () => this.#changed());
    this.#outbox.addEventListener("refused", ({ detail }) => this.#onRefused(detail));
  }

  #use(microphone) {
    this.#microphone = microphone;
    const ours = (hear) => ({ detail }) => this.#microphone === microphone && hear(detail);
    microphone.addEventListener("pcm", ({ detail }) => this.#hear(detail));
    microphone.addEventListener("lost", ours(() => this.#onLost()));
    microphone.addEventListener("muted", ours(({ on }) => this.#trouble("muted", on)));
    microphone.addEventListener("stalled", ours(({ on }) => this.#trouble("stalled", on && this.state === "recording")));
    this.troubles.delete("lost");
  }

  #hear({ samples, peak }) {
    const now = Date.now();
    const gap = now - this.#lastAt;
    if (this.state === "recording" && this.#lastAt && gap > SLEPT_MS) {
      this.sleptMs += gap;
      this.#trouble("slept", true);
    }
    this.#lastAt = now;
    this.#quiet = peak < QUIET_PEAK ? this.#quiet + samples.length : 0;
    this.#trouble("quiet", this.state === "recording" && this.#quiet >= QUIET_S * RATE);
    this.#trouble("stalled", false);
    this.#outbox?.push(samples);
    this.dispatchEvent(new CustomEvent("level", { detail: { peak } }));
  }

  #look() {
    if (this.state !== "recording") return;
    if (Date.now() - this.#lastAt < STALLED_MS) return;
    this.#trouble("stalled", true);
    this.#microphone?.wake();
  }

  #onVisible() {
    if (document.visibilityState !== "visible") return;
    this.#microphone?.wake();
    if (this.state === "recording") this.#keepAwake();
  }

  async #onLost() {
    await this.#silence();
    this.#trouble("lost", true);
    if (this.state === "recording") this.#go("paused");
  }

  async #onRefused(refusal) {
    this.refusal = refusal;
    this.#trouble("refused", true);
    // with no room at the server every further minute would be lost with the page; otherwise it may go on elsewhere
    if (refusal.status === 413 && this.state !== "stopped") await this.stop();
  }

  async pause() {
    this.#microphone?.listen(false);
    this.#go("paused");
  }

  /** Throws MicrophoneError if the device is still away. */
  async resume() {
    if (!this.#microphone) this.#use(await this.#open(this.wanted));
    this.#go("recording");
  }

  /** Another microphone for what follows; on failure the one before goes on. */
  async change(deviceId) {
    const next = await this.#open(deviceId);
    this.wanted = deviceId;
    await this.#silence();
    this.#use(next);
    if (this.state === "recording") this.#go("recording");
  }

  async stop() {
    await this.#silence();
    this.#outbox?.flush();
    this.#go("stopped");
  }

  /** The microphone gives its last samples and is free. */
  async #silence() {
    const microphone = this.#microphone;
    await microphone?.close();
    if (this.#microphone === microphone) this.#microphone = null;
  }

  /** Everything delivered and given to recognition; resolves with the job's id. */
  async finish() {
    this.#go("sending");
    try {
      if (this.refusal?.status !== 413) await this.#outbox.delivered(); // else what found room
      const { job } = await store.api("POST", `/api/recordings/${this.id}/finish`, {});
      this.#end();
      return job;
    } catch (error) {
      if (this.state === "sending") this.#go("stopped");
      throw error;
    }
  }

  /** Nothing of it stays, here or at the server. */
  async discard({ tell = true } = {}) {
    const { id } = this;
    await this.#silence();
    this.#end();
    if (tell && id) await store.api("DELETE", `/api/recordings/${id}`).catch(() => {}); // offered again when it is back
  }

  /** What the browser still has as a new recording, after the server has lost the old one. Capture goes on. */
  async again() {
    const old = this.#outbox;
    this.#unlock();
    await this.#begin(); // until here everything new still goes into the old one
    for (const piece of old.held()) this.#outbox.push(piece);
    old.close();
    this.refusal = null;
    this.#trouble("refused", false);
    if (this.state === "stopped") this.#outbox.flush();
    this.#changed();
  }

  sound() {
    return wav(this.#outbox.held());
  }

  #go(state) {
    this.state = state;
    this.#lastAt = Date.now(); // a pause is no gap
    this.#quiet = 0;
    if (state === "recording") this.#microphone.listen(true);
    else for (const trouble of ["quiet", "stalled", "muted"]) this.troubles.delete(trouble);
    this.#keepAwake();
    this.#changed();
  }

  #end() {
    clearInterval(this.#watch);
    this.#ends.abort();
    this.#outbox?.close();
    this.#unlock();
    this.#go("over");
  }

  #trouble(name, on) {
    if (this.troubles.has(name) === on) return;
    if (on) this.troubles.add(name);
    else this.troubles.delete(name);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** The screen stays on while it records: most laptops sleep after the screen does. */
  async #keepAwake() {
    if (this.state !== "recording") {
      this.#wake?.release().catch(() => {});
      this.#wake = null;
      return;
    }
    if (!navigator.wakeLock || (this.#wake && !this.#wake.released)) return;
    this.#wake = await navigator.wakeLock.request("screen").catch(() => null); // refused on a low battery
    if (this.state !== "recording") this.#keepAwake();
  }
}

async function post(id, offset, samples, outlives) {
  const answer = await fetch(`/api/recordings/${id}?offset=${offset}`, {
    method: "POST",
    body: samples,
    keepalive: outlives,
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_MS),
    headers: { "Content-Type": "application/octet-stream", "X-Jiyao-Language": store.language },
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw { status: answer.status, message: told.error?.message ?? "", remedy: told.error?.remedy ?? "" };
  return told.bytes;
}
