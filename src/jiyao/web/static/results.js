// One result: head, player, tools, transcript. In: the selected job. Out: the parts wired to each other.

import "./head.js";
import "./tabs.js";
import { el, put, View } from "./dom.js";
import { copyAll, openExport } from "./export.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { toast, toastError } from "./toast.js";

const WAITS = ["loading", "recognizing", "finishing", "done"];

class Results extends View {
  connected() {
    // these hold audio, scroll and edits: made once, kept over languages
    this.player ??= el("jiyao-player");
    this.parts ??= el("jiyao-parts");
    this.transcript ??= el("jiyao-transcript");
    this.on(this, "seek", ({ detail }) => this.player.seek?.(detail.ms, detail.play, detail.until));
    this.on(this.player, "tick", ({ detail }) => this.transcript.follow?.(detail.ms, detail.playing));
    this.on(store, "selected jobs online", () => this.place());
    this.on(store, "wiped", () => this.place());
    this.on(store, "job", (event) => event.detail === store.selected && this.place());
    this.on(store, "lines", ({ detail }) => detail.job === store.selected && this.count());
  }

  build() {
    const tool = (text, name, run) =>
      el("button.jy-button.quiet", { type: "button", onclick: run, title: text }, icon(name), el("span.jy-tool-text", null, text));
    const step = (text, title, name, run) =>
      el("button.jy-icon-button", { type: "button", "aria-label": text, title, onclick: run }, icon(name));
    this.review = el("button.jy-button.quiet.jy-review", { type: "button", onclick: () => this.transcript.openReview?.(this.review.dataset.view) }, icon("flag"), el("span"));
    this.voices = el("button.jy-button.quiet", { type: "button", "aria-haspopup": "dialog", onclick: () => this.transcript.openVoices?.() }, icon("people"), el("span"));
    this.undoButton = step(say("desk.undo"), say("desk.undo_key"), "undo", () => this.undo());
    this.redoButton = step(say("desk.redo"), say("desk.redo_key"), "redo", () => this.redo());
    this.exporter = el("button.jy-button", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => this.openExport() }, icon("export"), say("desk.export"));
    this.gap = el("span.jy-toolbar-gap");
    this.toolbar ??= el("div.jy-toolbar", { role: "toolbar" });
    this.toolbar.setAttribute("aria-label", say("desk.tools"));
    this.toolbar.replaceChildren(
      tool(say("desk.find"), "search", () => this.openFind(false)), this.voices, this.review, this.gap, this.undoButton, this.redoButton,
      el("span.jy-spread"), tool(say("desk.copy"), "copy", () => copyAll(store.selected)), this.exporter);
    this.arrange();
    this.place();
  }

  /** Once: a player that is moved on the page stops. */
  arrange() {
    if (this.panel) return;
    this.dock = el("div.jy-dock", null, this.player, this.toolbar);
    this.panel = el("section.jy-result", { id: "jy-result", role: "tabpanel", tabindex: -1 },
      el("jiyao-head"), this.dock, this.parts, this.transcript);
    this.replaceChildren(el("jiyao-tabs"), this.panel);
  }

  get job() {
    return store.jobs.get(store.selected);
  }

  /** Show what the selected job has: sound, text, both, neither yet. */
  place() {
    const job = this.job;
    this.hidden = !job;
    if (!job) {
      for (const part of [this.player, this.parts, this.transcript]) part.job = null;
      return;
    }
    this.panel.setAttribute("aria-labelledby", `jy-tab-${job.id}`);
    const sound = job.has_audio && !job.past && store.online;
    this.player.hidden = !sound;
    this.parts.hidden = !sound;
    if (this.player.job !== (sound ? job.id : null)) this.player.job = sound ? job.id : null;
    if (this.parts.job !== (sound ? job.id : null)) this.parts.job = sound ? job.id : null;
    if (this.transcript.job !== job.id) this.transcript.job = job.id;
    this.count();
  }

  count() {
    const [job, detail] = [this.job, store.details.get(store.selected)];
    if (!job) return;
    const lines = detail?.lines.size ?? 0;
    const fixed = store.isReadOnly(job.id);
    this.toolbar.hidden = !lines;
    this.transcript.hidden = !lines && !WAITS.includes(job.state); // the rest is said above
    const { spots = 0, corrected = 0 } = detail ?? {};
    this.review.hidden = !(spots || corrected) || fixed;
    this.review.dataset.view = spots || !corrected ? "check" : "record";
    put(this.review.lastElementChild, spots ? say("desk.review", { count: spots }) : corrected ? say("termsdesk.record_count", { count: corrected }) : "");
    const voices = detail?.voices ?? 0;
    this.voices.hidden = fixed || !(voices || (job.has_audio && store.state.setup.speakers?.ready));
    put(this.voices.lastElementChild, voices ? say("voices.tool", { count: voices }) : say("voices.tell_apart"));
    this.gap.hidden = this.undoButton.hidden = this.redoButton.hidden = fixed;
    this.undoButton.disabled = !detail?.can_undo;
    this.redoButton.disabled = !detail?.can_redo;
  }

  // what keys and buttons do

  openFind(replace) {
    if (this.toolbar.hidden) return false;
    this.transcript.openFind?.(replace);
    return true;
  }

  openExport() {
    if (this.job && !this.toolbar.hidden) openExport(this.exporter, this.job.id);
  }

  undo() {
    return this.step(() => store.undo(store.selected), say("desk.nothing_undone"));
  }

  redo() {
    return this.step(() => store.redo(store.selected), say("desk.nothing_redone"));
  }

  async step(act, nothing) {
    if (!this.job) return;
    try {
      if (!(await act()).done) toast(nothing);
    } catch (error) {
      toastError(error);
    }
  }
}

customElements.define("jiyao-results", Results);
