// <jiyao-desk shell="desk|streamlit">: the whole desk. In: the page's language and theme. Out: every part, in its place.

import "./banner.js";
import "./intake.js";
import "./panel.js";
import "./parts.js";
import "./player.js";
import "./recorder.js";
import "./results.js";
import "./setup.js";
import "./status.js";
import "./transcript.js";
import { dialogHome } from "./dialog.js";
import { el, View } from "./dom.js";
import { openHelp } from "./help.js";
import { icon } from "./icons.js";
import { listen } from "./keys.js";
import { say, setLanguage } from "./say.js";
import { store } from "./store.js";
import { toast, toastError, toastShelf } from "./toast.js";
import { askWipe } from "./wipe.js";

const STYLES = ["tokens", "desk", "views", "over", "transcript", "terms", "player"];

const SHEET = matchMedia("(max-width: 799px)");

function remember(name, value) {
  try {
    localStorage.setItem(`jiyao-${name}`, value);
  } catch {
    // storage switched off: it holds for this page
  }
}

class Desk extends View {
  static observedAttributes = ["lang"];

  get alone() {
    return this.getAttribute("shell") !== "streamlit";
  }

  attributeChangedCallback() {
    if (!this.alone) setLanguage(this.lang.startsWith("zh") ? "zh" : "en");
  }

  connected() {
    if (!this.alone) addStyles();
    this.setAttribute("translate", "no");
    setLanguage((this.alone ? document.documentElement.lang : this.lang || "zh").startsWith("zh") ? "zh" : "en");
    this.on(store, "selected jobs job", () => this.retitle());
    this.on(store, "job", (event) => this.announce(event.detail));
    this.on(store, "trouble", (event) => toastError(event.detail));
    this.said = new Map();
    store.start(location.hash.slice(1)).then(() => this.ready(), (error) => this.failed(error));
  }

  /** Before the messages are there, nothing can be said; after that the parts rebuild themselves. */
  ready() {
    if (this.isReady || !this.isConnected) return;
    this.isReady = true;
    this.arrange();
    listen(this.results, this.ends.signal);
  }

  failed(error) {
    console.error(error);
    // both languages: the table of messages is what could not be had
    this.replaceChildren(el("p.jy-start-error", { role: "alert" }, "纪要没有应答，请重新启动它。jiyao does not answer: please start it again."));
  }

  build() {
    if (this.isReady) this.bars();
  }

  arrange() {
    this.results = el("jiyao-results");
    this.live = el("p.jy-hidden-text", { "aria-live": "polite" });
    this.top = el(this.alone ? "header.jy-top" : "div.jy-top");
    this.main = el(this.alone ? "main.jy-main" : "div.jy-main", { id: "jy-main", tabindex: -1 },
      el("jiyao-banner"), el("jiyao-wiped"), el("jiyao-setup"), el("jiyao-intake"), this.results);
    this.panel = this.alone ? el("aside.jy-panel", { id: "jy-panel" }) : null;
    this.overlay = el("div.jy-over");
    dialogHome(this.overlay);
    this.skip = el("a.jy-skip", { href: "#jy-main", onclick: (event) => (event.preventDefault(), this.main.focus()) });
    this.replaceChildren(...[this.alone && this.skip, this.top].filter(Boolean),
      el("div.jy-body", null, this.panel, this.main), toastShelf(), this.live, this.overlay);
    if (this.panel) {
      this.togglePanel(matchMedia("(min-width: 1440px)").matches);
      this.closeSheet();
    }
    this.bars();
    this.retitle();
  }

  bars() {
    const status = el("jiyao-status");
    if (!this.alone) return this.top.replaceChildren(status);
    this.skip.textContent = say("desk.skip");
    const button = (text, name, run, extra = {}) => el("button.jy-icon-button", { type: "button", "aria-label": text, title: text, onclick: run, ...extra }, icon(name));
    this.panelButton = button(say("desk.panel"), "panel", () => this.togglePanel(!this.panelOpen), { "aria-controls": "jy-panel", "aria-expanded": String(this.panelOpen) });
    this.themeButton = button(say("desk.theme"), this.theme === "dark" ? "sun" : "moon", () => this.toggleTheme());
    const keys = button(say("desk.keys_title"), "keyboard", () => openHelp());
    keys.classList.add("jy-top-keys");
    const other = store.language === "zh" ? "en" : "zh";
    const tongue = el("button.jy-icon-button.jy-tongue", { type: "button", lang: other === "zh" ? "zh-CN" : "en", "aria-label": other === "zh" ? "切换到中文" : "Switch to English", onclick: () => this.toggleLanguage(other) }, other === "zh" ? "中" : "EN");
    this.top.replaceChildren(this.panelButton, el("h1.jy-brand", null, say("desk.brand")), status,
      el("span.jy-top-tools", null, button(say("desk.wipe_short"), "broom", () => askWipe()), tongue, this.themeButton, keys));
    this.panel.setAttribute("aria-label", say("desk.panel"));
    const close = button(say("desk.panel_close"), "close", () => this.togglePanel(false));
    close.classList.add("jy-panel-close");
    this.panel.replaceChildren(close, el("jiyao-panel"));
  }

  togglePanel(open) {
    const focused = this.panel.contains(document.activeElement);
    this.panelOpen = open;
    this.panel.hidden = !open;
    this.panelButton?.setAttribute("aria-expanded", String(open));
    if (open && SHEET.matches) this.panel.querySelector("button")?.focus();
    if (!open && focused) this.panelButton?.focus();
  }

  /** On a narrow page the panel lies over the text: Esc and a touch beside it put it away. */
  closeSheet() {
    const over = () => this.panelOpen && SHEET.matches && !document.querySelector("dialog[open]");
    this.on(document, "keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || !over()) return;
      this.togglePanel(false);
      event.preventDefault();
    });
    this.on(document, "pointerdown", (event) => {
      if (over() && !this.panel.contains(event.target) && !this.panelButton.contains(event.target)) this.togglePanel(false);
    });
  }

  get theme() {
    return document.documentElement.dataset.theme;
  }

  toggleTheme() {
    const next = this.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    remember("theme", next);
    this.themeButton.replaceChildren(icon(next === "dark" ? "sun" : "moon"));
  }

  toggleLanguage(next) {
    document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
    remember("language", next);
    setLanguage(next);
    this.top.querySelector(".jy-tongue").focus();
  }

  /** The tab's title says how far it is; the address remembers which recording, by a number that says nothing. */
  retitle() {
    if (!this.alone || !this.isReady) return;
    const job = store.jobs.get(store.selected);
    const { done_ms: done, total_ms: total } = job?.progress ?? {};
    const share = job?.state === "recognizing" && total ? `${Math.floor((done / total) * 100)}% ` : job?.state === "done" ? "✓ " : "";
    document.title = job ? `${share}${job.name} · ${say("desk.brand")}` : say("desk.brand");
    const hash = job ? `#${job.id}` : "";
    if (location.hash !== hash) history.replaceState(null, "", `${location.pathname}${hash}`);
  }

  /** For ears: a change of state, and each quarter of the way; not every line. */
  announce(id) {
    const job = store.jobs.get(id);
    if (!job || !this.live) return;
    const { done_ms: done, total_ms: total } = job.progress;
    const quarter = job.state === "recognizing" && total ? Math.floor((done / total) * 4) * 25 : 0;
    const now = `${job.state}${quarter}`;
    const before = this.said.get(id);
    this.said.set(id, now);
    if (before === undefined || before === now) return;
    const state = say(`desk.state_${job.state}`);
    this.live.textContent = quarter ? say("desk.live_share", { name: job.name, percent: quarter }) : say("desk.live_state", { name: job.name, state });
    const over = job.state === "done" && !before.startsWith("done");
    if (over && id !== store.selected) toast(say("desk.live_state", { name: job.name, state }));
  }
}

/** On Streamlit's page, once, however often it draws the desk anew. */
function addStyles() {
  for (const name of STYLES) {
    const href = new URL(`./${name}.css`, import.meta.url).href;
    if (![...document.styleSheets].some((sheet) => sheet.href === href) && !document.querySelector(`link[href="${href}"]`)) {
      document.head.append(el("link", { rel: "stylesheet", href }));
    }
  }
}

customElements.define("jiyao-desk", Desk);
