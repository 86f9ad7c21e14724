// What to look at again: proposals and doubtful lines, and beside them the record of what was corrected. In: lines. Out:
// heard, accepted, declined, corrected, settled, taken back; by keys, each followed by the next.

import { el, put } from "./dom.js";
import { icon } from "./icons.js";
import { drawPlace } from "./option.js";
import { Picker } from "./picker.js";
import { atLeast, keyOf, placeNow, proposalsIn } from "./proposals.js";
import { say } from "./say.js";
import { doubts, timeOf } from "./turns.js";

const LEAST = 85; // measured: nine of ten or more are right (LOG.md); the person sees the number and may move it

export class Review {
  constructor(host) {
    Object.assign(this, { host, view: "check", editing: null, settled: new Set(), least: LEAST });
    this.panel = el("section.jt-review", { hidden: true });
    this.list = new Picker({
      draw: drawPlace,
      signature: (item) => `${item.line.text} ${item.line.start_ms} ${item.line.flags} ${JSON.stringify(item.at)}`,
      chose: (item) => this.go(item),
      key: (event) => this.key(event),
    });
    this.list.box.id = "jt-review-list";
    this.build();
  }

  build() {
    this.list.forget();
    const view = (name, text) => el("button.jt-view", { type: "button", "aria-pressed": String(this.view === name), "aria-controls": "jt-review-list", "data-view": name, onclick: () => this.turn(name) }, text);
    this.views = el("div.jt-views", { role: "group", "aria-label": say("termsdesk.views") }, view("check", say("lines.review")), view("record", say("termsdesk.record")));
    this.count = el("span.jy-muted.jy-num", { role: "status" });
    this.keys = el("span.jy-muted.jt-keys");
    this.none = el("p.jt-review-none.jy-muted");
    this.closer = el("button.jy-icon-button", { type: "button", "aria-label": say("lines.review_close"), title: say("lines.review_close"), onclick: () => this.close() }, icon("close"));
    this.acts = el("div.jt-acts", { role: "group", "aria-label": say("termsdesk.acts") });
    this.panel.replaceChildren(
      el("header.jt-review-head", null, this.views, this.count, el("span.jy-spread"), this.keys, this.closer),
      this.bar(), this.list.box, this.none, this.acts,
    );
    this.acting = null;
    this.refresh();
  }

  /** One click for all that are so alike; the number that is meant is seen, and how many those are. */
  bar() {
    this.slider = el("input.jt-least-slider", { id: "jt-least", type: "range", min: 75, max: 100, step: 1, value: this.least });
    this.slider.addEventListener("input", () => {
      this.least = Number(this.slider.value);
      this.weigh();
    });
    this.shown = el("output.jy-num", { for: "jt-least" });
    this.acceptAll = el("button.jy-button", { type: "button", onclick: () => this.host.decisions.all("accept", this.good) });
    this.leastBar = el("div.jt-least", { role: "group", "aria-label": say("termsdesk.least_group"), hidden: true },
      el("label", { for: "jt-least" }, say("termsdesk.least")), this.slider, this.shown, this.acceptAll);
    return this.leastBar;
  }

  weigh() {
    const open = this.view === "check" ? this.host.decisions.open("proposal") : [];
    this.good = atLeast(open, this.least);
    this.leastBar.hidden = !open.length;
    put(this.shown, `${this.least}%`);
    this.slider.setAttribute("aria-valuetext", say("termsdesk.least_value", { percent: this.least, count: this.good.length }));
    put(this.acceptAll, say("termsdesk.accept_all", { count: this.good.length }));
    this.acceptAll.disabled = !this.good.length;
  }

  // which items there are

  itemsNow() {
    if (this.view === "record") return this.keyed(this.host.decisions.open("correction"));
    const { decisions, job, lines } = this.host;
    return lines.flatMap((line) => {
      const places = this.keyed(proposalsIn(line).map((at) => ({ job, line, kind: "proposal", at })).filter((place) => !decisions.isPending(place)));
      const doubtful = doubts(line).length > 0 && !this.settled.has(`${line.id} ${line.text}`);
      return doubtful ? [...places, { key: `doubt ${line.id}`, kind: "doubt", line, at: null }] : places;
    });
  }

  keyed(places) {
    return places.map((place) => ({ ...place, key: keyOf(place) }));
  }

  /** A line that was changed has its places elsewhere: the one that was chosen stays so. */
  becameOf(item, items) {
    if (!item.at || this.host.decisions.isPending(item)) return null;
    const now = placeNow(item, this.host.rows.row(item.line.id)?.line);
    return now && items.find(({ key }) => key === keyOf(now));
  }

  async open(view = "check") {
    if (this.host.editor.busy && !(await this.host.editor.finish())) return;
    this.panel.hidden = false;
    this.host.tools.hide();
    this.list.chosen = null;
    this.look(view);
    const now = this.host.follower.ms ?? 0;
    const { items } = this.list;
    this.list.chosen = items.find((item) => momentOf(item) >= now) ?? items[0] ?? null;
    this.list.mark();
    this.act();
    this.focus();
    if (this.list.chosen) this.host.reveal(this.list.chosen.line.id);
  }

  turn(view) {
    this.list.chosen = null;
    this.look(view);
    this.list.chosen = this.list.items[0] ?? null;
    this.list.mark();
    this.act();
  }

  look(view) {
    this.view = view;
    for (const button of this.views.children) button.setAttribute("aria-pressed", String(button.dataset.view === view));
    this.list.name(view === "check" ? say("lines.review") : say("termsdesk.record"));
    this.refresh();
  }

  close() {
    this.panel.hidden = true;
    this.editing = null;
    const id = this.list.chosen?.line.id ?? this.host.active;
    if (id) this.host.focusLine(id);
  }

  focus() {
    (this.list.items.length ? this.list.box : this.closer).focus({ preventScroll: true });
  }

  /** Lines changed, or something was decided. */
  refresh() {
    if (this.panel.hidden) return;
    const focused = this.list.box.contains(document.activeElement) || this.acts.contains(document.activeElement);
    const items = this.itemsNow();
    this.list.show(items, (item, among) => this.becameOf(item, among));
    const check = this.view === "check";
    put(this.count, check ? say("lines.review_left", { count: items.length }) : say("termsdesk.record_all", { count: items.length }));
    put(this.none, items.length ? "" : check ? say("lines.review_none") : say("termsdesk.record_none"));
    this.list.box.hidden = !items.length;
    this.weigh();
    this.act();
    if (focused && !items.length) this.closer.focus({ preventScroll: true });
  }

  // what can be done with the chosen one

  act() {
    const item = this.list.chosen;
    const acting = `${item?.kind} ${this.view} ${this.list.items.length > 1}`;
    if (acting === this.acting) return; // a button under the pointer stays
    this.acting = acting;
    const button = (style, name, text, hint, run) => el(`button.jy-button${style}`, { type: "button", onclick: run }, name && icon(name), text, hint && el("span.jt-act-key", { "aria-hidden": "true" }, hint));
    const hear = button("", "play", say("termsdesk.hear_short"), null, () => this.host.hear(this.list.chosen));
    const edit = button("", null, say("lines.menu_edit"), "E", () => this.edit());
    const acts = {
      proposal: () => [hear, button(".primary", null, say("termsdesk.accept"), "⏎", () => this.decide("accept")), button("", null, say("termsdesk.decline"), say("termsdesk.key_space"), () => this.decide("decline")), edit],
      doubt: () => [hear, button("", null, say("termsdesk.settle"), say("termsdesk.key_space"), () => this.settle()), edit],
      correction: () => [hear, button("", null, say("termsdesk.revert"), "Del", () => this.decide("revert")), el("span.jy-spread"),
        this.list.items.length > 1 && button(".quiet", null, say("termsdesk.revert_all"), null, () => this.host.decisions.all("revert", this.list.items))],
    }[item?.kind];
    this.acts.hidden = !acts;
    this.acts.replaceChildren(...(acts ? acts().filter(Boolean) : []));
    put(this.keys, { proposal: say("termsdesk.keys_proposal"), doubt: say("lines.review_keys"), correction: say("termsdesk.keys_correction") }[item?.kind] ?? "");
  }

  key(event) {
    const { kind } = this.list.chosen ?? {};
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const does = {
      Escape: () => this.close(),
      F2: () => this.edit(),
      e: () => this.edit(),
      Enter: () => (kind === "proposal" ? this.decide("accept") : this.edit()),
      " ": () => (kind === "proposal" ? this.decide("decline") : kind === "doubt" && this.settle()),
      Delete: kind === "correction" ? () => this.decide("revert") : null,
    }[name];
    // a key that is held down decides once: the next one is to be seen first
    if (does && !event.repeat) does();
    return Boolean(does);
  }

  /** It is shown and heard. */
  go(item) {
    this.act();
    if (!item) return;
    this.host.hear(item);
    this.host.reveal(item.line.id);
    this.host.activate(item.line.id);
  }

  decide(what) {
    const { chosen } = this.list;
    if (!chosen) return;
    this.host.decisions.one(what, chosen);
    if (this.view === "check") this.go(this.list.chosen);
  }

  edit() {
    if (!this.list.chosen) return;
    const { line, at } = this.list.chosen;
    this.editing = line.id;
    this.host.editor.open(line.id, at ? at.end : Infinity);
  }

  async settle() {
    const { line } = this.list.chosen;
    const key = `${line.id} ${line.text}`;
    this.settled.add(key);
    this.refresh();
    this.go(this.list.chosen);
    if (await this.host.change([{ kind: "settle", line: line.id, version: line.version }])) return;
    this.settled.delete(key);
    this.refresh();
  }

  /** After an edit that began here the keys go on here. */
  takesBack(id) {
    if (this.panel.hidden || this.editing !== id) return false;
    this.editing = null;
    this.refresh();
    this.focus();
    return true;
  }
}

function momentOf({ line, at }) {
  return at ? timeOf(line, at.start) : line.start_ms;
}
