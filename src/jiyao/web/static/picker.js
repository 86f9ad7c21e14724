// A list of places to go through by keys: one is chosen, what is decided on makes room for the next. In: items {key, …}.
// Out: a role=listbox; options are made anew only where their content is another.

import { el } from "./dom.js";

let count = 0;

export class Picker {
  /** `draw(item)`: children of an option; `signature(item)`: what they show; `chose(item)`: by key or pointer. */
  constructor({ draw, signature, chose, key }) {
    Object.assign(this, { draw, signature, chose, onKey: key, items: [], chosen: null, drawn: new Map() });
    this.box = el("div.jt-review-list", { role: "listbox", tabindex: 0 });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("click", (event) => {
      const item = this.items.find((one) => this.drawn.get(one.key)?.element === event.target.closest("[role=option]"));
      if (item) this.choose(item);
    });
  }

  name(label) {
    this.box.setAttribute("aria-label", label);
  }

  /** The list as it is now, on the same item, on what became of it, or on the one that took its place. */
  show(items, becameOf = () => null) {
    const place = this.items.findIndex((item) => item.key === this.chosen?.key);
    const before = this.chosen;
    this.items = items;
    this.chosen = before && (items.find((item) => item.key === before.key) ?? becameOf(before, items) ?? items[Math.min(Math.max(0, place), items.length - 1)] ?? null);
    const old = this.drawn;
    this.drawn = new Map(items.map((item) => [item.key, this.kept(old.get(item.key), item)]));
    for (const [key, { element }] of old) if (this.drawn.get(key)?.element !== element) element.remove();
    let next = this.box.firstChild;
    for (const { element } of this.drawn.values()) {
      if (element === next) next = next.nextSibling;
      else this.box.insertBefore(element, next);
    }
    this.mark();
  }

  kept(old, item) {
    const signature = this.signature(item);
    if (old?.signature === signature) return old;
    const element = el("div.jt-option", { role: "option", id: `jt-option-${(count += 1)}`, "aria-selected": "false" }, this.draw(item));
    return { element, signature };
  }

  /** In another language everything is drawn anew. */
  forget() {
    this.drawn = new Map();
    this.box.replaceChildren();
  }

  mark() {
    this.marked?.setAttribute("aria-selected", "false");
    this.marked = this.chosen ? this.drawn.get(this.chosen.key)?.element : null;
    if (!this.marked) return this.box.removeAttribute("aria-activedescendant");
    this.marked.setAttribute("aria-selected", "true");
    this.box.setAttribute("aria-activedescendant", this.marked.id);
    this.reveal();
  }

  reveal() {
    const [item, box] = [this.marked, this.box];
    const top = item.offsetTop - box.offsetTop - box.clientTop;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + item.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top + item.offsetHeight - box.clientHeight;
  }

  choose(item) {
    if (!item) return;
    this.chosen = item;
    this.mark();
    this.chose(item);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.items.indexOf(this.chosen);
    const go = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.items.length - 1 }[event.key];
    if (go === undefined && !this.onKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
    if (go !== undefined) this.choose(this.items[go]);
  }
}
