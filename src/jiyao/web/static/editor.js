// Writing in one line. In: a line's element, what is typed. Out: the new text to the server, a version at a time.
//
// Nothing is sent while an input method composes. What was typed is never thrown away: not by an event (the field is
// locked in the list), not by a conflict (both texts are shown), not by a server that is gone (it waits).

import { el } from "./dom.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { toast, toastError } from "./toast.js";

const QUIET_MS = 800;
const ECHO_MS = 4000;

export class Editor {
  constructor(host) {
    Object.assign(this, { host, id: null, drafts: new Map() });
    this.rest();
  }

  get busy() {
    return this.id !== null;
  }

  rest() {
    Object.assign(this, { id: null, job: null, field: null, composing: false, sending: null, sent: null, newer: [], theirs: undefined, leaving: false, learned: null });
    clearTimeout(this.timer);
  }

  /** Make a line a field; the caret at `offset` (UTF-16 units), at the end without. */
  async open(id, offset = Infinity) {
    if (store.isReadOnly(this.host.job)) return void toast(say("lines.read_only"));
    if (this.id === id || (this.busy && !(await this.finish()))) return;
    const element = this.host.rows.element(id);
    const line = this.host.rows.row(id)?.line;
    if (!element || !line) return;
    const text = element.querySelector(".jt-text");
    Object.assign(this, { id, job: this.host.job, element, field: text, version: line.version, saved: line.text, first: line.text });
    this.host.rows.locked = id;
    this.host.opened();
    this.dress(element, text);
    const draft = this.drafts.get(`${this.job}/${id}`);
    text.focus({ preventScroll: true });
    if (draft && draft.text !== line.text) this.again(draft, line);
    this.place(Math.min(offset, text.textContent.length));
    this.host.keepInSight(element);
  }

  /** Typed before and not saved: goes on as it was, or is to be decided on if the line is another one by now. */
  again(draft, line) {
    this.field.firstChild.data = draft.text;
    if (draft.version === line.version) this.typed();
    else this.conflict(draft.text, line);
  }

  dress(element, text) {
    this.ends = new AbortController();
    const { signal } = this.ends;
    try {
      text.contentEditable = "plaintext-only";
    } catch {
      text.contentEditable = "true"; // older browsers; pasting and Enter are handled here anyway
    }
    text.setAttribute("role", "textbox");
    text.setAttribute("aria-label", say("lines.edit_label"));
    text.setAttribute("aria-describedby", "jt-edit-note");
    text.removeAttribute("title");
    text.spellcheck = false;
    element.classList.add("jt-editing");
    this.note = el("span.jt-note", { id: "jt-edit-note" });
    element.append(this.note);
    this.tell("hint");
    const heard = { input: this.typed, keydown: this.key, paste: this.pasted, compositionstart: this.compose, compositionend: this.composed };
    for (const [name, hear] of Object.entries(heard)) text.addEventListener(name, hear.bind(this), { signal });
    text.addEventListener("drop", (event) => event.preventDefault(), { signal });
    element.addEventListener("focusout", (event) => this.left(event), { signal });
    document.addEventListener("visibilitychange", () => this.save(), { signal });
    window.addEventListener("pagehide", () => this.save(), { signal });
  }

  close(focus = false) {
    const { element, field, id } = this;
    if (!this.busy) return;
    this.ends.abort();
    for (const name of ["contenteditable", "role", "aria-label", "aria-describedby", "spellcheck"]) field.removeAttribute(name);
    field.replaceChildren(document.createTextNode(this.host.rows.row(id)?.line.text ?? ""));
    this.note.remove();
    element.classList.remove("jt-editing");
    this.rest();
    this.host.rows.unlock();
    this.host.closed();
    if (focus) this.host.focusLine(id);
  }

  /** Everything is wiped: what was typed too. */
  forget() {
    this.drafts.clear();
    this.close();
  }

  // what is in the field

  value() {
    return this.field.textContent.split(/\s+/).filter(Boolean).join(" ");
  }

  place(offset) {
    const node = this.field.firstChild ?? this.field;
    const at = Math.min(offset, node.length ?? 0);
    getSelection().setBaseAndExtent(node, at, node, at);
  }

  /** Where the caret is in the field's text; null if something is selected. */
  caret() {
    const selection = getSelection();
    if (!selection.rangeCount || !this.field.contains(selection.anchorNode) || !selection.isCollapsed) return null;
    const range = new Range();
    range.selectNodeContents(this.field);
    range.setEnd(selection.anchorNode, selection.anchorOffset);
    return range.toString().length;
  }

  // typing

  compose() {
    this.composing = true;
    clearTimeout(this.timer);
  }

  composed() {
    this.composing = false;
    this.typed();
  }

  typed() {
    if (this.composing) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), QUIET_MS);
  }

  pasted(event) {
    event.preventDefault();
    const text = event.clipboardData.getData("text/plain").replace(/\s*[\r\n]+\s*/g, " ");
    document.execCommand("insertText", false, text); // the only way that the field's own undo knows of
  }

  key(event) {
    // Enter and Esc belong to the input method while it composes (229: Safari, after compositionend)
    if (this.composing || event.isComposing || event.keyCode === 229) return event.stopPropagation();
    const command = event.ctrlKey || event.metaKey;
    const key = command && !event.altKey ? `Ctrl+${event.key.toLowerCase()}` : event.key;
    const does = {
      "Ctrl+s": () => this.save(),
      "Ctrl+enter": () => this.host.playLine(this.id),
      Enter: () => (event.shiftKey ? this.split() : this.finish(true)),
      Escape: () => this.cancel(),
      Backspace: this.caret() === 0 ? () => this.mergeBack() : null,
    }[key];
    if (does) {
      event.preventDefault();
      event.stopPropagation();
      does();
    } else if (["Ctrl+z", "Ctrl+y"].includes(key) || !(command || /^F\d/.test(event.key))) {
      event.stopPropagation(); // the field's own undo, letters, arrows: none of the page's shortcuts
    }
  }

  left(event) {
    if (this.element.contains(event.relatedTarget)) return;
    if (document.hasFocus()) this.finish();
    else this.save();
  }

  // saving

  /** Send what is in the field, if it is new. True: the server has it. */
  async save() {
    if (!this.busy || this.composing) return true;
    clearTimeout(this.timer);
    while (this.sending) await this.sending;
    if (!this.busy) return true;
    if (this.theirs !== undefined) return false;
    const text = this.value();
    if (text === this.saved) return true;
    // an empty line would be gone on the server: only when the person is done with it
    if (!text && !this.leaving) return true;
    this.sending = this.send(text).finally(() => (this.sending = null));
    return this.sending;
  }

  async send(text) {
    const draft = `${this.job}/${this.id}`;
    this.drafts.set(draft, { text, version: this.version });
    Object.assign(this, { sent: text, newer: [] });
    try {
      // what is learned of a correction is learned of all of it, not of the letters since the last save
      const answer = await store.edit(this.job, [{ kind: "text", line: this.id, version: this.version, text, from: this.first }]);
      this.learned = answer?.learned ?? null;
    } catch (error) {
      return this.refused(error, text);
    }
    this.drafts.delete(draft);
    this.saved = text;
    if (text) await this.echo();
    if (this.busy && this.theirs === undefined) this.tell("saved");
    return true;
  }

  /** After an accepted change the next version of the line is ours. */
  async echo() {
    if (!this.newer.length) {
      await new Promise((resolve) => {
        this.arrived = resolve;
        setTimeout(resolve, ECHO_MS);
      });
    }
    const [ours, ...others] = this.newer;
    Object.assign(this, { sent: null, newer: [], arrived: null });
    if (ours) this.version = ours.version;
    if (others.length) this.tell("newer");
  }

  /** Lines changed on the server. */
  heard() {
    if (!this.busy) return;
    const line = store.details.get(this.job)?.lines.get(this.id);
    if (!line) {
      if (this.saved) this.tell("gone");
      return;
    }
    if (line.version === this.version) return;
    if (this.sent !== null) {
      if (this.newer.at(-1) !== line) this.newer.push(line);
      this.arrived?.();
    } else if (line.text === this.saved) this.version = line.version;
    else this.tell("newer");
  }

  refused(error, text) {
    this.sent = null;
    const theirs = error.conflict?.[0];
    if (error.status === 409 && theirs && theirs.text === this.saved) {
      // only something else of the line changed: its text is still the one that was edited
      this.version = theirs.version;
      return this.send(text);
    }
    if (error.status === 409) this.conflict(text, theirs ?? null);
    else if (error.status === 0) this.tell("waits");
    else toastError(error);
    return false;
  }

  /** The server is back: what waited goes now. */
  online() {
    if (!this.busy || !store.online) return;
    if (this.field.contains(document.activeElement)) this.save();
    else this.finish();
  }

  /** Save and leave the field. False: there is something to decide first. */
  async finish(focus = false) {
    if (this.composing) return false;
    const { id } = this;
    const beside = this.host.neighbour(id, -1) ?? this.host.neighbour(id, 1);
    this.leaving = true;
    const done = await this.save();
    if (this.id !== id) return true;
    this.leaving = false;
    if (!done) return false;
    const removed = !this.saved;
    const learned = this.job === this.host.job && this.saved !== this.first ? this.learned : null;
    this.close(focus && !removed);
    if (!removed) {
      if (learned) this.host.learned.offer(learned);
      return true;
    }
    toast(say("lines.removed"), { undo: () => this.host.undo() });
    if (focus && beside) this.host.focusLine(beside);
    return true;
  }

  /** Another recording is shown: what cannot be saved now is kept, and asked about when this one is shown again. */
  async leave() {
    const { id } = this;
    if (id !== null && !(await this.finish()) && this.id === id) this.close();
  }

  /** The element goes, and comes back at once (another language): the same, but now. */
  stash() {
    if (!this.busy) return;
    if (this.value() !== this.saved) this.drafts.set(`${this.job}/${this.id}`, { text: this.value(), version: this.version });
    this.close();
  }

  /** The line of this job that was left with something to decide, if any. */
  undecided(job) {
    for (const key of this.drafts.keys()) if (key.startsWith(`${job}/`)) return key.slice(job.length + 1);
    return null;
  }

  /** As if it had not been touched: what was saved meanwhile is taken back as well. */
  async cancel() {
    if (this.theirs !== undefined) return this.drop();
    this.field.textContent = this.first;
    await this.finish(true);
  }

  // splitting and merging

  async split() {
    const lead = this.field.textContent.length - this.field.textContent.trimStart().length;
    const offset = (this.caret() ?? 0) - lead;
    if (offset <= 0 || offset >= this.value().length) return void toast(say("lines.split_where"));
    if (!(await this.save())) return;
    const { id, version } = this;
    if (!(await this.host.change([{ kind: "split", line: id, version, offset }]))) return;
    this.close();
    const next = await this.host.when(() => this.host.rows.row(id)?.line.version !== version && this.host.neighbour(id, 1));
    if (next) this.open(next, 0);
  }

  async mergeBack() {
    const before = this.host.neighbour(this.id, -1);
    if (!before || !(await this.finish())) return;
    const line = this.host.rows.row(before)?.line;
    if (!line || !(await this.host.merge(before))) return;
    await this.host.when(() => this.host.rows.row(before)?.line.version !== line.version);
    this.open(before, line.text.length);
  }

  // what stands below the field

  /** hint · saved · newer · gone · waits */
  tell(state) {
    if (this.theirs !== undefined) return;
    this.note.className = `jt-note jt-note-${state}`;
    this.note.replaceChildren(say(`lines.edit_${state}`));
  }

  conflict(mine, theirs) {
    this.theirs = theirs;
    const button = (text, run) => el("button.jy-button", { type: "button", onclick: run }, text);
    const row = (title, text, ...buttons) =>
      el("span.jt-choice", null, el("span.jt-choice-title", null, title), el("span.jt-choice-text", null, text), ...buttons);
    this.note.className = "jt-note jt-note-conflict";
    this.note.setAttribute("role", "alert");
    if (theirs) {
      this.note.replaceChildren(
        el("span", null, say("lines.conflict")),
        row(say("lines.conflict_mine"), mine, button(say("lines.conflict_take_mine"), () => this.insist())),
        row(say("lines.conflict_theirs"), theirs.text, button(say("lines.conflict_take_theirs"), () => this.drop())),
      );
    } else {
      this.note.replaceChildren(
        el("span", null, say("lines.conflict_gone")),
        row(say("lines.conflict_mine"), mine, button(say("lines.copy"), () => this.host.copy(this.value())), button(say("lines.conflict_drop"), () => this.drop())),
      );
    }
    this.host.keepInSight(this.element);
  }

  /** My text over theirs, knowing theirs. */
  async insist() {
    this.version = this.theirs.version;
    this.saved = this.theirs.text;
    this.theirs = undefined;
    await this.finish(true);
  }

  /** What stands on the server is right. */
  drop() {
    this.drafts.delete(`${this.job}/${this.id}`);
    this.close(true);
  }
}
