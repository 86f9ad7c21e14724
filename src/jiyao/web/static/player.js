// <jiyao-player>: hear the recording of a job. In: `.job`, seek, toggle, step, rate. Out: `tick` {ms, playing, stretch}.
//
// The sound is the server's 16 kHz WAV, read in ranges: seeking is exact for every format that was given.

import { View, el, put } from "./dom.js";
import { clock, spoken } from "./format.js";
import { icon } from "./icons.js";
import { iconButton, name, recall, remember, setIcon, solo } from "./player-kit.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { doubts } from "./turns.js";
import { Waveform, heardOf, speakersOf } from "./waveform.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
const PEAKS = 2048; // more than any screen has bars
const FIRST_MS = 10_000;
const OVER = ["done", "failed", "cancelled"];
const ARROWS_S = { ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5, PageUp: 60, PageDown: -60 };

function rememberedSpeed() {
  const speed = Number(recall("speed"));
  return SPEEDS.includes(speed) ? speed : 1;
}

class JiyaoPlayer extends View {
  #job = null;
  #ready = false; // the sound is there
  #broken = false;
  #ms = 0;
  #stretch = null; // [from, until]: what is to be heard and no more
  #dragging = false;
  #frame = 0;
  #tickets = 0; // answers for an earlier job are dropped
  #late = 0;
  #places = new Map(); // job → where it was left

  constructor() {
    super();
    this.audio = new Audio();
    this.audio.preload = "metadata";
    this.audio.preservesPitch = true;
    this.audio.disableRemotePlayback = true; // no offer to send a meeting to a television
    this.audio.addEventListener("play", () => this.#onPlay());
    this.audio.addEventListener("pause", () => this.#onPause());
    this.audio.addEventListener("ended", () => this.#onPause());
    this.audio.addEventListener("timeupdate", () => this.#onTime());
    this.audio.addEventListener("error", () => this.#onError());
    this.audio.addEventListener("waiting", () => this.toggleAttribute("waiting", true));
    const flows = () => this.removeAttribute("waiting");
    for (const event of ["playing", "pause", "seeked", "emptied"]) this.audio.addEventListener(event, flows);
  }

  connected() {
    this.on(store, "job", ({ detail }) => detail === this.#job && this.#follow());
    this.on(store, "lines", ({ detail }) => detail.job === this.#job && this.#soon());
    this.on(store, "jobs online", () => this.#follow());
    this.on(store, "wiped", () => {
      this.revoke();
      this.#places.clear();
    });
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#dropSound();
    this.wave?.close();
    this.wave = null;
  }

  get job() {
    return this.#job;
  }

  set job(id) {
    if (id === this.#job) return;
    if (this.#about) this.#places.set(this.#job, this.#ms);
    this.revoke();
    this.#job = id ?? null;
    this.#ms = this.#places.get(id) ?? 0;
    if (this.isConnected) this.#follow();
  }

  get playing() {
    return !this.audio.paused && !this.audio.ended;
  }

  get ms() {
    return this.#ms;
  }

  // what others call

  /** `until`: stop there; the same stretch once more while it plays: stop now. */
  seek(ms, play = false, until = null) {
    if (until !== null && this.playing && this.#stretch?.[0] === ms && this.#stretch[1] === until) return this.audio.pause();
    this.#stretch = until === null ? null : [ms, until];
    this.#go(ms);
    if (play) this.#play();
  }

  toggle() {
    if (this.playing) this.audio.pause();
    else this.#play();
  }

  step(seconds) {
    this.seek(this.#ms + seconds * 1000);
  }

  /** One step faster or slower. */
  rate(steps) {
    const at = SPEEDS.indexOf(this.audio.playbackRate);
    this.#setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at + steps))]);
  }

  /** Stop, and keep nothing of the recording. */
  revoke() {
    this.#tickets += 1;
    this.#dropSound();
    this.#job = null;
    this.#ms = 0;
    this.peaks?.fill(0);
    this.peaks = null;
    this.wave?.clear();
    if (this.isConnected) this.#show();
  }

  #dropSound() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#late);
    this.#late = 0;
    this.#stretch = null;
    this.audio.pause();
    if (this.audio.hasAttribute("src")) {
      this.audio.removeAttribute("src");
      this.audio.load(); // lets go of what was buffered
    }
    this.#ready = this.#broken = false;
  }

  // the job

  get #about() {
    return this.#job === null ? undefined : store.jobs.get(this.#job);
  }

  get #duration() {
    return this.#about?.duration_ms ?? 0;
  }

  #follow() {
    const about = this.#about;
    if (this.#job !== null && !about) return this.revoke();
    if (about?.has_audio && !this.#ready) this.#load();
    this.#soon();
    this.#show();
  }

  #load() {
    this.#ready = true;
    this.#openSound();
    this.#setSpeed(rememberedSpeed());
    this.#fetchPeaks();
  }

  get #denoised() {
    return Boolean(this.#about?.has_denoised) && recall("denoised") !== "off";
  }

  #openSound() {
    this.audio.src = `/api/jobs/${this.#job}/audio.wav${this.#denoised ? "?sound=denoised" : ""}`;
    if (this.#ms) this.audio.currentTime = this.#ms / 1000;
  }

  /** The same moment, with its noise or without. */
  #switchSound() {
    remember("denoised", this.#denoised ? "off" : "on");
    const { playing } = this;
    const stretch = this.#stretch;
    this.#broken = false;
    this.#openSound();
    if (playing) this.#play();
    this.#stretch = stretch;
    this.#show();
  }

  async #fetchPeaks() {
    const ticket = this.#tickets;
    try {
      const answer = await store.send("GET", `/api/jobs/${this.#job}/peaks?count=${PEAKS}`);
      const peaks = new Uint8Array(await answer.arrayBuffer());
      if (ticket !== this.#tickets) return;
      this.peaks = peaks; // for a picture built anew in another language
      this.wave?.set({ peaks, durationMs: this.#duration });
    } catch {
      // a player without a picture still plays
    }
  }

  /** Lines and clips may come ten a second: the picture follows twice a second. */
  #soon() {
    if (this.#late || !this.#ready) return;
    this.#late = setTimeout(() => {
      this.#late = 0;
      this.#picture();
    }, 500);
  }

  #picture() {
    const detail = store.details.get(this.#job);
    if (!detail || !this.wave) return;
    const lines = detail.order.map((id) => detail.lines.get(id));
    this.wave.set({
      durationMs: detail.duration_ms,
      parts: detail.parts,
      heard: OVER.includes(detail.state) ? null : heardOf(detail.clips, detail.duration_ms),
      speakers: speakersOf(lines),
      flags: lines.filter((line) => doubts(line).length).map((line) => line.start_ms),
    });
  }

  // the sound

  #play() {
    if (!this.#ready) return;
    if (this.#broken) {
      this.#broken = false;
      this.audio.load();
      this.#go(this.#ms);
    }
    if (this.#ms >= this.#duration) this.#go(0);
    solo(this.audio);
    this.audio.play().catch(() => {}); // a pause that came before the sound; anything else arrives as `error`
  }

  #go(ms) {
    const end = this.#duration || ms;
    this.#ms = Math.max(0, Math.min(end, ms));
    if (this.#ready) this.audio.currentTime = this.#ms / 1000;
    this.#tick();
  }

  get #playsFirst() {
    return this.playing && this.#stretch?.[0] === 0 && this.#stretch[1] === FIRST_MS;
  }

  #onPlay() {
    if (!this.#about) return;
    cancelAnimationFrame(this.#frame);
    const next = () => {
      this.#onTime();
      if (this.playing) this.#frame = requestAnimationFrame(next);
    };
    this.#frame = requestAnimationFrame(next);
    this.#show();
  }

  #onTime() {
    if (!this.playing || this.audio.seeking) return;
    this.#ms = this.audio.currentTime * 1000;
    // also in a tab that is not seen: there are no frames there
    if (this.#stretch && this.#ms >= this.#stretch[1]) {
      const [, until] = this.#stretch;
      this.audio.pause();
      return this.#go(until);
    }
    if (!this.#dragging) this.#tick();
  }

  #onPause() {
    cancelAnimationFrame(this.#frame);
    this.#stretch = null;
    if (this.#job === null) return;
    if (this.audio.ended) this.#ms = this.#duration;
    this.#tick();
    this.#show();
  }

  #onError() {
    if (!this.audio.hasAttribute("src")) return;
    this.#broken = true;
    this.audio.pause(); // an element that failed still says that it plays
    this.#show();
  }

  #tick() {
    this.#showTime(this.#ms);
    const detail = { ms: Math.round(this.#ms), playing: this.playing, stretch: this.#stretch };
    this.dispatchEvent(new CustomEvent("tick", { detail, bubbles: true, composed: true }));
  }

  #setSpeed(speed) {
    this.audio.defaultPlaybackRate = this.audio.playbackRate = speed;
    remember("speed", String(speed));
    if (this.speed) this.speed.value = String(speed);
  }

  // the picture

  build() {
    const canvas = el("canvas", { "aria-hidden": "true" });
    this.tip = el("div.jy-wave-tip", { "aria-hidden": "true", hidden: true });
    this.slider = el("div.jy-wave", { role: "slider", tabindex: 0, "aria-label": say("player.position") }, canvas, this.tip);
    this.play = iconButton("play", say("player.play"), () => this.toggle());
    this.back = iconButton("back10", say("player.back"), () => this.step(-10));
    this.forward = iconButton("forward10", say("player.forward"), () => this.step(10));
    this.first = el("button.jy-button.quiet", { type: "button", onclick: () => this.seek(0, true, FIRST_MS) }, say("player.first"));
    this.noise = el("button.jy-button.quiet.jy-noise", { type: "button", hidden: true, onclick: () => this.#switchSound() }, say("player.denoised"));
    this.now = el("span.jy-now");
    this.total = el("span.jy-total");
    this.note = el("p.jy-player-note", { role: "status", hidden: true });
    this.replaceChildren(
      el("div.jy-player-buttons", null, this.back, this.play, this.forward),
      this.slider,
      el("div.jy-player-side", null, el("span.jy-player-time", null, this.now, " / ", this.total), this.first, this.noise, this.#speedChoice()),
      this.note,
    );
    this.wave?.close();
    this.wave = new Waveform(canvas);
    if (this.peaks && this.#ready) this.wave.set({ peaks: this.peaks, durationMs: this.#duration });
    this.#listen();
    this.#follow();
    this.#picture();
  }

  #speedChoice() {
    const options = SPEEDS.map((speed) => el("option", { value: String(speed) }, `${speed}×`));
    this.speed = el("select.jy-speed", { "aria-label": say("player.speed"), title: say("player.speed") }, options);
    this.speed.value = String(rememberedSpeed());
    this.speed.addEventListener("change", () => this.#setSpeed(Number(this.speed.value)));
    return el("span.jy-speed-field", null, this.speed, icon("chevron"));
  }

  #listen() {
    const { slider } = this;
    slider.addEventListener("pointerdown", (event) => this.#grab(event));
    slider.addEventListener("pointermove", (event) => this.#point(event));
    slider.addEventListener("pointerup", (event) => this.#drop(event));
    slider.addEventListener("pointercancel", () => this.#letGo());
    slider.addEventListener("pointerleave", () => (this.tip.hidden = true));
    slider.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const seconds = ARROWS_S[event.key];
    if (seconds) this.step(seconds);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.#duration);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the desk's own arrow keys
  }

  #grab(event) {
    if (event.button !== 0 || !this.#ready) return;
    this.#dragging = true;
    this.slider.setPointerCapture(event.pointerId);
    this.#showTime(this.wave.at(event.clientX));
  }

  #point(event) {
    const ms = this.wave.at(event.clientX);
    if (this.#dragging) this.#showTime(ms);
    this.#showTip(event, ms);
  }

  #drop(event) {
    if (!this.#dragging) return;
    this.#dragging = false;
    this.seek(this.wave.at(event.clientX), false);
  }

  #letGo() {
    this.#dragging = false;
    this.#showTime(this.#ms);
  }

  #showTip(event, ms) {
    this.tip.hidden = !this.#duration;
    const parts = store.details.get(this.#job)?.parts ?? [];
    const part = parts.findLastIndex((each) => each.start_ms <= ms);
    const time = clock(ms);
    this.tip.textContent = part < 0 || parts.length < 2 ? time : say("player.tip", { time, number: part + 1 });
    const box = this.slider.getBoundingClientRect();
    const half = this.tip.offsetWidth / 2;
    const x = Math.max(half, Math.min(box.width - half, event.clientX - box.left));
    this.tip.style.transform = `translateX(${Math.round(x - half)}px)`;
  }

  #showTime(ms) {
    if (!this.now) return;
    const time = clock(ms);
    if (this.now.textContent !== time) {
      this.now.textContent = time;
      this.slider.setAttribute("aria-valuenow", String(Math.round(ms / 1000)));
      this.slider.setAttribute("aria-valuetext", say("player.spoken", { now: spoken(ms), total: spoken(this.#duration) }));
    }
    this.wave?.show(ms);
  }

  #show() {
    if (!this.play) return;
    const { playing } = this;
    setIcon(this.play, playing ? "pause" : "play");
    name(this.play, playing ? say("player.pause") : say("player.play"));
    this.first.textContent = this.#playsFirst ? say("player.first_stop") : say("player.first");
    const able = this.#ready;
    for (const control of [this.play, this.back, this.forward, this.first, this.noise, this.speed]) control.disabled = !able;
    this.noise.hidden = !this.#about?.has_denoised;
    this.noise.setAttribute("aria-pressed", String(this.#denoised));
    this.noise.title = this.#denoised ? say("player.denoised_on") : say("player.denoised_off");
    this.slider.setAttribute("aria-disabled", String(!able));
    this.slider.setAttribute("aria-valuemin", "0");
    this.slider.setAttribute("aria-valuemax", String(Math.round(this.#duration / 1000)));
    this.total.textContent = clock(this.#duration);
    this.now.style.minWidth = `${this.total.textContent.length}ch`; // or the waveform would move with the digits
    this.#showTime(this.#ms);
    put(this.note, this.#broken ? say("player.broken") : "");
  }
}

customElements.define("jiyao-player", JiyaoPlayer);
