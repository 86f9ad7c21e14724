// Terms out of documents. In: files that were chosen or dropped. Out: what a person ticks goes into the box.

import { frame, openDialog } from "./dialog.js";
import { el, put } from "./dom.js";
import { fold } from "./find.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { addTerms, known, sendFile } from "./terms.js";

export const DOCUMENTS = [".pptx", ".docx", ".xlsx", ".pdf", ".md", ".txt"];
const OLD = [".doc", ".ppt", ".xls"]; // not to be read, but the answer says what to do
const OFTEN = 2;

export function isDocument(name) {
  return [...DOCUMENTS, ...OLD].some((suffix) => name.toLowerCase().endsWith(suffix));
}

let open = null;

/** The dialog; while it is open, further files join it. */
export function openExtract(files = []) {
  if (open) return void open.read(files);
  open = new Extract();
  const closed = openDialog(open.dialog).then(() => (open.end(), (open = null)));
  open.read(files);
  return closed;
}

/** Ticked from the start: what a recogniser cannot know. Ordinary compounds it mostly can, and a long list serves nobody. */
function isWanted({ kind, count }) {
  return kind === "name" || kind === "mixed" || (kind === "latin" && count >= OFTEN);
}

class Extract {
  constructor() {
    Object.assign(this, { rows: new Map(), waiting: [], there: known(store.state.settings.terms), skipped: 0, ends: new AbortController() });
    this.file = el("input", { type: "file", multiple: true, accept: DOCUMENTS.join(","), hidden: true, "aria-hidden": "true", tabindex: -1 });
    this.file.addEventListener("change", () => {
      const chosen = [...this.file.files];
      this.file.value = "";
      this.read(chosen);
    });
    this.go = el("button.jy-button.primary", { type: "button", onclick: () => this.add() });
    this.dialog = frame({ title: say("termsdesk.extract_title"), body: this.body(), buttons: [this.go], wide: true });
    this.dialog.classList.add("jy-extract");
    this.catchDrops();
    // what documents hold does not outlive what is cleared
    store.addEventListener("wiped", () => this.dialog.close(""), { signal: this.ends.signal });
    this.tell();
  }

  body() {
    this.zone = el("div.jy-extract-zone", null, icon("document"),
      el("p", null, say("termsdesk.extract_drop")),
      el("button.jy-button", { type: "button", autofocus: true, onclick: () => this.file.click() }, say("termsdesk.extract_choose")), this.file);
    this.status = el("p.jy-muted.jy-small", { role: "status", "aria-live": "polite" });
    this.faults = el("div.jy-extract-faults", { role: "alert" });
    this.filter = el("input.jy-input", { type: "search", autocomplete: "off", spellcheck: "false", "aria-label": say("termsdesk.extract_filter"), placeholder: say("termsdesk.extract_filter") });
    this.filter.addEventListener("input", () => this.sift());
    const all = (text, on) => el("button.jy-button.quiet", { type: "button", onclick: () => this.tickAll(on) }, text);
    this.tools = el("div.jy-extract-tools", { hidden: true }, this.filter, all(say("termsdesk.extract_all"), true), all(say("termsdesk.extract_none"), false));
    this.list = el("ul.jy-extract-list", { hidden: true, "aria-label": say("termsdesk.extract_found") });
    this.list.addEventListener("change", () => this.tell());
    this.empty = el("p.jy-muted", { hidden: true }, say("termsdesk.extract_no_match"));
    return [this.zone, this.faults, this.status, this.tools, this.list, this.empty];
  }

  end() {
    this.ends.abort();
  }

  // reading

  /** One file after the other; what is found joins the list. */
  async read(files) {
    this.waiting.push(...files);
    if (this.reading) return;
    while (this.waiting.length && !this.ends.signal.aborted) {
      this.reading = this.waiting.shift();
      this.tell();
      await this.readOne(this.reading);
    }
    this.reading = null;
    this.tell();
  }

  async readOne(file) {
    try {
      const { candidates, notes } = await sendFile("/api/terms/extract", file);
      for (const candidate of candidates) this.take(candidate);
      for (const note of notes ?? []) this.complain(file.name, note);
      this.heard = (this.heard ?? 0) + 1;
      this.sift();
    } catch (error) {
      this.complain(file.name, error.message, error.remedy, true);
    }
  }

  complain(name, message, remedy = "", bad = false) {
    this.faults.append(el(bad ? "div.jy-note.bad" : "div.jy-note.warn", null, icon(bad ? "warning" : "info"),
      el("div", null, el("strong", null, name), el("p", null, message), remedy ? el("p", null, remedy) : null)));
  }

  take(candidate) {
    const had = this.rows.get(candidate.term);
    if (had) {
      had.count += candidate.count;
      had.times.textContent = say("termsdesk.extract_times", { count: had.count });
      return;
    }
    if (this.there.has(candidate.term)) {
      this.skipped += 1;
      return;
    }
    const box = el("input", { type: "checkbox", checked: isWanted(candidate) });
    const times = el("span.jy-extract-times.jy-num", null, say("termsdesk.extract_times", { count: candidate.count }));
    const row = el("li", null, el("label", null, box,
      el("span.jy-extract-term", null, candidate.term),
      el("span.jy-extract-kind", null, say(`termsdesk.kind_${candidate.kind}`)), times,
      el("span.jy-extract-example", null, candidate.example)));
    this.rows.set(candidate.term, { ...candidate, box, times, row, text: fold(candidate.term, false) });
    this.list.append(row);
  }

  // ticking

  sift() {
    const wanted = fold(this.filter.value.trim(), false);
    let shown = 0;
    for (const { row, text } of this.rows.values()) {
      row.hidden = !text.includes(wanted);
      shown += Number(!row.hidden);
    }
    this.tools.hidden = !this.rows.size;
    this.list.hidden = !shown;
    this.empty.hidden = shown > 0 || !this.rows.size;
    this.tell();
  }

  /** Those that the filter leaves. */
  tickAll(on) {
    for (const { row, box } of this.rows.values()) if (!row.hidden) box.checked = on;
    this.tell();
  }

  get ticked() {
    return [...this.rows.values()].filter(({ box }) => box.checked);
  }

  tell() {
    const count = this.ticked.length;
    this.go.disabled = !count;
    put(this.go, count ? say("termsdesk.extract_add", { count }) : say("termsdesk.extract_add_none"));
    this.zone.classList.toggle("small", this.rows.size > 0);
    put(this.status, this.words());
  }

  words() {
    if (this.reading) return say("termsdesk.extract_reading", { name: this.reading.name });
    if (!this.heard) return say("termsdesk.extract_local");
    const there = this.skipped ? say("termsdesk.extract_skipped", { count: this.skipped }) : "";
    const found = this.rows.size ? say("termsdesk.extract_count", { count: this.rows.size }) : there ? "" : say("termsdesk.extract_nothing");
    return [found, there].filter(Boolean).join(" ");
  }

  async add() {
    const terms = this.ticked.map(({ term }) => term).join("\n");
    this.go.disabled = true;
    const added = await addTerms(terms, (count) => say("termsdesk.added", { count }));
    if (added === null) this.go.disabled = false;
    else this.dialog.close("yes");
  }

  /** A drop here is for here, and not a recording for the page below. */
  catchDrops() {
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
      this.dialog.addEventListener(name, (event) => {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        event.stopPropagation();
        this.zone.classList.toggle("over", name === "dragenter" || name === "dragover");
        if (name === "drop") this.read([...event.dataTransfer.files]);
      });
    }
  }
}
