// <jiyao-recorder>: record a meeting here. In: clicks. Out: a job; `recorded` {job}. The attribute `open`: its panel shows.

import { confirmDialog } from "./dialog.js";
import { View, el } from "./dom.js";
import { clock, spoken } from "./format.js";
import { icon } from "./icons.js";
import { Leftovers } from "./leftovers.js";
import { MicrophoneError, inputs } from "./microphone.js";
import { iconButton, name, recall, remember, setIcon, solo, wordButton } from "./player-kit.js";
import { language, say } from "./say.js";
import { store } from "./store.js";
import { Take } from "./take.js";
import { toastError } from "./toast.js";

const LATE_MS = 6000; // chunks are 2 s: this much unsent means that something is slow
const FLOOR_DB = 60;
const SHORTEST_MS = 500;

class JiyaoRecorder extends View {
  #take = null;
  #problem = ""; // why there is no microphone
  #audio = new Audio();
  #url = "";
  #level = 0;
  #devices = [];

  connected() {
    this.#audio.disableRemotePlayback = true;
    for (const event of ["play", "pause", "ended", "timeupdate"]) this.on(this.#audio, event, () => this.#showListening());
    this.on(store, "wiped", () => this.#discard(false));
    this.on(window, "beforeunload", (event) => this.#take?.atRisk && event.preventDefault());
    if (navigator.mediaDevices) this.on(navigator.mediaDevices, "devicechange", () => this.#listDevices());
    this.leftovers = new Leftovers((job) => this.#chosen(job));
    this.on(store, "recordings", () => this.leftovers.show(this.#take?.id));
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#stopListening();
    // moved within the page: it goes on. Taken off it: what is at the server stays and is offered again
    queueMicrotask(() => !this.isConnected && this.#take?.state === "recording" && this.#take.stop());
  }

  // what a person does

  async #start() {
    if (this.#take) return;
    this.#problem = "";
    solo(null);
    const take = new Take();
    take.addEventListener("change", () => this.#take === take && this.#show());
    take.addEventListener("level", ({ detail }) => this.#take === take && this.#showLevel(detail.peak));
    this.#take = take;
    this.#show();
    try {
      await take.start(recordingName(), recall("microphone"));
      if (this.#take !== take) return take.discard(); // closed while the browser was asking
      this.#listDevices();
    } catch (error) {
      if (this.#take !== take) return;
      this.#take = null;
      this.#refused(error);
    }
    this.#show();
    this.#focusFirst();
  }

  #refused(error) {
    if (error instanceof MicrophoneError) this.#problem = error.problem;
    else if (error.name !== "AbortError") toastError({ message: error.message || say("player.send_failed"), remedy: error.remedy });
  }

  async #turn() {
    try {
      if (this.#take.state === "recording") await this.#take.pause();
      else {
        this.#stopListening();
        await this.#take.resume();
      }
      this.#problem = "";
    } catch (error) {
      this.#refused(error);
    }
    this.#show();
  }

  async #stop() {
    await this.#take.stop();
    this.#focusFirst();
  }

  async #redo() {
    if (!(await this.#sure("redo"))) return;
    await this.#discard();
    this.#start();
  }

  async #remove() {
    if (!(await this.#sure("delete"))) return;
    await this.#discard();
    this.button.focus();
  }

  async #sure(what) {
    if (!this.#take) return false;
    if (this.#take.ms < SHORTEST_MS) return true;
    const length = spoken(this.#take.ms);
    const title = what === "redo" ? say("player.redo_title") : say("player.delete_title");
    const confirm = what === "redo" ? say("player.redo_yes") : say("player.delete_yes");
    return confirmDialog({ title, body: say("player.discard_body", { length }), confirm });
  }

  async #discard(tell = true) {
    const take = this.#take;
    this.#take = null;
    this.#problem = "";
    this.#stopListening();
    this.#show();
    await take?.discard({ tell });
  }

  async #recognise() {
    const take = this.#take;
    this.#stopListening();
    try {
      const job = await take.finish();
      this.#take = null;
      this.#show();
      this.#chosen(job);
    } catch (error) {
      if (this.#take === take) this.#refused(error);
    }
    this.#show();
  }

  #chosen(job) {
    this.dispatchEvent(new CustomEvent("recorded", { detail: { job }, bubbles: true, composed: true }));
    store.select(job);
  }

  async #again() {
    try {
      await this.#take.again();
    } catch (error) {
      this.#refused(error);
    }
  }

  async #choose(id) {
    remember("microphone", id);
    try {
      await this.#take.change(id);
    } catch (error) {
      this.#refused(error);
    }
    this.#show();
  }

  #save() {
    const url = URL.createObjectURL(this.#take.sound());
    el("a", { href: url, download: `${this.#take.name.replace(/[\\/:*?"<>|]/g, "-")}.wav` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000); // the browser has opened it by then
  }

  async #listDevices() {
    this.#devices = await inputs();
    this.#show();
  }

  // listening to what was recorded, in the browser

  #listen() {
    if (!this.#url) {
      this.#url = URL.createObjectURL(this.#take.sound());
      this.#audio.src = this.#url;
    }
    if (!this.#audio.paused) return this.#audio.pause();
    solo(this.#audio);
    this.#audio.play().catch(() => {});
  }

  #stopListening() {
    this.#audio.pause();
    if (!this.#url) return;
    URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.#audio.removeAttribute("src");
    this.#audio.load();
  }

  #showListening() {
    const playing = !this.#audio.paused;
    setIcon(this.hear, playing ? "pause" : "play");
    name(this.hear, playing ? say("player.pause") : say("player.listen"));
    const seconds = Number.isFinite(this.#audio.duration) ? this.#audio.duration : 0;
    this.listening.hidden = !this.#url;
    this.place.max = String(seconds);
    this.place.value = String(this.#audio.currentTime);
    this.place.setAttribute("aria-valuetext", spoken(this.#audio.currentTime * 1000));
    this.heard.textContent = `${clock(this.#audio.currentTime * 1000)} / ${clock(seconds * 1000)}`;
  }

  // the picture

  build() {
    this.button = wordButton(el("span", { "aria-hidden": "true" }, "🎙"), say("player.record"), () => this.#start());
    this.panel = el("section.jy-recorder-panel", { "aria-label": say("player.recorder") }, this.#head(), this.#body(), this.#actions());
    this.replaceChildren(this.button, this.panel, this.leftovers.element);
    this.leftovers.show(this.#take?.id);
    this.#show();
  }

  #head() {
    this.state = el("strong.jy-recorder-state", { role: "status" });
    this.time = el("span.jy-recorder-time", { role: "timer", "aria-label": say("player.recorded") });
    this.bar = el("span");
    this.meter = el(
      "div.jy-meter",
      { role: "meter", "aria-label": say("player.level"), "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" },
      this.bar,
    );
    this.device = el("select.jy-input.jy-device", { "aria-label": say("player.microphone"), onchange: () => this.#choose(this.device.value) });
    this.cross = iconButton("close", say("player.close"), () => this.#discard());
    return el("div.jy-recorder-head", null, this.state, this.time, this.meter, this.device, this.cross);
  }

  #body() {
    this.notices = el("div.jy-recorder-notices", { role: "status" });
    this.unsent = el("p.jy-note.warn", { hidden: true }); // its number changes: not read aloud each time
    this.place = el("input", { type: "range", min: "0", step: "0.1", "aria-label": say("player.position") });
    this.place.addEventListener("input", () => (this.#audio.currentTime = Number(this.place.value)));
    this.heard = el("span.jy-player-time");
    this.onlyLast = el("p.jy-muted");
    this.listening = el("div.jy-listening", { hidden: true }, this.place, this.heard, this.onlyLast);
    return el("div.jy-recorder-body", null, this.notices, this.unsent, this.listening);
  }

  #actions() {
    this.turn = wordButton("pause", "", () => this.#turn());
    this.end = wordButton("stop", say("player.stop"), () => this.#stop());
    this.recognise = wordButton(null, say("player.recognise"), () => this.#recognise(), "primary");
    this.hear = wordButton("play", say("player.listen"), () => this.#listen());
    this.redo = wordButton("retry", say("player.redo"), () => this.#redo(), "quiet");
    this.remove_ = wordButton("trash", say("player.delete"), () => this.#remove(), "quiet");
    this.save = wordButton("export", say("player.save"), () => this.#save(), "quiet");
    this.retry = wordButton("retry", say("player.try_again"), () => this.#start());
    return el("div.jy-recorder-actions", null, this.recognise, this.turn, this.end, this.hear, this.retry, this.redo, this.remove_, this.save);
  }

  #show() {
    if (!this.panel) return;
    const take = this.#take?.state === "over" ? null : this.#take;
    const state = take?.state ?? (this.#problem ? "problem" : "idle");
    const is = (...states) => states.includes(state);
    this.toggleAttribute("open", state !== "idle");
    this.panel.dataset.state = state;
    this.panel.hidden = is("idle");
    this.button.hidden = !is("idle");
    const words = state === "idle" ? "" : say(`player.state_${state}`);
    if (this.state.textContent !== words) this.state.textContent = words;
    this.time.hidden = is("opening", "problem");
    this.time.textContent = clock(take?.ms ?? 0);
    this.meter.hidden = !is("recording", "paused");
    this.cross.hidden = !is("problem", "opening");
    this.retry.hidden = !is("problem");
    this.turn.hidden = this.end.hidden = !is("recording", "paused");
    setIcon(this.turn, state === "recording" ? "pause" : "mic");
    name(this.turn, state === "recording" ? say("player.hold") : say("player.go_on"));
    this.hear.hidden = !is("stopped");
    this.recognise.hidden = !is("stopped", "sending");
    this.recognise.disabled = is("sending") || !take || take.ms < SHORTEST_MS || Boolean(take.refusal && take.refusal.status !== 413);
    this.redo.hidden = !is("recording", "paused", "stopped");
    this.remove_.hidden = !is("stopped", "sending");
    this.save.hidden = !(take && is("stopped", "sending", "paused") && (take.failing || take.refusal));
    this.#showNotices();
    this.#showDevices(is("recording", "paused"));
    this.#showListening();
    if (state !== "recording") this.#showLevel(0);
  }

  #showLevel(peak) {
    if (this.#take) this.time.textContent = clock(this.#take.ms);
    const now = peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / FLOOR_DB) : 0;
    this.#level = this.#take?.state === "recording" ? Math.max(now, this.#level * 0.85) : 0; // falls slowly, as meters do
    this.bar.style.transform = `scaleX(${this.#level.toFixed(3)})`;
    const value = String(Math.round(this.#level * 10) * 10);
    if (this.meter.getAttribute("aria-valuenow") !== value) this.meter.setAttribute("aria-valuenow", value);
    this.#showUnsent();
  }

  #showUnsent() {
    const late = this.#take?.unsentMs ?? 0;
    const wanted = late > LATE_MS || (late > 0 && (this.#take.failing || this.#take.state === "sending"));
    this.unsent.hidden = !wanted || this.#take.refusal !== null;
    if (wanted) this.unsent.textContent = say("player.unsent", { seconds: Math.ceil(late / 1000) });
  }

  #showNotices() {
    const take = this.#take;
    const rows = [];
    if (this.#problem) rows.push(["bad", say(`player.mic_${this.#problem}`), say(`player.mic_${this.#problem}_remedy`)]);
    for (const trouble of take?.troubles ?? []) rows.push(this.#troubleRow(trouble));
    // the same sentences are not put there again: a screen reader would read them again
    const key = JSON.stringify(rows.map(([kind, ...words]) => [kind, words.filter((word) => typeof word === "string")]));
    this.#showUnsent();
    if (take) this.onlyLast.textContent = take.heldFromMs > 0 ? say("player.only_last") : "";
    if (this.notices.dataset.key === key) return;
    this.notices.dataset.key = key;
    this.notices.replaceChildren(
      ...rows.map(([kind, what, remedy, action = null]) =>
        el(`div.jy-note.${kind}`, null, icon("warning"), el("div", null, el("p", null, what), remedy ? el("p.jy-muted", null, remedy) : null), action),
      ),
    );
  }

  #troubleRow(trouble) {
    const take = this.#take;
    if (trouble === "quiet") return ["soft", say("player.quiet"), say("player.quiet_remedy")];
    if (trouble === "muted") return ["warn", say("player.muted"), say("player.muted_remedy")];
    if (trouble === "stalled") return ["warn", say("player.stalled"), say("player.stalled_remedy")];
    if (trouble === "slept") return ["warn", say("player.slept", { length: spoken(take.sleptMs) }), ""];
    if (trouble === "lost") return ["bad", say("player.lost", { length: spoken(take.ms) }), say("player.lost_remedy")];
    if (take.refusal?.status === 413) return ["bad", take.refusal.message || say("player.full"), say("player.full_remedy")];
    const length = spoken(take.ms - take.heldFromMs);
    return ["bad", say("player.gone"), say("player.gone_remedy"), wordButton(null, say("player.gone_again", { length }), () => this.#again())];
  }

  #showDevices(may) {
    this.device.hidden = !may || this.#devices.filter(({ id }) => id !== "default").length < 2;
    const current = this.#take?.deviceId || recall("microphone");
    const key = JSON.stringify([this.#devices, current]);
    if (this.device.dataset.key === key) return;
    this.device.dataset.key = key;
    const option = ({ id, label }, i) => el("option", { value: id }, label || say("player.microphone_n", { number: i + 1 }));
    this.device.replaceChildren(...this.#devices.map(option));
    this.device.value = current;
  }

  #focusFirst() {
    if (this.contains(document.activeElement) || document.activeElement === document.body) {
      [...this.panel.querySelectorAll(".jy-recorder-actions > button")].find((button) => !button.hidden && !button.disabled)?.focus();
    }
  }
}

function recordingName() {
  const when = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false };
  return say("player.recording_name", { date: new Date().toLocaleString(language() === "zh" ? "zh-CN" : "en-GB", when) });
}

customElements.define("jiyao-recorder", JiyaoRecorder);
