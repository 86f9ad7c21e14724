// <jiyao-transcript>: the text of a recording. In: `.job`, `.follow(ms)`, the store's lines. Out: `seek` {ms, play, until}, edits.

import { Decisions } from "./decisions.js";
import { el } from "./dom.js";
import { Editor } from "./editor.js";
import { Find } from "./find.js";
import { Follow } from "./follow.js";
import { Hint } from "./hint.js";
import { Learned } from "./learned.js";
import { drawLine, emptyState, offsetAt } from "./line.js";
import { pinBelow, Rows, scrollerOf, visibleBox } from "./list.js";
import { Marks } from "./marks.js";
import { Popover } from "./popover.js";
import { Review } from "./review.js";
import { onLanguage, say } from "./say.js";
import { openSpeaker } from "./speakers.js";
import { openVoices } from "./voices.js";
import { store } from "./store.js";
import { toast, toastError } from "./toast.js";
import { Tools } from "./tools.js";
import { timeOf } from "./turns.js";

const SAID_EVERY_MS = 12_000;
const LEAD_MS = 500; // a word is understood by what comes before it

class Transcript extends HTMLElement {
  #job = null;

  connectedCallback() {
    this.ends = new AbortController();
    const { signal } = this.ends;
    signal.addEventListener("abort", onLanguage(() => this.translate()));
    if (!this.list) this.build();
    else this.rows.clear();
    this.follower.listen(signal);
    this.listen(signal);
    this.show();
  }

  disconnectedCallback() {
    this.editor.stash();
    this.ends.abort();
  }

  get job() {
    return this.#job;
  }

  set job(id) {
    if (id === this.#job) return;
    this.changeJob(id);
  }

  async changeJob(id) {
    const before = this.#job;
    this.#job = id;
    if (!this.list) return;
    if (this.editor.busy && before) await this.editor.leave();
    if (this.#job === id) this.show();
  }

  build() {
    this.list = el("div.jt-list", { role: "list" });
    this.editor = new Editor(this);
    this.rows = new Rows(this.list, drawLine, () => this.redrawn());
    this.follower = new Follow(this);
    this.find = new Find(this);
    this.marks = new Marks(this);
    this.decisions = new Decisions(this);
    this.bubble = new Popover(this);
    this.review = new Review(this);
    this.learned = new Learned(this);
    this.tools = new Tools(this);
    this.hint = new Hint();
    this.empty = el("div.jt-empty");
    this.said = el("div.jy-hidden-text", { role: "status", "aria-live": "polite" });
    this.pinned = el("div.jt-pinned", null, this.find.bar, this.review.panel);
    this.append(this.pinned, this.hint.box, this.list, this.empty, this.tools.box, this.bubble.box, el("div.jt-foot", null, this.follower.button), this.said);
  }

  listen(signal) {
    const on = (target, name, heard) => target.addEventListener(name, heard.bind(this), { signal });
    on(store, "lines", this.changed);
    on(store, "job", ({ detail }) => detail === this.#job && this.state());
    on(store, "online", () => (this.state(), this.editor.online()));
    on(store, "wiped", () => (this.editor.forget(), this.clear()));
    on(this.list, "click", this.clicked);
    on(this.list, "dblclick", this.doubled);
    on(this.list, "keydown", this.key);
    on(this.list, "focusin", this.focused);
    on(this.list, "animationend", ({ target }) => target.classList?.remove("jt-new"));
    on(this.list, "copy", this.copied);
    for (const part of [this.tools, this.marks, this.bubble]) part.listen(signal);
    pinBelow(this, signal);
  }

  // what is shown

  get lines() {
    const detail = store.details.get(this.#job);
    return detail ? detail.order.map((id) => detail.lines.get(id)) : [];
  }

  show() {
    this.clear();
    if (this.#job === null) return;
    this.rows.load(this.lines);
    this.active = this.rows.at(0)?.line.id ?? null;
    this.state();
    store.open(this.#job).catch(() => {}); // the shell says what went wrong
    const undecided = this.editor.undecided(this.#job);
    if (undecided && this.rows.row(undecided)) this.editor.open(undecided);
  }

  clear() {
    this.follower.forget();
    this.tools.hide();
    this.bubble.close(false);
    this.learned.offer(null);
    this.rows.clear();
    Object.assign(this, { active: null, fresh: 0 });
    this.find.refresh();
    this.review.refresh();
    this.state();
  }

  /** The store's "lines": only what differs is touched. */
  changed({ detail: { job, put, reset } }) {
    if (job === this.editor.job && job !== this.#job) this.editor.heard(); // saved on the way out
    if (job !== this.#job) return;
    const first = this.rows.rows.length === 0 || reset;
    const count = this.rows.rows.length;
    this.rows.update(this.lines, !first);
    this.editor.heard();
    if (!this.rows.row(this.active)) this.active = this.rows.at(0)?.line.id ?? null;
    for (const part of [this.follower, this.tools, this.bubble]) part.again();
    for (const part of [this.find, this.review]) part.refresh();
    this.state();
    if (!first && put.length) this.announce(this.rows.rows.length - count);
    for (const waiting of [...(this.waiting ?? [])]) waiting();
  }

  /** Lines near the screen are others: highlights live on their text nodes. */
  redrawn() {
    this.follower?.again();
    this.find?.paint();
    this.marks?.paint();
    const element = this.active && this.rows.element(this.active);
    if (element) element.tabIndex = 0;
  }

  state() {
    const job = store.jobs.get(this.#job);
    const empty = this.rows.rows.length === 0;
    this.toggleAttribute("data-fixed", store.isReadOnly(this.#job));
    this.list.hidden = empty;
    this.list.setAttribute("aria-label", say("lines.list"));
    this.empty.hidden = !empty || !job;
    this.hint.show(!empty && !store.isReadOnly(this.#job));
    const shown = `${job?.state}|${store.language}`;
    if (this.empty.hidden || this.empty.dataset.shown === shown) return;
    this.empty.dataset.shown = shown;
    this.empty.replaceChildren(...emptyState(job.state));
  }

  translate() {
    this.editor.stash();
    this.hint.translate();
    for (const part of [this.find, this.review, this.tools]) part.build();
    this.show();
  }

  /** New text, told to who cannot see it: a number now and then, not every line. */
  announce(count) {
    if (count <= 0) return;
    this.fresh += count;
    this.saying ??= setTimeout(() => {
      this.saying = undefined;
      if (this.fresh) this.said.textContent = say("lines.more", { count: this.fresh });
      this.fresh = 0;
    }, SAID_EVERY_MS);
  }

  // playing

  follow(ms) {
    this.follower.at(ms);
  }

  play(ms, until = null) {
    this.follower.attach();
    this.dispatchEvent(new CustomEvent("seek", { detail: { ms, play: true, until }, bubbles: true, composed: true }));
  }

  /** A place in the text, and a little of what comes before it. */
  hear({ line, at }) {
    this.play(at ? Math.max(line.start_ms, timeOf(line, at.start) - LEAD_MS) : line.start_ms);
  }

  playLine(id) {
    const line = this.rows.row(id)?.line;
    if (line) this.play(line.start_ms);
  }

  clicked(event) {
    const element = event.target.closest(".jt-line");
    const id = element?.dataset.id;
    if (!id || event.detail > 1 || event.defaultPrevented || this.rows.locked === id) return;
    this.activate(id);
    const button = event.target.closest("[data-do]");
    if (button?.dataset.do === "speaker") return openSpeaker(this, id, true);
    const plain = !(event.shiftKey || event.ctrlKey || event.metaKey || event.altKey);
    if (button) return this.playLine(id);
    if (!plain || !getSelection().isCollapsed || !event.target.closest(".jt-text")) return;
    const line = this.rows.row(id)?.line;
    const offset = offsetAt(element, event);
    this.spot = { id, offset: offset ?? 0 };
    if (line) this.play(timeOf(line, this.spot.offset));
    const place = this.marks.at(id, offset);
    if (place) this.bubble.open(place);
  }

  doubled(event) {
    const text = event.target.closest(".jt-text");
    const element = event.target.closest(".jt-line");
    if (!text || this.rows.locked === element.dataset.id) return;
    event.preventDefault();
    this.editor.open(element.dataset.id, offsetAt(element, event) ?? Infinity);
  }

  // keys and focus

  key(event) {
    const id = event.target.closest?.(".jt-line")?.dataset.id;
    if (!id || event.target !== this.rows.element(id) || event.altKey) return;
    const command = event.ctrlKey || event.metaKey;
    const does = {
      ArrowDown: () => this.move(id, 1),
      ArrowUp: () => this.move(id, -1),
      F2: () => this.editor.open(id),
      Enter: () => (command ? this.playLine(id) : this.editor.open(id)),
      ContextMenu: () => this.tools.menu(id),
      F10: event.shiftKey ? () => this.tools.menu(id) : null,
    }[event.key];
    if (!does || (command && event.key !== "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  }

  move(id, step) {
    const next = this.neighbour(id, step);
    if (!next) return;
    this.follower.leave();
    this.focusLine(next);
  }

  neighbour(id, step) {
    return this.rows.at(this.rows.index(id) + step)?.line.id ?? null;
  }

  focused(event) {
    const id = event.target.closest(".jt-line")?.dataset.id;
    if (id && id !== this.rows.locked) this.activate(id);
  }

  /** One line of all can be reached by Tab: the one that was used last. */
  activate(id) {
    const before = this.active && this.rows.element(this.active);
    if (before) before.tabIndex = -1;
    this.active = id;
    const element = this.rows.element(id);
    if (element) element.tabIndex = 0;
    this.tools.show(id);
  }

  focusLine(id) {
    if (this.review.takesBack(id)) return;
    const element = this.rows.element(id);
    if (!element) return;
    element.focus({ preventScroll: true });
    this.keepInSight(element);
  }

  // where things are on the screen

  reveal(id, block = "center", smooth = false) {
    const text = this.rows.element(id)?.querySelector(".jt-text");
    if (!text) return;
    const go = (behavior) => {
      const box = text.getBoundingClientRect();
      const { top, bottom } = visibleBox(this);
      const target = block === "start" ? top + (bottom - top) * 0.18 : top + (bottom - top) * 0.4;
      if (Math.abs(box.top - target) > 2) scrollerOf(this).scrollBy({ top: box.top - target, behavior });
    };
    go(smooth ? "smooth" : "instant");
    // groups on the way get their real heights only now
    const target = scrollerOf(this);
    if (!smooth) requestAnimationFrame(() => requestAnimationFrame(() => go("instant")));
    else (target === document.scrollingElement ? document : target).addEventListener("scrollend", () => this.follower.id === id && this.follower.attached && go("smooth"), { once: true });
  }

  keepInSight(element) {
    const box = element.getBoundingClientRect();
    const { top, bottom } = visibleBox(this);
    const by = box.top < top + 12 ? box.top - top - 12 : Math.max(0, Math.min(box.bottom - bottom + 24, box.top - top - 12));
    if (by) scrollerOf(this).scrollBy({ top: by, behavior: "instant" });
  }

  opened() {
    this.tools.hide();
    this.bubble.close(false);
    this.follower.again();
    this.find.paint();
    this.marks.paint();
  }

  closed() {
    this.redrawn();
  }

  // changes

  /** Something is on its way: what it is about is not asked for again. */
  decided() {
    this.review.refresh();
    this.bubble.again();
  }

  /** Ask the server; what it refuses is said. True: done. */
  async change(changes) {
    try {
      await store.edit(this.#job, changes);
      return true;
    } catch (error) {
      if (error.status === 409) toast(say("lines.changed_meanwhile"), { bad: true });
      else toastError(error);
      return false;
    }
  }

  /** The first true answer of `ask`, which is asked again after each change of the lines; null after a while. */
  when(ask) {
    this.waiting ??= new Set();
    return new Promise((resolve) => {
      const answer = (found) => {
        this.waiting.delete(again);
        resolve(found);
      };
      const again = () => {
        const found = ask();
        if (found) answer(found);
      };
      this.waiting.add(again);
      setTimeout(() => answer(null), 4000);
      again();
    });
  }

  async merge(id) {
    const line = this.rows.row(id)?.line;
    if (!line || !(await this.change([{ kind: "merge", line: id, version: line.version }]))) return false;
    toast(say("lines.merged"), { undo: () => this.undo() });
    return true;
  }

  undo() {
    store.undo(this.#job).catch(toastError);
  }

  async copy(text) {
    await navigator.clipboard.writeText(text).then(() => toast(say("lines.copied")), toastError);
  }

  /** A selection over several lines is copied as the words, a blank line between paragraphs: no times, no buttons. */
  copied(event) {
    const selection = getSelection();
    if (selection.isCollapsed || this.editor.busy) return;
    const content = selection.getRangeAt(0).cloneContents();
    if (!content.querySelector?.(".jt-line")) return;
    for (const head of content.querySelectorAll(".jt-head")) head.replaceWith("\n\n");
    event.clipboardData.setData("text/plain", content.textContent.trim());
    event.preventDefault();
  }

  openFind(replace = false) {
    this.find.open(replace);
  }

  openVoices() {
    return openVoices(this);
  }

  openReview(view = "check") {
    this.review.open(view);
  }
}

customElements.define("jiyao-transcript", Transcript);
