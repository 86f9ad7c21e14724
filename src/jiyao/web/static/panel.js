// The side panel of /desk/: what Streamlit's sidebar carries there. In: the store's settings. Out: PUT /api/settings, wipe.

import { el, put, View } from "./dom.js";
import { bytes } from "./format.js";
import { deviceWords, request } from "./head.js";
import { icon } from "./icons.js";
import { openKept, switchKeep } from "./keep.js";
import { language, say } from "./say.js";
import { openSetup } from "./setup.js";
import { store } from "./store.js";
import "./terms-box.js";
import { askWipe } from "./wipe.js";

const ENGINES = ["auto", "qwen-torch", "qwen-cpu", "whisper-base"];
const SCRIPTS = ["simplified", "traditional", "original"];
// what the recognisers can be told; the first ones are what our meetings are in
const LANGUAGES = "zh yue en ja ko fr de es pt it ru ar th vi id ms fil hi tr nl sv da fi pl cs hu ro el fa mk".split(" ");

class Panel extends View {
  connected() {
    this.on(store, "settings state setup online", () => this.show());
  }

  build() {
    this.fields = {};
    this.switches = [];
    this.replaceChildren(this.words(), this.engine(), this.keep(), this.sound(), this.wipe());
    this.show();
  }

  section(title, ...children) {
    return el("section.jy-panel-part", null, el("h2", null, title), ...children);
  }

  select(name, label, options) {
    const id = `jy-set-${name}`;
    const field = el("select.jy-input", { id }, options.map(([value, text]) => el("option", { value }, text)));
    field.addEventListener("change", () => this.set({ [name]: field.value }));
    this.fields[name] = field;
    return el("div.jy-field", null, el("label", { for: id }, label), field);
  }

  words() {
    const names = new Intl.DisplayNames([language() === "zh" ? "zh-CN" : "en"], { type: "language" });
    const languages = [["auto", say("desk.language_auto")], ...LANGUAGES.map((code) => [code, names.of(code)])];
    return this.section(say("desk.panel_words"),
      this.select("language", say("desk.language"), languages),
      this.select("script", say("desk.script"), SCRIPTS.map((script) => [script, say(`desk.script_${script}`)])),
      this.switch("speakers", "auto", say("voices.switch"), say("voices.switch_why"), "speakers"),
      el("jiyao-terms"));
  }

  /** A switch with a line of help. Where a model is needed for it, `part` of the setup tells of that, and it can be got. */
  switch(name, on, label, why, part = null) {
    const id = `jy-${name}-help`;
    const box = el("input", { type: "checkbox", role: "switch", "aria-describedby": id });
    box.addEventListener("change", () => this.set({ [name]: box.checked ? on : "off" }));
    const help = el("p.jy-muted.jy-small", { id });
    const get = el("button.jy-button", { type: "button", hidden: true, "aria-label": `${say("voices.get")} ${label}`, onclick: () => request("POST", "/api/setup/fetch", { model: store.state.setup[part].model }) }, say("voices.get"));
    this.switches.push({ name, on, why, part, box, help, get });
    return el("div.jy-field", null, el("label.jy-switch", null, label, box), help, get);
  }

  showSwitch({ name, on, why, part, box, help, get }, setup, settings) {
    const { ready, model, size_bytes: total } = part ? setup[part] : { ready: true };
    const { fetch: fetching } = setup;
    const getting = !ready && fetching?.model === model;
    box.checked = ready && settings[name] === on;
    box.disabled = !ready || !store.online;
    put(help, getting ? say("voices.getting", { done: bytes(fetching.done_bytes), size: bytes(total) }) : ready ? why : `${why} ${say("voices.get_why", { size: bytes(total) })}`);
    get.hidden = ready || getting;
    get.disabled = Boolean(fetching) || !store.online;
  }

  engine() {
    this.facts = el("dl.jy-facts");
    this.rejected = el("ul.jy-rejected.jy-small");
    this.rejectedBox = el("details", null, el("summary", null, say("desk.rejected")), this.rejected);
    return this.section(say("desk.panel_model"), this.facts,
      this.select("engine", say("desk.engine"), ENGINES.map((name) => [name, say(`desk.engine_${name.replace("-", "_")}`)])),
      this.rejectedBox,
      el("button.jy-button", { type: "button", onclick: () => openSetup() }, say("desk.models")));
  }

  keep() {
    this.keepSwitch = el("input", { type: "checkbox", role: "switch", "aria-describedby": "jy-keep-help" });
    this.keepSwitch.addEventListener("change", async () => {
      await switchKeep(this.keepSwitch.checked);
      this.show();
    });
    this.keepHelp = el("p.jy-muted.jy-small", { id: "jy-keep-help" });
    this.keptButton = el("button.jy-button", { type: "button", onclick: () => openKept() }, say("desk.kept_open"));
    return this.section(say("desk.panel_keep"), el("label.jy-switch", null, say("desk.keep"), this.keepSwitch), this.keepHelp, this.keptButton);
  }

  sound() {
    return this.section(say("desk.panel_sound"),
      this.switch("denoise", "on", say("desk.denoise"), say("desk.denoise_why"), "denoiser"),
      this.switch("loudness", "on", say("desk.loudness"), say("desk.loudness_why")),
      el("p.jy-muted.jy-small", null, say("desk.sound_from_now")));
  }

  wipe() {
    return el("section.jy-panel-part.jy-panel-wipe", null,
      el("button.jy-button.danger", { type: "button", title: say("desk.wipe_short"), onclick: () => askWipe() }, say("desk.wipe")));
  }

  async set(changes) {
    const settings = await request("PUT", "/api/settings", changes);
    if (settings) store.state.settings = settings;
    this.show();
  }

  show() {
    const { state } = store;
    if (!state || !this.keepSwitch) return;
    const { settings, engine, keep, setup } = state;
    for (const name of ["language", "script", "engine"]) if (this.fields[name].value !== settings[name]) this.fields[name].value = settings[name];
    this.showFacts(engine, setup);
    for (const one of this.switches) this.showSwitch(one, setup, settings);
    this.keepSwitch.checked = keep.on;
    this.keepSwitch.disabled = !keep.available;
    put(this.keepHelp, keep.available ? (keep.on ? say("desk.keep_on_why") : say("desk.keep_off_why")) : say("desk.keep_unavailable"));
    this.keptButton.hidden = !(keep.on || keep.exists);
    for (const field of this.querySelectorAll("select, .jy-panel-part > .jy-button:not(.danger)")) field.disabled = !store.online;
  }

  showFacts(engine, setup) {
    const facts = engine
      ? [[say("desk.fact_engine"), engine.title], [say("desk.fact_model"), engine.model], [say("desk.fact_device"), deviceWords(engine)],
        ...(engine.memory_bytes ? [[say("desk.fact_memory"), bytes(engine.memory_bytes)]] : [])]
      : [];
    const chosen = setup.chosen;
    if (!engine && chosen?.engine) facts.push([say("desk.fact_next"), chosen.title ?? chosen.engine]);
    if (chosen?.reason) facts.push([say("desk.fact_why"), chosen.reason]);
    const signature = JSON.stringify([facts, setup.rejected]);
    if (signature === this.factsDrawn && this.facts.childElementCount) return;
    this.factsDrawn = signature;
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [el("dt", null, name), el("dd", null, value)]));
    this.rejectedBox.hidden = !setup.rejected.length;
    this.rejected.replaceChildren(...setup.rejected.map(({ name, title, reason }) => el("li", null, el("strong", null, title ?? name), " ", reason)));
  }
}

customElements.define("jiyao-panel", Panel);
