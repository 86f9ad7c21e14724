// One click cleans up: asked once, then done, then shown. In: what is held. Out: POST /api/wipe, the wiped screen.

import { confirmDialog } from "./dialog.js";
import { el, View } from "./dom.js";
import { bytes, decimal } from "./format.js";
import { request } from "./head.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { uploads } from "./uploads.js";

export async function askWipe() {
  const { state, jobs, details } = store;
  if (!store.online) return askPage();
  const lines = [...details.values()].reduce((sum, detail) => sum + detail.lines.size, 0);
  const goes = [
    say("desk.wipe_audio", { count: jobs.size, size: bytes(state.memory_used_bytes) }),
    say("desk.wipe_text", { lines: decimal(lines, 0) }),
    say("desk.wipe_undo"),
    ...(state.recordings.length || uploads.items.length ? [say("desk.wipe_coming")] : []),
    say("desk.wipe_page"),
  ];
  const stays = [say("desk.wipe_stays_files"), ...(state.keep.on ? [say("desk.wipe_stays_kept")] : []), say("desk.wipe_stays_models")];
  const list = (items) => el("ul.jy-points", null, items.map((item) => el("li", null, item)));
  const sure = await confirmDialog({
    title: say("desk.wipe_title"),
    body: [el("h3", null, say("desk.wipe_goes")), list(goes), el("h3", null, say("desk.wipe_stays")), list(stays)],
    confirm: say("desk.wipe_confirm"),
  });
  if (sure) await request("POST", "/api/wipe", {});
}

/** Without a server there is only what this page still shows. */
async function askPage() {
  const sure = await confirmDialog({ title: say("desk.wipe_page_title"), body: [el("p", null, say("desk.wipe_page_why"))], confirm: say("desk.wipe_confirm") });
  if (sure) store.clear(null);
}

/** What the wipe did, until something new begins. */
class WipedScreen extends View {
  connected() {
    this.on(store, "wiped selected jobs", () => this.show());
  }

  build() {
    this.drawn = null;
    this.show();
  }

  show() {
    const { wiped, wiping } = store;
    this.hidden = !wiped && !wiping;
    if (wiping) {
      this.drawn = null;
      this.replaceChildren(el("div.jy-wiped", { role: "status" }, el("h2", null, say("desk.wiping"))));
      return;
    }
    if (!wiped || wiped === this.drawn) return;
    this.drawn = wiped;
    const row = (name, value) => [el("dt", null, name), el("dd.jy-num", null, value)];
    const again = el("button.jy-button.primary", { type: "button", onclick: () => this.again() }, say("desk.wiped_again"));
    this.replaceChildren(el("div.jy-wiped", { role: "status" },
      el("div.jy-zone-mark", null, icon("check")),
      el("h2", null, say("desk.wiped_title")),
      el("p.jy-muted", null, wiped.jobs ? say("desk.wiped_what", { count: wiped.jobs }) : say("desk.wiped_nothing")),
      el("dl.jy-facts", null,
        row(say("desk.wiped_buffers"), bytes(wiped.buffer_bytes)),
        row(say("desk.wiped_before"), bytes(wiped.resident_before)),
        row(say("desk.wiped_after"), bytes(wiped.resident_after)),
        row(say("desk.wiped_worker"), wiped.worker_ended ? say("desk.wiped_worker_ended") : say("desk.wiped_worker_none"))),
      again));
    again.focus({ preventScroll: true });
  }

  again() {
    store.wiped = null;
    store.tell("wiped");
  }
}

customElements.define("jiyao-wiped", WipedScreen);
