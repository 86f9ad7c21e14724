// Getting a model: the first-run screen, and the same in a dialog later. In: Setup of the server. Out: fetch, cancel.

import { frame, openDialog } from "./dialog.js";
import { el, put, View } from "./dom.js";
import { bytes, pace } from "./format.js";
import { request } from "./head.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";

let count = 0;

class Setup extends View {
  connected() {
    this.name ??= `jy-model-${(count += 1)}`;
    this.on(store, "setup jobs wiped online", () => this.show());
  }

  build() {
    this.drawn = null;
    this.show();
  }

  show() {
    const setup = store.state?.setup;
    if (!setup) return;
    const dialog = this.hasAttribute("dialog");
    this.hidden = !dialog && (!(setup.needed || setup.checking) || store.jobs.size > 0 || !store.online);
    if (this.hidden) return;
    if (setup.checking && !setup.needed && !dialog) {
      this.drawn = null;
      this.replaceChildren(el("p.jy-muted", { role: "status" }, setup.chosen.reason));
      return;
    }
    const missing = setup.models.filter((model) => model.state !== "present");
    if (!missing.some((model) => model.name === this.wanted)) {
      this.wanted = (missing.find((model) => model.recommended) ?? missing[0])?.name ?? null;
    }
    const { fetch: fetching, error, models } = setup;
    const drawn = JSON.stringify([fetching?.model, fetching?.note, error, models.map((model) => [model.name, model.state]), setup.needed]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.draw(setup, dialog);
    }
    if (fetching) this.advance(fetching);
  }

  draw(setup, dialog) {
    const { fetch: fetching, error } = setup;
    this.replaceChildren(
      ...(dialog ? [] : [el("h2", null, say("desk.setup_title")), el("p.jy-muted", null, say("desk.setup_why"))]),
      el("fieldset.jy-models", { disabled: Boolean(fetching) }, el("legend.jy-hidden-text", null, say("desk.setup_choose")),
        setup.models.map((model) => this.card(model))),
      ...(error && !fetching ? [el("div.jy-note.bad", { role: "alert" }, icon("warning"),
        el("div", null, el("strong", null, error.message), el("p", null, error.remedy)))] : []),
      fetching ? this.progress(setup) : this.go(setup),
    );
  }

  card(model) {
    const present = model.state === "present";
    const facts = [
      present ? null : say("desk.setup_size", { size: bytes(model.size_bytes) }),
      model.speed ? pace(model.speed) : null,
      model.licence ? say("desk.setup_licence", { licence: model.licence }) : null,
    ].filter(Boolean);
    const input = el("input", { type: "radio", name: this.name, value: model.name, checked: model.name === this.wanted, disabled: present });
    input.addEventListener("change", () => {
      this.wanted = model.name;
      this.setButton(store.state.setup);
    });
    return el("label.jy-model", null, input,
      el("span.jy-model-text", null,
        el("span.jy-row", null, el("strong", null, model.title),
          present ? el("span.jy-chip.ok", null, icon("check"), say("desk.setup_present"))
            : model.recommended ? el("span.jy-chip.accent", null, say("desk.setup_recommended")) : null),
        el("span", null, model.says),
        el("span.jy-muted.jy-small.jy-num", null, facts.join(" · "))));
  }

  go(setup) {
    this.button = el("button.jy-button.primary.big", { type: "button", onclick: () => this.wanted && request("POST", "/api/setup/fetch", { model: this.wanted }) }, icon("export"), el("span"));
    this.setButton(setup);
    return el("div.jy-row", null, this.button, el("p.jy-muted.jy-small", null, say("desk.setup_network")));
  }

  setButton(setup) {
    const model = setup.models.find((known) => known.name === this.wanted);
    if (!this.button) return;
    this.button.hidden = !model;
    if (!model) return;
    const words = { size: bytes(model.size_bytes) };
    this.button.lastElementChild.textContent = setup.error ? say("desk.setup_retry", words) : say("desk.setup_go", words);
  }

  progress(setup) {
    const model = setup.models.find((known) => known.name === setup.fetch.model);
    this.bar = el("div");
    this.track = el("div.jy-bar-track", { role: "progressbar", "aria-label": say("desk.setup_progress"), "aria-valuemin": 0, "aria-valuemax": 100 }, this.bar);
    this.line = el("p.jy-num");
    this.source = el("p.jy-muted.jy-small");
    const stop = el("button.jy-button", { type: "button", onclick: () => request("POST", "/api/setup/cancel", {}) }, icon("stop"), say("desk.setup_stop"));
    return el("div.jy-fetch", null, el("strong", null, say("desk.setup_getting", { model: model?.title ?? setup.fetch.model })), this.track, this.line, this.source, el("div.jy-row", null, stop));
  }

  advance({ done_bytes: done, total_bytes: total, source, note, file }) {
    const share = total ? Math.min(100, (done / total) * 100) : 0;
    this.bar.style.width = `${share}%`;
    this.track.classList.toggle("wandering", !total);
    if (total) this.track.setAttribute("aria-valuenow", Math.floor(share));
    put(this.line, total ? say("desk.setup_done_of", { done: bytes(done), total: bytes(total), percent: Math.floor(share) }) : say("desk.setup_preparing"));
    put(this.source, [note, source && say("desk.setup_from", { source }), file].filter(Boolean).join(" · "));
  }
}

customElements.define("jiyao-setup", Setup);

/** Models later on, from the side panel. */
export function openSetup() {
  return openDialog(frame({ title: say("desk.models_title"), body: el("jiyao-setup", { dialog: true }), wide: true }));
}
