// The recordings as tabs. In: the store's jobs. Out: the one that is selected; arrow keys, as WAI-ARIA wants it.

import { el, View } from "./dom.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";

const MARKS = { done: "check", failed: "warning", cancelled: "stop" };

class Tabs extends View {
  connected() {
    this.tabs = new Map();
    this.on(store, "jobs selected", () => this.show());
    this.on(store, "job", (event) => this.mark(event.detail));
    this.on(this, "keydown", (event) => this.onKey(event));
  }

  build() {
    this.tabs.clear();
    this.list = el("div.jy-tabs", { role: "tablist", "aria-label": say("desk.recordings") });
    this.replaceChildren(this.list);
    this.show();
  }

  show() {
    this.hidden = !store.jobs.size;
    for (const [id, tab] of this.tabs) {
      if (store.jobs.has(id)) continue;
      tab.remove();
      this.tabs.delete(id);
    }
    let at = 0;
    for (const id of store.jobs.keys()) {
      if (!this.tabs.has(id)) this.tabs.set(id, this.tab(id));
      const tab = this.tabs.get(id);
      // only what is out of place is moved: a moved tab would lose the focus
      if (this.list.children[at] !== tab) this.list.insertBefore(tab, this.list.children[at] ?? null);
      at += 1;
      const selected = id === store.selected;
      if (selected && tab.getAttribute("aria-selected") !== "true") requestAnimationFrame(() => reveal(tab, this.list));
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      this.mark(id);
    }
  }

  tab(id) {
    return el("button.jy-tab", { type: "button", role: "tab", id: `jy-tab-${id}`, "aria-controls": "jy-result", onclick: () => store.select(id) },
      el("span.jy-tab-mark"), el("span.jy-tab-name"), el("span.jy-hidden-text.jy-tab-state"));
  }

  mark(id) {
    const [job, tab] = [store.jobs.get(id), this.tabs.get(id)];
    if (!job || !tab) return;
    const [mark, name, state] = tab.children;
    const shown = job.past ? "past" : job.state;
    if (name.textContent !== job.name) {
      name.textContent = job.name;
      tab.title = job.name;
    }
    state.textContent = say(`desk.state_${shown}`);
    if (mark.dataset.state !== shown) {
      mark.dataset.state = shown;
      mark.replaceChildren(MARKS[shown] ? icon(MARKS[shown]) : el("span.jy-ring"));
    }
    const { done_ms: done, total_ms: total } = job.progress ?? {};
    mark.style.setProperty("--done", total ? Math.min(1, done / total) : 0);
  }

  onKey(event) {
    const ids = [...store.jobs.keys()];
    const at = ids.indexOf(store.selected);
    const go = { ArrowRight: (at + 1) % ids.length, ArrowLeft: (at - 1 + ids.length) % ids.length, Home: 0, End: ids.length - 1 }[event.key];
    if (go === undefined || !event.target.matches("[role=tab]")) return;
    event.preventDefault();
    event.stopPropagation();
    store.select(ids[go]);
    this.tabs.get(ids[go]).focus();
  }
}

function reveal(tab, list) {
  const [from, to] = [tab.offsetLeft - list.offsetLeft, tab.offsetLeft - list.offsetLeft + tab.offsetWidth];
  if (from < list.scrollLeft) list.scrollLeft = from - 24;
  else if (to > list.scrollLeft + list.clientWidth) list.scrollLeft = to - list.clientWidth + 24;
}

customElements.define("jiyao-tabs", Tabs);
