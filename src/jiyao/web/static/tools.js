// The tools of one line: a pencil and a menu beside the line under the pointer, or the one that was used last.

import { el } from "./dom.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { say } from "./say.js";
import { openSpeaker } from "./speakers.js";
import { store } from "./store.js";
import { toast, toastError } from "./toast.js";
import { correctionsIn, proposalsIn } from "./proposals.js";
import { doubts, wordAt } from "./turns.js";

// a pointer on its way to the tools crosses other lines: only where it rests do they come
const DWELL_MS = 90;
const SWITCH_MS = 260;
const LEAVE_MS = 500;
const MARKED = 3; // places of a line in its menu; the review list has them all

export class Tools {
  constructor(host) {
    Object.assign(this, { host, id: null });
    this.box = el("div.jt-tools", { role: "group", hidden: true });
    this.build();
  }

  build() {
    this.box.setAttribute("aria-label", say("lines.tools"));
    const button = (name, label, run, extra) =>
      el("button.jy-icon-button", { type: "button", "aria-label": label, title: label, onclick: run, ...extra }, icon(name));
    this.pencil = button("pencil", say("lines.edit"), () => this.host.editor.open(this.id));
    this.more = button("more", say("lines.more_tools"), () => this.menu(this.id), { "aria-haspopup": "menu", "aria-expanded": "false" });
    this.box.replaceChildren(this.pencil, this.more);
  }

  listen(signal) {
    const { list } = this.host;
    list.addEventListener("pointermove", (event) => this.moved(event), { signal, passive: true });
    list.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.leaveSoon(), { signal });
    this.box.addEventListener("pointerenter", () => clearTimeout(this.timer), { signal });
    this.box.addEventListener("pointerleave", () => this.leaveSoon(), { signal });
    document.addEventListener("touchmove", () => this.hide(), { signal, passive: true });
    // Esc closes nothing here: the line is where one came from
    this.box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.id) return;
      event.stopPropagation();
      this.host.focusLine(this.id);
    }, { signal });
  }

  moved(event) {
    if (event.pointerType !== "mouse" || event.buttons) return;
    const id = event.target.closest(".jt-text")?.closest(".jt-line").dataset.id ?? null;
    if (id === this.over) return;
    this.over = id;
    clearTimeout(this.timer);
    if (!id || id === this.id) return;
    const { clientY } = event;
    this.timer = setTimeout(() => this.show(id, clientY), this.id ? SWITCH_MS : DWELL_MS);
  }

  leaveSoon() {
    this.over = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const used = this.box.matches(":focus-within, :hover") || this.more.getAttribute("aria-expanded") === "true";
      if (!used && document.activeElement?.dataset?.id !== this.id) this.hide();
    }, LEAVE_MS);
  }

  /** Beside the row of text at `y` (the first one without). */
  show(id, y = null) {
    clearTimeout(this.timer);
    const text = this.host.rows.element(id)?.querySelector(".jt-text");
    if (!text || this.host.rows.locked === id) return;
    if (id !== this.id) this.mark(id);
    this.pencil.hidden = store.isReadOnly(this.host.job);
    this.box.hidden = false;
    this.place(text, y);
  }

  /** Lines moved: the tools go with theirs. */
  again() {
    if (!this.box.hidden && this.host.rows.row(this.id)) this.show(this.id);
    else if (!this.box.hidden) this.hide();
  }

  place(text, y) {
    const boxes = [...text.getClientRects()];
    const row = boxes.find((box) => y !== null && y >= box.top && y <= box.bottom) ?? boxes[0] ?? text.getBoundingClientRect();
    const home = this.host.getBoundingClientRect();
    this.box.style.setProperty("--jt-at", `${Math.round((row.top + row.bottom) / 2 - home.top)}px`);
  }

  hide() {
    clearTimeout(this.timer);
    this.mark(null);
    this.box.hidden = true;
  }

  mark(id) {
    if (this.id) this.host.list.querySelector(".jt-chosen")?.classList.remove("jt-chosen");
    this.id = id;
    if (id) this.host.rows.element(id).classList.add("jt-chosen");
  }

  // the menu

  menu(id) {
    this.show(id);
    const { host } = this;
    const { line, turn } = host.rows.row(id);
    const fixed = store.isReadOnly(host.job);
    const turns = host.rows.rows.filter((row) => row.turn === turn);
    const paragraph = turns.map((row) => (row.gap ? " " : "") + row.line.text).join("");
    const items = [
      { text: say("lines.menu_play"), icon: "play", hint: "Ctrl+Enter", run: () => host.playLine(id) },
      ...(fixed ? [] : [...this.marked(line), ...this.changes(id, line)]),
      "-",
      { text: say("lines.menu_copy"), icon: "copy", run: () => host.copy(line.text) },
      ...(turns.length > 1 ? [{ text: say("lines.menu_copy_turn"), icon: "copy", run: () => host.copy(paragraph) }] : []),
    ];
    openMenu(this.more, items);
  }

  /** Proposed and corrected places, as a pointer finds them in the text. */
  marked(line) {
    const { host } = this;
    const item = (kind, text) => (at) => ({ text: say(text, { before: at.before, after: at.after }), icon: kind === "proposal" ? "check" : "undo", run: () => host.bubble.open({ job: host.job, line, kind, at }) });
    const items = [
      ...proposalsIn(line).slice(0, MARKED).map(item("proposal", "termsdesk.menu_proposal")),
      ...correctionsIn(line).slice(0, MARKED).map(item("correction", "termsdesk.menu_correction")),
    ];
    return items.length ? [...items, "-"] : [];
  }

  changes(id, line) {
    const { host } = this;
    const spot = this.spot(id, line);
    const next = host.neighbour(id, 1);
    const items = [
      { text: say("lines.menu_edit"), icon: "pencil", hint: "Enter", run: () => host.editor.open(id) },
      spot === null
        ? { text: say("lines.menu_split"), icon: "split", run: () => host.editor.open(id).then(() => toast(say("lines.split_where"))) }
        : { text: say("lines.menu_split_before", { text: line.text.slice(spot, spot + 6) }), icon: "split", run: () => this.split(line, spot) },
    ];
    if (next) items.push({ text: say("lines.menu_merge"), icon: "merge", run: () => host.merge(id) });
    items.push({ text: say("lines.menu_speaker"), icon: "mic", run: () => openSpeaker(host, id, false) });
    if (store.jobs.get(host.job)?.has_audio) items.push({ text: say("lines.menu_again"), icon: "retry", run: () => this.hearAgain(line) });
    if (doubts(line).length) {
      const settle = () => host.change([{ kind: "settle", line: id, version: line.version }]);
      items.push({ text: say("lines.menu_settle"), icon: "check", run: settle });
    }
    return items;
  }

  /** Where "split here" splits: at the word that was clicked last, or is heard now. */
  spot(id, line) {
    const { host } = this;
    const clicked = host.spot?.id === id ? host.spot.offset : null;
    const heard = host.follower.id === id ? wordAt(line, host.follower.ms)?.[0] ?? null : null;
    const at = clicked ?? heard;
    const word = at === null ? null : (line.words.find(([from, to]) => from <= at && at < to)?.[0] ?? at);
    return word !== null && word > 0 && word < line.text.length ? word : null;
  }

  split(line, offset) {
    this.host.spot = null;
    return this.host.change([{ kind: "split", line: line.id, version: line.version, offset }]);
  }

  async hearAgain(line) {
    try {
      await store.api("POST", `/api/jobs/${this.host.job}/retry`, { clips: [line.clip] });
      toast(say("lines.again"));
    } catch (error) {
      toastError(error);
    }
  }
}
