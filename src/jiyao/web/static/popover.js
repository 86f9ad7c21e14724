// What can be done at a marked place of the text, right there. In: a place. Out: accepted, declined, taken back, heard.

import { el } from "./dom.js";
import { rangeOf } from "./follow.js";
import { icon } from "./icons.js";
import { likeness, placeNow, ruleWords } from "./proposals.js";
import { say } from "./say.js";
import { store } from "./store.js";

const GAP = 6;
const FOOT = 72; // what may stand at the lower edge of the screen

export class Popover {
  constructor(host) {
    Object.assign(this, { host, place: null });
    this.box = el("div.jt-pop", { role: "dialog", tabindex: -1, hidden: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  listen(signal) {
    document.addEventListener("pointerdown", (event) => {
      if (this.place && !this.box.contains(event.target)) this.close(false);
    }, { signal, capture: true });
  }

  open(place) {
    if (store.isReadOnly(this.host.job)) return;
    this.place = place;
    this.host.tools.hide();
    this.draw();
    this.box.hidden = false;
    this.stand();
    this.box.focus({ preventScroll: true });
  }

  close(focus = true) {
    if (!this.place) return;
    const { line } = this.place;
    this.place = null;
    this.box.hidden = true;
    if (focus) this.host.focusLine(line.id);
  }

  /** Lines changed or moved: it goes with its place, or away. */
  again() {
    if (!this.place) return;
    const now = placeNow(this.place, this.host.rows.row(this.place.line.id)?.line);
    if (!now || this.host.decisions.isPending(now)) return this.close(this.box.contains(document.activeElement));
    this.place = now;
    this.stand();
  }

  draw() {
    const { at, kind } = this.place;
    const proposed = kind === "proposal";
    const why = [at.score === null ? "" : likeness(at.score), ruleWords(at.rule)].filter(Boolean).join(" · ");
    const button = (style, text, run) => el(`button.jy-button${style}`, { type: "button", onclick: run }, text);
    const hear = el("button.jy-icon-button", { type: "button", "aria-label": say("termsdesk.hear"), title: say("termsdesk.hear"), onclick: () => this.host.hear(this.place) }, icon("play"));
    const more = proposed ? this.host.decisions.alike(this.place).length : 1;
    this.box.setAttribute("aria-label", `${proposed ? say("termsdesk.pop_proposal") : say("termsdesk.pop_correction")}: ${at.before} → ${at.after}`);
    this.box.replaceChildren(
      el("p.jt-pop-change", null, el("span.jt-was", null, at.before), icon("arrow"), el("span.jt-will", null, at.after)),
      el("p.jt-pop-why", null, why),
      el("div.jt-pop-row", null,
        ...(proposed
          ? [button(".primary", say("termsdesk.accept"), () => this.decide("accept")), button("", say("termsdesk.decline"), () => this.decide("decline"))]
          : [button("", say("termsdesk.revert"), () => this.decide("revert"))]),
        hear),
      ...(more > 1 ? [button(".quiet.jt-pop-all", say("termsdesk.accept_alike", { count: more }), () => this.decideAll())] : []),
    );
  }

  decide(what) {
    const { place } = this;
    this.close();
    this.host.decisions.one(what, place);
  }

  decideAll() {
    const places = this.host.decisions.alike(this.place);
    this.close();
    this.host.decisions.all("accept", places);
  }

  key(event) {
    const run = { Escape: () => this.close(), Enter: event.target === this.box && this.place.kind === "proposal" ? () => this.decide("accept") : null }[event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  }

  /** Below its place, above where there is no room. */
  stand() {
    const { line, at } = this.place;
    const node = this.host.rows.element(line.id)?.querySelector(".jt-text").firstChild;
    const spot = node && rangeOf(node, at.start, at.end).getClientRects()[0];
    if (!spot) return;
    const home = this.host.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const below = spot.bottom + GAP;
    const top = below + height < innerHeight - FOOT ? below : spot.top - GAP - height;
    this.box.style.left = `${Math.round(Math.max(0, Math.min(spot.left - home.left, home.width - width)))}px`;
    this.box.style.top = `${Math.round(top - home.top)}px`;
  }
}
