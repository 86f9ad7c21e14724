// The virtual list. In: lines in order, changes. Out: line elements in groups that are built when they come near.
//
// Groups off the screen cost nothing (`content-visibility`), and all are built in idle time, so that the browser's own
// search, selection and screen readers reach every line. A line that is being edited is never replaced or moved.

import { layOut, speakersOf } from "./turns.js";

const GROUP = 40;
const TOO_LONG = 110;
const SLICE_MS = 6;

export class Rows {
  /** `draw(element, row)` fills a line's element; `changed()` is called after the lines near the screen are others. */
  constructor(list, draw, changed) {
    Object.assign(this, { list, draw, changed, locked: null });
    this.columns = 0;
    new ResizeObserver(() => this.resized()).observe(list);
    this.clear();
  }

  clear() {
    this.watch?.disconnect();
    cancelIdle(this.idle);
    this.idle = undefined;
    this.list.replaceChildren();
    this.groups = [];
    this.rows = [];
    this.place = new Map();
    this.home = new Map();
    this.speakers = new Map();
    this.near = new Set();
    this.orphan = null;
    this.watch = new IntersectionObserver((entries) => this.seen(entries), {
      root: scrollerOf(this.list, null),
      rootMargin: "1600px 0px",
    });
  }

  /** All lines anew; `calm`: they were here before, no fading in. */
  load(lines) {
    this.clear();
    this.update(lines, false);
  }

  /** The lines as they are now; only what differs is touched. `fade`: new ones come in softly. */
  update(lines, fade = true) {
    this.rows = layOut(lines);
    this.place = new Map(this.rows.map((row, index) => [row.line.id, index]));
    this.speakers = speakersOf(lines);
    const names = [...this.speakers.keys()];
    this.line = parseFloat(getComputedStyle(this.list).lineHeight) || 30;
    this.columns = this.columnsNow();
    for (const row of this.rows) row.colour = row.line.speaker === null ? 0 : (names.indexOf(row.line.speaker) % 8) + 1;
    this.held(() => {
      this.share();
      for (const group of this.groups) {
        group.rows[0].head = true;
        group.rows[0].gap = false;
        if (group.built) this.fill(group, fade);
        else this.measure(group);
      }
    });
    this.later();
    this.changed();
  }

  /** Characters in a line of text; a list that is not shown yet has no width. */
  columnsNow() {
    return Math.max(12, ((this.list.clientWidth || 720) - 40) / (this.line / 1.75));
  }

  /** The list is wider or narrower now, or shown at last. */
  resized() {
    const columns = this.columnsNow();
    if (!this.list.clientWidth || Math.abs(columns - this.columns) < 1) return;
    this.columns = columns;
    this.held(() => {
      for (const group of this.groups) if (!group.built) this.measure(group);
    });
  }

  row(id) {
    return this.rows[this.place.get(id)];
  }

  at(index) {
    return this.rows[index];
  }

  index(id) {
    return this.place.get(id) ?? -1;
  }

  /** The element of a line, built now if it was not yet. */
  element(id) {
    const group = this.home.get(id);
    if (!group) return null;
    if (!group.built) this.build(group);
    return group.elements.get(id) ?? null;
  }

  /** The text node of a line, if its group is near the screen. */
  textNear(id) {
    const group = this.home.get(id);
    return group && this.near.has(group) ? textOf(group.elements.get(id)) : null;
  }

  /** [id, text node] of every line near the screen. */
  *texts() {
    for (const group of this.near) for (const [id, element] of group.elements) yield [id, textOf(element)];
  }

  // which line is in which group

  share() {
    const before = this.home;
    this.home = new Map();
    this.groups.forEach((group, at) => Object.assign(group, { rows: [], at }));
    let current = null;
    let last = -1;
    for (const row of this.rows) {
      const old = before.get(row.line.id);
      // a group never goes back: lines that changed places join the group they come into
      if (old && old.at >= last) current = old;
      else if (!current || (current.rows.length >= GROUP && (row.head || current.rows.length >= 2 * GROUP))) current = this.group(current);
      last = current.at;
      current.rows.push(row);
      this.home.set(row.line.id, current);
    }
    for (const group of [...this.groups]) {
      if (group.rows.length > TOO_LONG && !group.elements.has(this.locked)) this.cut(group);
    }
    for (const group of this.groups.filter((each) => each.rows.length === 0)) this.drop(group);
    this.groups = this.groups.filter((group) => group.rows.length > 0);
  }

  group(after) {
    const element = document.createElement("div");
    element.className = "jt-group";
    element.setAttribute("role", "presentation");
    const group = { element, rows: [], elements: new Map(), built: false };
    element.jtGroup = group;
    if (after) after.element.after(element);
    else this.list.prepend(element);
    this.groups.splice(after ? after.at + 1 : 0, 0, group);
    this.groups.forEach((each, at) => Object.assign(each, { at }));
    this.watch.observe(element);
    return group;
  }

  cut(group) {
    let part = group;
    const rows = group.rows;
    part.rows = [];
    for (const row of rows) {
      if (part.rows.length >= GROUP && (row.head || part.rows.length >= 2 * GROUP)) part = this.group(part);
      part.rows.push(row);
      this.home.set(row.line.id, part);
      if (part !== group) group.elements.get(row.line.id)?.remove();
      if (part !== group) group.elements.delete(row.line.id);
    }
  }

  drop(group) {
    if (group.elements.has(this.locked)) {
      // its text is still in somebody's hands: it stays until they are done
      this.orphan = group;
      return;
    }
    this.watch.unobserve(group.element);
    this.near.delete(group);
    group.element.remove();
  }

  /** The line is edited no longer: what waited for that is done now. */
  unlock() {
    const id = this.locked;
    this.locked = null;
    if (this.orphan) this.drop(this.orphan);
    this.orphan = null;
    const group = this.home.get(id) ?? this.groups.find((each) => each.elements.has(id));
    if (group) this.fill(group, false);
  }

  // drawing

  build(group) {
    group.built = true;
    this.fill(group, false);
    this.measure(group);
  }

  /** Make the group's children what its rows say, without moving those that are in place already. */
  fill(group, fade) {
    const wanted = new Set(group.rows.map((row) => row.line.id));
    for (const [id, element] of group.elements) {
      if (wanted.has(id) || id === this.locked) continue;
      element.remove();
      group.elements.delete(id);
    }
    let next = group.element.firstChild;
    for (const row of group.rows) {
      const element = this.drawn(group, row, fade);
      const locked = row.line.id === this.locked;
      // the one being edited stays where it is: moving it would take the caret away; the others go around it
      while (locked && next && next !== element && element.parentNode) {
        const other = next;
        next = next.nextSibling;
        other.remove();
      }
      if (next === group.elements.get(this.locked) && !wanted.has(this.locked)) next = next?.nextSibling ?? null;
      if (next === element) next = next.nextSibling;
      else group.element.insertBefore(element, next);
    }
  }

  drawn(group, row, fade) {
    const { id } = row.line;
    let element = group.elements.get(id);
    if (!element) {
      element = document.createElement("span");
      element.className = fade ? "jt-line jt-new" : "jt-line";
      group.elements.set(id, element);
    }
    if (!same(element.jtRow, row)) this.draw(element, row, id === this.locked);
    element.jtRow = id === this.locked ? null : row;
    return element;
  }

  /** Tell the browser how high the group will be about, for the scroll bar. */
  measure(group) {
    const { line, columns } = this;
    let [height, length] = [0, 0];
    for (const row of group.rows) {
      if (row.head) {
        height += Math.ceil(length / columns) * line + (row.line.speaker !== null || row.tag ? 44 : 16);
        length = 0;
      }
      length += row.width;
    }
    height = Math.round(height + Math.ceil(length / columns) * line);
    group.element.style.containIntrinsicBlockSize = `auto ${height}px`;
    group.element.style.minBlockSize = group.built ? "" : `${height}px`;
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const group = target.jtGroup;
      if (!isIntersecting) this.near.delete(group);
      else {
        if (!group.built) this.build(group);
        this.near.add(group);
      }
    }
    this.changed();
  }

  /** The groups that nobody has come near yet, a few at a time while nothing else happens. */
  later() {
    if (this.idle !== undefined || this.groups.every((group) => group.built)) return;
    this.idle = onIdle(() => {
      this.idle = undefined;
      const until = performance.now() + SLICE_MS;
      for (const group of this.groups) {
        if (!group.built) this.build(group);
        if (performance.now() > until) break;
      }
      this.later();
    });
  }

  // where the reader is

  /** Do `change`, and keep the line at the top of the screen where it is. */
  held(change) {
    const scroller = scrollerOf(this.list);
    const anchor = this.near.size ? this.topLine() : null;
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (!anchor?.isConnected) return;
    const moved = anchor.getBoundingClientRect().top - before;
    if (Math.abs(moved) > 0.5) scroller.scrollTop += moved;
  }

  /** The first line on the screen: what the reader looks at, whatever changes above it. None where the list's start is seen. */
  topLine() {
    const { top } = visibleBox(this.list);
    if (this.list.getBoundingClientRect().top >= top) return null;
    for (const group of this.groups) {
      if (!this.near.has(group) || group.element.getBoundingClientRect().bottom < top) continue;
      for (const element of group.element.children) if (element.getBoundingClientRect().bottom > top) return element;
    }
    return null;
  }
}

const same = (a, b) => a && a.line === b.line && a.head === b.head && a.tag === b.tag && a.gap === b.gap && a.colour === b.colour;
const textOf = (element) => element?.querySelector(".jt-text")?.firstChild ?? null;
const onIdle = window.requestIdleCallback ? (f) => requestIdleCallback(f, { timeout: 500 }) : (f) => setTimeout(f, 30);
const cancelIdle = (id) => id !== undefined && (window.cancelIdleCallback ?? clearTimeout)(id);

/** What scrolls around an element: Streamlit's main section, or the page. */
export function scrollerOf(element, page = document.scrollingElement) {
  for (let parent = element.parentElement; parent && parent !== document.body; parent = parent.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(parent).overflowY)) return parent;
  }
  return page;
}

/** The part of the screen on which lines can be read: below what sticks to the top, above the lower edge. */
export function visibleBox(list) {
  const scroller = scrollerOf(list, null)?.getBoundingClientRect();
  const host = list.closest("jiyao-transcript");
  const pinned = host?.querySelector(".jt-pinned")?.offsetHeight ?? 0;
  const top = Math.max(0, scroller?.top ?? 0) + (host?.below ?? 0) + pinned;
  return { top, bottom: Math.min(innerHeight, scroller?.bottom ?? innerHeight) };
}

/** Keep `element` below what sticks to the top above it, however high that is. */
export function pinBelow(element, signal) {
  const dock = element.closest("jiyao-desk")?.querySelector(".jy-dock");
  if (!dock) return;
  const watch = new ResizeObserver(() => {
    const { position, top } = getComputedStyle(dock);
    element.below = position === "sticky" ? (parseFloat(top) || 0) + dock.offsetHeight : 0;
    element.style.setProperty("--jt-top", `${element.below}px`);
  });
  watch.observe(dock);
  signal.addEventListener("abort", () => watch.disconnect());
}
