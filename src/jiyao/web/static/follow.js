// The text goes with the sound. In: the time that is heard. Out: line and word highlighted, scrolled to while nobody
// scrolls by hand, and a button back to it.

import { el } from "./dom.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { scrollerOf, visibleBox } from "./list.js";
import { lastAt, wordAt } from "./turns.js";

const BY_HAND = new Set(["PageUp", "PageDown", "Home", "End", "ArrowUp", "ArrowDown"]);
const STILL_MS = 700; // longer than the two clicks of a double click may lie apart
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Highlight `ranges` under `name`, where the browser can. */
export function highlight(name, ranges, priority = 0) {
  if (!globalThis.CSS?.highlights) return;
  if (!ranges.length) {
    CSS.highlights.delete(name);
    return;
  }
  const highlighted = new Highlight(...ranges);
  highlighted.priority = priority;
  CSS.highlights.set(name, highlighted);
}

export function rangeOf(node, from, to) {
  const range = new Range();
  range.setStart(node, Math.min(from, node.length));
  range.setEnd(node, Math.min(to, node.length));
  return range;
}

export class Follow {
  constructor(host) {
    Object.assign(this, { host, ms: null, id: null, word: "", attached: true, stillUntil: 0 });
    this.button = el("button.jy-button.jt-back", { type: "button", hidden: true, onclick: () => this.back() });
  }

  /** Notice who scrolls: only hands, never what scrolls by itself. */
  listen(signal) {
    const leave = () => this.leave();
    const target = scrollerOf(this.host) ?? document.documentElement;
    for (const name of ["wheel", "touchmove"]) target.addEventListener(name, leave, { signal, passive: true });
    document.addEventListener("keydown", (event) => {
      if (BY_HAND.has(event.key) && !event.defaultPrevented) leave();
    }, { signal });
    document.addEventListener("pointerdown", (event) => {
      const onBar = event.target === target && event.clientX >= target.getBoundingClientRect().left + target.clientWidth;
      if (onBar) leave();
    }, { signal });
    (target === document.scrollingElement ? window : target).addEventListener("scroll", () => this.offerSoon(), { signal, passive: true });
  }

  forget() {
    Object.assign(this, { ms: null, id: null, word: "", attached: true });
    this.mark();
    this.button.hidden = true;
  }

  leave() {
    this.attached = false;
    this.offer();
  }

  /** The reader asked for this place: the text follows again. */
  attach() {
    this.attached = true;
    this.stillUntil = performance.now() + STILL_MS;
    this.button.hidden = true;
  }

  back() {
    this.attach();
    if (this.id) this.host.reveal(this.id, "start");
  }

  /** `ms` is heard now. Called many times a second: touches the page only where word or line changed. */
  at(ms) {
    const { rows } = this.host;
    this.ms = ms;
    const index = lastAt(rows.rows.length, (i) => rows.rows[i].line.start_ms, ms);
    const line = index < 0 ? null : rows.at(index).line;
    const span = line ? wordAt(line, ms) : null;
    const word = span ? `${span[0]}-${span[1]}` : "";
    if (line?.id === this.id && word === this.word) return;
    const moved = line?.id !== this.id;
    Object.assign(this, { id: line?.id ?? null, word });
    this.mark(line, span);
    if (moved && line && this.attached && !this.host.editor.busy) this.scroll(line.id);
    else this.offer();
  }

  /** The same again: text nodes changed under the highlight. */
  again() {
    const line = this.id && this.host.rows.row(this.id)?.line;
    if (!line) return this.mark();
    return this.mark(line, this.ms === null ? null : wordAt(line, this.ms));
  }

  mark(line = null, span = null) {
    const node = line && this.host.rows.textNear(line.id);
    const usable = node && this.host.rows.locked !== line.id;
    highlight("jiyao-line", usable ? [rangeOf(node, 0, node.length)] : []);
    highlight("jiyao-word", usable && span ? [rangeOf(node, span[0], span[1])] : [], 1);
    if (globalThis.CSS?.highlights) return;
    this.host.querySelector(".jt-now")?.classList.remove("jt-now");
    if (usable) node.parentElement.classList.add("jt-now");
  }

  /** Bring the line that is heard into the comfortable part of the screen, if it is not there. */
  scroll(id) {
    const element = this.host.rows.element(id);
    const box = element?.querySelector(".jt-text").getBoundingClientRect();
    if (!box) return;
    const { top, bottom } = visibleBox(this.host);
    const height = bottom - top;
    const clicked = performance.now() < this.stillUntil && box.bottom > top && box.top < bottom;
    if (clicked) return; // a second click must meet the same line
    if (box.top >= top + 8 && box.bottom <= bottom - height * 0.2) return;
    const near = Math.abs(box.top - top) < height * 1.5;
    this.host.reveal(id, "start", near && !calm.matches);
  }

  offerSoon() {
    this.soon ??= requestAnimationFrame(() => {
      this.soon = null;
      this.offer();
    });
  }

  /** The button back is there while the text does not follow and the line that is heard is out of sight. */
  offer() {
    const seen = this.attached || !this.id || this.host.editor.busy || this.inSight();
    if (this.button.hidden !== seen) {
      this.button.hidden = seen;
      if (!seen) this.button.replaceChildren(icon("play"), say("lines.back_to_playing"));
    }
  }

  inSight() {
    const node = this.host.rows.textNear(this.id);
    if (!node) return false;
    const box = node.parentElement.getBoundingClientRect();
    const { top, bottom } = visibleBox(this.host);
    return box.bottom > top && box.top < bottom;
  }
}
