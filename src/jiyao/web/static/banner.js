// The server is gone: what is safe and what can be done. In: store.online. Out: a banner over the text, which stays.

import { el, View } from "./dom.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";

class Banner extends View {
  connected() {
    this.on(store, "online selected jobs", () => this.build());
  }

  build() {
    this.hidden = store.online;
    if (store.online) return this.replaceChildren();
    const held = Boolean(store.details.get(store.selected)?.lines.size);
    const why = store.lost === "locked" ? say("desk.locked_why") : held ? say("desk.gone_why_text") : say("desk.gone_why");
    this.replaceChildren(el("div.jy-note.warn", { role: "alert" }, icon("warning"),
      el("div", null, el("strong", null, store.lost === "locked" ? say("desk.locked") : say("desk.gone")), el("p", null, why))));
  }
}

customElements.define("jiyao-banner", Banner);
