// Proposed and corrected places, marked in the text. In: the lines near the screen. Out: highlights, and which place a
// pointer is on. The text stays plain text: copying, searching and editing know nothing of marks.

import { highlight, rangeOf } from "./follow.js";
import { lineTitle, offsetAt, setOrDrop } from "./line.js";
import { correctionsIn, describe, proposalsIn } from "./proposals.js";

export class Marks {
  constructor(host) {
    Object.assign(this, { host, painted: false, hovered: null, frame: 0 });
  }

  listen(signal) {
    this.host.list.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || this.frame) return;
      const { target, clientX, clientY } = event;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.hover(target, { clientX, clientY });
      });
    }, { signal, passive: true });
  }

  paint() {
    const [proposed, corrected] = [[], []];
    for (const [id, node] of this.host.rows.texts()) {
      if (!node || id === this.host.rows.locked) continue;
      const { line } = this.host.rows.row(id) ?? {};
      if (!line || node.data !== line.text) continue;
      for (const at of proposalsIn(line)) proposed.push(rangeOf(node, at.start, at.end));
      for (const at of correctionsIn(line)) corrected.push(rangeOf(node, at.start, at.end));
    }
    if (!this.painted && !proposed.length && !corrected.length) return;
    this.painted = proposed.length + corrected.length > 0;
    highlight("jiyao-corrected", corrected, 1);
    highlight("jiyao-proposed", proposed, 2);
  }

  /** The place that holds this character, if any. */
  at(id, offset) {
    const line = this.host.rows.row(id)?.line;
    if (!line || offset === null) return null;
    const holds = (at) => offset >= at.start && offset < at.end;
    const proposed = proposalsIn(line).find(holds);
    const at = proposed ?? correctionsIn(line).find(holds);
    return at ? { job: this.host.job, line, kind: proposed ? "proposal" : "correction", at } : null;
  }

  /** What a mark means, as the line's title while the pointer is on it. */
  hover(target, point) {
    const text = target.isConnected ? target.closest(".jt-text") : null;
    const element = text?.closest(".jt-line");
    const line = element && this.host.rows.row(element.dataset.id)?.line;
    const marked = line && this.host.rows.locked !== line.id && proposalsIn(line).length + correctionsIn(line).length > 0;
    const place = marked ? this.at(line.id, offsetAt(element, point)) : null;
    if (this.hovered && this.hovered !== text) this.rest();
    if (!marked) return;
    this.hovered = text;
    const title = place ? describe(place) : lineTitle(line);
    if (text.title !== title) setOrDrop(text, "title", title);
  }

  rest() {
    const line = this.host.rows.row(this.hovered.closest(".jt-line")?.dataset.id)?.line;
    if (line && this.host.rows.locked !== line.id) setOrDrop(this.hovered, "title", lineTitle(line));
    this.hovered = null;
  }
}
