// The review list: lines worth listening to again. In: flags and confidence. Out: heard, corrected or settled, by keys.

import { el } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { reasonText } from "./line.js";
import { say } from "./say.js";
import { doubts } from "./turns.js";

export class Review {
  constructor(host) {
    Object.assign(this, { host, items: [], id: null, editing: null, settled: new Set() });
    this.panel = el("section.jt-review", { hidden: true });
    this.build();
  }

  build() {
    this.panel.setAttribute("aria-label", say("lines.review"));
    this.count = el("span.jy-muted.jy-num", { role: "status" });
    this.box = el("div.jt-review-list", { role: "listbox", tabindex: 0, "aria-label": say("lines.review") });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("click", (event) => this.choose(event.target.closest("[role=option]")?.dataset.id));
    this.none = el("p.jt-review-none.jy-muted", null, say("lines.review_none"));
    const close = el("button.jy-icon-button", { type: "button", "aria-label": say("lines.review_close"), title: say("lines.review_close"), onclick: () => this.close() }, icon("close"));
    this.panel.replaceChildren(
      el("header.jt-review-head", null, el("strong", null, say("lines.review")), this.count, el("span.jy-spread"), el("span.jy-muted.jt-keys", null, say("lines.review_keys")), close),
      this.box,
      this.none,
    );
    this.drawn = null;
    this.refresh();
  }

  async open() {
    if (this.host.editor.busy && !(await this.host.editor.finish())) return;
    this.panel.hidden = false;
    this.host.tools.hide();
    this.refresh();
    this.id = (this.items.find(({ start_ms: at }) => at >= (this.host.follower.ms ?? 0)) ?? this.items[0])?.id ?? null;
    this.mark();
    if (this.items.length) this.box.focus({ preventScroll: true });
    else this.panel.querySelector("button").focus();
    if (this.id) this.host.reveal(this.id);
  }

  close() {
    this.panel.hidden = true;
    this.editing = null;
    const id = this.id ?? this.host.active;
    if (id) this.host.focusLine(id);
  }

  /** Lines changed: the list as it is now, on the same line, or on the one that took its place. */
  refresh() {
    if (this.panel.hidden) return;
    const before = this.items.findIndex((line) => line.id === this.id);
    this.items = this.host.rows.rows.map((row) => row.line).filter((line) => doubts(line).length && !this.settled.has(`${line.id} ${line.text}`));
    if (!this.items.some((line) => line.id === this.id)) {
      this.id = this.items[Math.min(Math.max(0, before), this.items.length - 1)]?.id ?? null;
    }
    const drawn = this.items.map((line) => `${line.id}:${line.version}`).join();
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.box.replaceChildren(...this.items.map(option));
    this.count.textContent = say("lines.review_left", { count: this.items.length });
    this.box.hidden = !this.items.length;
    this.none.hidden = this.items.length > 0;
    this.mark();
  }

  mark() {
    for (const item of this.box.children) {
      const chosen = item.dataset.id === this.id;
      item.setAttribute("aria-selected", String(chosen));
      if (chosen) reveal(item, this.box);
    }
    if (this.id) this.box.setAttribute("aria-activedescendant", `jt-review-${this.id}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const at = this.items.findIndex((line) => line.id === this.id);
    const go = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.items.length - 1 }[event.key];
    const does = { Enter: () => this.edit(), F2: () => this.edit(), " ": () => this.settle(), Escape: () => this.close() }[event.key];
    if ((go === undefined && !does) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (does) does();
    else this.choose(this.items[go]?.id);
  }

  /** Go to a line: it is shown and heard. */
  choose(id) {
    if (!id) return;
    this.id = id;
    this.mark();
    this.host.playLine(id);
    this.host.reveal(id);
    this.host.activate(id);
  }

  edit() {
    if (!this.id) return;
    this.editing = this.id;
    this.host.editor.open(this.id);
  }

  async settle() {
    const line = this.items.find((one) => one.id === this.id);
    if (!line) return;
    const next = this.items[this.items.indexOf(line) + 1]?.id;
    this.settled.add(`${line.id} ${line.text}`);
    if (!(await this.host.change([{ kind: "settle", line: line.id, version: line.version }]))) {
      this.settled.delete(`${line.id} ${line.text}`);
      return;
    }
    if (next) this.choose(next);
    this.refresh();
  }

  /** After an edit that began here the keys go on here. */
  takesBack(id) {
    if (this.panel.hidden || this.editing !== id) return false;
    this.editing = null;
    this.refresh();
    (this.items.length ? this.box : this.panel.querySelector("button")).focus({ preventScroll: true });
    return true;
  }
}

function option(line) {
  return el("div.jt-option", { role: "option", id: `jt-review-${line.id}`, "data-id": line.id, "aria-selected": "false" },
    el("span.jt-option-time.jy-num", null, clock(line.start_ms)),
    el("span.jt-option-text", null, line.text),
    el("span.jt-option-why", null, reasonText(doubts(line))));
}

/** Only the list scrolls, never the page. */
function reveal(item, list) {
  const [top, height] = [item.offsetTop - list.offsetTop, item.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
}
