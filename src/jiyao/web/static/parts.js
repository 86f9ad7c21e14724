// <jiyao-parts>: the parts of 3 to 5 minutes that a recording was cut into. In: `.job`. Out: `seek`; a part heard again.

import { View, el } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { wordButton } from "./player-kit.js";
import { language, say } from "./say.js";
import { store } from "./store.js";
import { toast, toastError } from "./toast.js";
import { doubts } from "./turns.js";

const COMMON = ["zh", "yue", "en"];
const MORE = [
  "ja", "ko", "de", "fr", "es", "pt", "it", "ru", "ar", "id", "th", "vi", "tr", "hi", "ms", "nl", "sv", "da", "fi", "pl",
  "cs", "fil", "fa", "el", "ro", "hu", "mk",
];
const RUNNING = ["loading", "recognizing", "finishing"];
const ACTIVE = ["queued", ...RUNNING];

class JiyaoParts extends View {
  #job = null;
  #later = 0;
  #asked = new Map(); // part → the version that was asked for here

  connected() {
    this.on(store, "job", ({ detail }) => detail === this.#job && this.#soon());
    this.on(store, "lines", ({ detail }) => detail.job === this.#job && this.#soon());
    this.on(store, "jobs online wiped setup", () => this.#soon());
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#later);
    this.#later = 0;
  }

  get job() {
    return this.#job;
  }

  set job(id) {
    if (id === this.#job) return;
    this.#job = id ?? null;
    this.#asked.clear();
    if (this.isConnected) this.#show();
  }

  get #detail() {
    return this.#job === null ? undefined : store.details.get(this.#job);
  }

  #soon() {
    this.#later ||= setTimeout(() => {
      this.#later = 0;
      this.#show();
    }, 300);
  }

  build() {
    this.title_ = el("span");
    this.list = el("ol.jy-part-list");
    this.box ??= el("details.jy-parts", { ontoggle: () => this.#show() });
    this.box.replaceChildren(el("summary", null, icon("chevron"), el("span", { "aria-hidden": "true" }, "✂"), this.title_), this.list);
    this.replaceChildren(this.box);
    this.rows = [];
    this.#show();
  }

  #show() {
    if (!this.list) return;
    const parts = this.#detail?.parts ?? [];
    this.hidden = parts.length === 0;
    this.title_.textContent = say("player.parts", { n: parts.length });
    if (!this.box.open) return;
    const views = viewsOf(this.#detail, this.#asked);
    while (this.rows.length > views.length) this.rows.pop().item.remove();
    views.forEach((view, i) => {
      if (!this.rows[i]) this.list.append((this.rows[i] = this.#row(i)).item);
      this.#fill(this.rows[i], view);
    });
  }

  #row(number) {
    const time = el("button.jy-part-time", { type: "button", onclick: () => this.#seek(number) });
    const state = el("span.jy-chip");
    const doubtful = el("span.jy-part-doubts");
    const again = wordButton("retry", say("player.again"), () => this.#menu(number), "quiet");
    again.setAttribute("aria-haspopup", "menu");
    again.setAttribute("aria-expanded", "false");
    const label = el("span.jy-part-number", null, String(number + 1));
    return { item: el("li", null, label, time, state, doubtful, again), time, state, doubtful, again };
  }

  /** Only what differs is touched: a menu that hangs on a button stays. */
  #fill(row, view) {
    const key = JSON.stringify([view, store.isReadOnly(this.#job)]);
    if (row.key === key) return;
    row.key = key;
    const time = `${clock(view.start_ms)} – ${clock(view.end_ms)}`;
    row.time.textContent = time;
    row.time.setAttribute("aria-label", say("player.part_play", { number: view.number, time }));
    row.state.textContent = say(`player.part_${view.state}`);
    row.state.dataset.state = view.state;
    row.doubtful.textContent = view.doubtful ? say("player.part_doubts", { n: view.doubtful }) : "";
    row.again.setAttribute("aria-label", say("player.again_part", { number: view.number }));
    row.again.disabled = !view.can || store.isReadOnly(this.#job);
  }

  #seek(number) {
    const detail = { ms: this.#detail.parts[number].start_ms, play: true };
    this.dispatchEvent(new CustomEvent("seek", { detail, bubbles: true, composed: true }));
  }

  // the menu of a part

  #menu(number, more = false) {
    const row = this.rows[number];
    const view = viewsOf(this.#detail, this.#asked)[number];
    if (more) return openMenu(row.again, this.#languageItems(number, true).slice(1));
    const warning = view.edited ? [{ heading: say("player.again_edited", { n: view.edited }) }] : [];
    openMenu(row.again, [
      ...warning,
      { text: say("player.again_same"), icon: "retry", run: () => this.#again(number, {}) },
      ...this.#versionItems(view),
      ...this.#engineItems(number),
      ...this.#languageItems(number, more),
    ]);
  }

  #versionItems(view) {
    if (view.versions.length < 2) return [];
    const item = (version, i) => ({
      text: say("player.version", { n: i + 1 }),
      hint: view.shown === version ? say("player.version_shown") : "",
      run: () => this.#showVersion(view, version, i + 1),
    });
    return ["-", { heading: say("player.versions") }, ...view.versions.map(item)];
  }

  #languageItems(number, more) {
    const title = namesOfLanguages();
    const item = (code) => ({ text: title(code), run: () => this.#again(number, { language: code }) });
    const rest = more
      ? MORE.map(item)
      : [{ text: say("player.more_languages"), icon: "more", run: () => this.#menu(number, true) }];
    const auto = { text: say("player.language_auto"), run: () => this.#again(number, { language: "auto" }) };
    return ["-", { heading: say("player.other_language") }, auto, ...COMMON.map(item), ...rest];
  }

  #engineItems(number) {
    const present = store.state.setup.models.filter(({ state }) => state === "present");
    const engines = new Map(present.flatMap(({ title, engines }) => engines.map((engine) => [engine, title])));
    if (engines.size < 2) return [];
    const item = ([engine, title]) => ({ text: title, hint: engine, run: () => this.#again(number, { engine }) });
    return ["-", { heading: say("player.other_engine") }, ...[...engines].map(item)];
  }

  async #again(part, how) {
    try {
      const { version } = await store.api("POST", `/api/jobs/${this.#job}/retry`, { part, ...how });
      this.#asked.set(part, version);
      toast(say("player.again_begun", { number: part + 1 }));
      this.#show();
    } catch (error) {
      toastError(error);
    }
  }

  async #showVersion(view, version, number) {
    try {
      for (const clip of this.#detail.clips.filter((each) => each.part === view.number - 1)) {
        if (clip.versions.length < 2 || !clip.versions.includes(version) || clip.shown === version) continue;
        await store.api("POST", `/api/jobs/${this.#job}/show`, { clip: clip.index, version });
      }
      toast(say("player.version_now", { part: view.number, n: number }));
    } catch (error) {
      toastError(error);
    }
  }
}

/** What is to be said of each part. State: waiting, running, done, gaps (some has no text), silent. */
function viewsOf(detail, asked) {
  if (!detail) return [];
  const clips = detail.parts.map(() => []);
  for (const clip of detail.clips) clips[clip.part]?.push(clip);
  const lines = detail.order.map((id) => detail.lines.get(id));
  const latest = Math.max(0, ...detail.clips.flatMap((clip) => clip.versions));
  const first = clips.findIndex((some) => some.some(isOpen));
  return detail.parts.map((part, i) => {
    const inside = lines.filter((line) => line.start_ms >= part.start_ms && line.start_ms < part.end_ms);
    const versions = [...new Set(clips[i].flatMap((clip) => clip.versions))].sort((a, b) => a - b);
    const shown = new Set(clips[i].filter((clip) => clip.versions.length > 1).map((clip) => clip.shown));
    return {
      number: i + 1,
      start_ms: part.start_ms,
      end_ms: part.end_ms,
      versions,
      shown: shown.size === 1 ? [...shown][0] : null,
      state: stateOf(detail, clips[i], { isFirst: i === first, version: asked.get(i), latest }),
      doubtful: inside.filter((line) => doubts(line).length).length,
      edited: inside.filter((line) => line.edited).length,
      can: detail.has_audio && clips[i].some((clip) => !isOpen(clip) || !ACTIVE.includes(detail.state)),
    };
  });
}

const isOpen = (clip) => clip.shown === null && !clip.skipped;

function stateOf(detail, clips, { isFirst, version, latest }) {
  const active = ACTIVE.includes(detail.state);
  const open = clips.filter(isOpen).length;
  if (active && open) return RUNNING.includes(detail.state) && (isFirst || open < clips.length) ? "running" : "waiting";
  // heard again: asked for here, or (another page asked) begun and not yet through
  const heard = (number) => clips.filter((clip) => clip.versions.includes(number) || clip.skipped).length;
  const wanted = version ?? (heard(latest) ? latest : null);
  if (active && wanted > 0 && heard(wanted) < clips.length) return heard(wanted) ? "running" : "waiting";
  if (!clips.length) return detail.clips.length ? "silent" : "waiting";
  return clips.some((clip) => clip.shown === null) ? "gaps" : "done";
}

/** The browser knows what languages are called; each of the common ones in its own words for who cannot read this page. */
function namesOfLanguages() {
  const names = new Intl.DisplayNames([language() === "zh" ? "zh-CN" : "en"], { type: "language" });
  return (code) => (code === "en" ? "English" : names.of(code));
}

customElements.define("jiyao-parts", JiyaoParts);
