// The status bar: engine in words, device and memory, and the badge that opens the proof. In: the store's state.

import { el, put, View } from "./dom.js";
import { bytes } from "./format.js";
import { engineWords } from "./head.js";
import { icon } from "./icons.js";
import { openReceipt } from "./receipt.js";
import { say } from "./say.js";
import { store } from "./store.js";

class Status extends View {
  connected() {
    this.on(store, "state online setup", () => this.show());
  }

  build() {
    this.engine = el("span.jy-engine", null, icon("chip"), el("span"));
    this.loading = el("div.jy-bar-track.wandering.jy-engine-bar", { role: "progressbar", hidden: true }, el("div"));
    this.device = el("span.jy-figure.jy-num", null, el("span"));
    this.memory = el("span.jy-figure.jy-num", null, icon("memory"), el("span"));
    this.badge = el("button.jy-badge", { type: "button", "aria-haspopup": "dialog", title: say("desk.badge_opens"), onclick: () => openReceipt() }, icon("shield"), el("span"));
    this.loading.setAttribute("aria-label", say("desk.engine_starts"));
    this.replaceChildren(this.engine, this.loading, el("span.jy-spread"), this.device, this.memory, this.badge);
    this.show();
  }

  show() {
    const { state } = store;
    if (!state) return;
    const { engine, host, sealed } = state;
    put(this.engine.lastElementChild, state.engine_loading ? say("desk.engine_starts") : engine ? engineWords(engine) : say("desk.engine_waits"));
    this.loading.hidden = !state.engine_loading;
    this.engine.title = engine?.model ?? "";
    const gpu = host.gpu;
    put(this.device.lastElementChild, gpu ? graphics(gpu) : "");
    this.device.hidden = !gpu;
    put(this.memory.lastElementChild, say("desk.memory", { used: bytes(state.memory_used_bytes), free: bytes(host.memory_free_bytes) }));
    this.memory.title = say("desk.memory_why");
    const outcome = store.online ? sealed.outcome : "gone";
    this.badge.dataset.outcome = outcome;
    put(this.badge.lastElementChild, say(`desk.badge_${outcome}`));
    this.badge.disabled = !store.online;
  }
}

/** A driver need not say how much memory there is, nor how much of it is taken. */
function graphics({ name, used_bytes: used, memory_bytes: total }) {
  if (used && total) return say("desk.gpu", { name, used: bytes(used), total: bytes(total) });
  return used ? say("desk.gpu_used", { name, used: bytes(used) }) : name;
}

customElements.define("jiyao-status", Status);
