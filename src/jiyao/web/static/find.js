// Find and replace. In: what to look for. Out: matches in all lines (the data, not the page), highlighted; edits.
//
// A match is the same run of characters within one line. Full-width and half-width forms of letters, digits and marks
// are the same; so are capitals and small letters, unless case is asked for. 简 and 繁 are different characters.

import { el } from "./dom.js";
import { highlight, rangeOf } from "./follow.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { toast } from "./toast.js";

const TYPING_MS = 120;

export class Find {
  constructor(host) {
    Object.assign(this, { host, matches: [], byLine: new Map(), at: -1, exact: false, query: "", folded: new WeakMap() });
    this.bar = el("div.jt-bar", { role: "search", hidden: true });
    this.bar.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "F3" || this.bar.hidden || !this.host.isConnected) return;
      event.preventDefault();
      this.step(event.shiftKey ? -1 : 1);
    });
    this.build();
  }

  build() {
    const [query, other] = [this.input?.value ?? "", this.other?.value ?? ""];
    this.input = el("input.jy-input", { type: "search", value: query, "aria-label": say("lines.find"), placeholder: say("lines.find"), title: say("lines.find_how"), autocomplete: "off", spellcheck: "false", enterkeyhint: "search" });
    this.other = el("input.jy-input", { type: "text", value: other, "aria-label": say("lines.replace_with"), placeholder: say("lines.replace_with"), autocomplete: "off", spellcheck: "false" });
    this.input.addEventListener("input", (event) => !event.isComposing && this.soon());
    this.input.addEventListener("compositionend", () => this.soon());
    this.count = el("span.jt-count.jy-num", { role: "status" });
    const small = (name, label, run, extra) => el("button.jy-icon-button", { type: "button", "aria-label": label, title: label, onclick: run, ...extra }, name === "Aa" ? "Aa" : icon(name));
    this.case = small("Aa", say("lines.find_case"), () => this.toggleCase(), { "aria-pressed": String(this.exact) });
    this.more = small("replace", say("lines.replace_show"), () => this.showReplace(this.second.hidden), { "aria-expanded": "false" });
    this.one = el("button.jy-button", { type: "button", onclick: () => this.replaceOne() }, say("lines.replace"));
    this.all = el("button.jy-button", { type: "button", onclick: () => this.replaceAll() }, say("lines.replace_all"));
    this.second = el("div.jt-bar-row", { hidden: this.second?.hidden ?? true }, this.other, this.one, this.all);
    this.bar.setAttribute("aria-label", say("lines.find_label"));
    this.bar.replaceChildren(
      el("div.jt-bar-row.jt-bar-first", null, this.input, this.count, this.case,
        small("chevron", say("lines.find_before"), () => this.step(-1), { "data-flip": "" }), small("chevron", say("lines.find_next"), () => this.step(1)),
        this.more, small("close", say("lines.find_close"), () => this.close(), { "data-close": "" })),
      this.second,
    );
    this.tell();
  }

  async open(replace) {
    const chosen = getSelection().toString();
    if (this.host.editor.busy && !(await this.host.editor.finish())) return;
    this.bar.hidden = false;
    this.host.tools.hide();
    if (chosen && chosen.length < 60 && !/[\r\n]/.test(chosen)) this.input.value = chosen;
    this.showReplace(replace || !this.second.hidden);
    this.input.focus();
    this.input.select();
    this.search();
  }

  close() {
    const id = this.matches[this.at]?.id ?? this.host.active;
    this.bar.hidden = true;
    Object.assign(this, { matches: [], byLine: new Map(), at: -1, query: "" });
    this.paint();
    if (id) this.host.focusLine(id);
  }

  showReplace(shown) {
    this.second.hidden = !shown || store.isReadOnly(this.host.job);
    this.more.setAttribute("aria-expanded", String(!this.second.hidden));
  }

  toggleCase() {
    this.exact = !this.exact;
    this.case.setAttribute("aria-pressed", String(this.exact));
    this.folded = new WeakMap();
    this.query = null;
    this.search();
  }

  key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && event.target === this.input) {
      this.search();
      this.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Enter" && event.target === this.other) this.replaceOne();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // looking

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), TYPING_MS);
  }

  /** The query as it stands now; starts at the line that is looked at. */
  search() {
    clearTimeout(this.timer);
    if (this.input.value === this.query && this.matches.length) return;
    this.query = this.input.value;
    const from = this.matches[this.at] ?? { id: this.host.rows.topLine()?.dataset.id ?? this.host.active, from: 0 };
    this.look(from);
    if (this.at >= 0) this.show();
  }

  /** Lines changed: the same search again, at the same place. */
  refresh() {
    if (!this.bar || this.bar.hidden) return;
    this.look(this.after ?? this.matches[this.at]);
    this.after = null;
  }

  look(from) {
    const needle = fold(this.query, this.exact);
    this.matches = [];
    this.byLine = new Map();
    if (needle) for (const { line } of this.host.rows.rows) this.lookIn(line, needle);
    this.at = this.matches.length ? this.firstFrom(from) : -1;
    this.tell();
    this.paint();
  }

  lookIn(line, needle) {
    let text = this.folded.get(line);
    if (text === undefined) this.folded.set(line, (text = fold(line.text, this.exact)));
    for (let from = text.indexOf(needle); from >= 0; from = text.indexOf(needle, from + needle.length)) {
      const match = { id: line.id, from, to: from + needle.length };
      this.matches.push(match);
      if (!this.byLine.has(line.id)) this.byLine.set(line.id, []);
      this.byLine.get(line.id).push(match);
    }
  }

  firstFrom(from) {
    const place = this.host.rows.index(from?.id);
    const later = this.matches.findIndex((match) => {
      const index = this.host.rows.index(match.id);
      return index > place || (index === place && match.from >= from.from);
    });
    return Math.max(0, later);
  }

  step(by) {
    if (!this.matches.length) return;
    this.at = (this.at + by + this.matches.length) % this.matches.length;
    this.show();
    this.tell();
    this.paint();
  }

  show() {
    const { id } = this.matches[this.at];
    this.host.follower.leave();
    this.host.reveal(id);
  }

  tell() {
    const some = this.matches.length > 0;
    const text = !this.query ? "" : some ? say("lines.find_count", { at: this.at + 1, count: this.matches.length }) : say("lines.find_none");
    if (this.count.textContent !== text) this.count.textContent = text;
    this.one.disabled = this.all.disabled = !some;
  }

  /** Highlights stand on text nodes: only those near the screen have any. */
  paint() {
    if (this.bar?.hidden && !this.painted) return;
    this.painted = !this.bar.hidden && this.matches.length > 0;
    const [others, now] = [[], []];
    const current = this.matches[this.at];
    if (this.painted) {
      for (const [id, node] of this.host.rows.texts()) {
        if (!node || id === this.host.rows.locked) continue;
        for (const match of this.byLine.get(id) ?? []) (match === current ? now : others).push(rangeOf(node, match.from, match.to));
      }
    }
    highlight("jiyao-find", others, 2);
    highlight("jiyao-find-now", now, 3);
  }

  // replacing

  async replaceOne() {
    this.search();
    const match = this.matches[this.at];
    const line = match && this.host.rows.row(match.id)?.line;
    if (!line) return;
    const put = this.other.value;
    this.after = { id: line.id, from: match.from + put.length };
    const done = await this.host.change([textOf(line, [match], put)]);
    if (!done) this.after = null;
    else if (await this.host.when(() => this.host.rows.row(line.id)?.line !== line)) if (this.at >= 0) this.show();
  }

  /** All of them in one step, so that one undo takes all back. */
  async replaceAll() {
    this.search();
    const put = this.other.value;
    const changes = [];
    for (const [id, matches] of this.byLine) {
      const line = this.host.rows.row(id).line;
      const change = textOf(line, matches, put);
      if (change.text !== line.text) changes.push(change);
    }
    const count = this.matches.length;
    if (!changes.length || !(await this.host.change(changes))) return;
    toast(say("lines.replaced", { count, lines: changes.length }), { undo: () => this.host.undo() });
  }
}

function textOf(line, matches, put) {
  let [text, done] = ["", 0];
  for (const { from, to } of matches) {
    text += line.text.slice(done, from) + put;
    done = to;
  }
  return { kind: "text", line: line.id, version: line.version, text: text + line.text.slice(done) };
}

/** The same text with half-width letters, and small ones unless `exact`; every character stays where it is. */
export function fold(text, exact) {
  const narrow = text.replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0)).replaceAll("\u3000", " ");
  if (exact) return narrow;
  const small = narrow.toLowerCase();
  if (small.length === narrow.length) return small;
  return Array.from(narrow, (one) => (one.toLowerCase().length === one.length ? one.toLowerCase() : one)).join("");
}
