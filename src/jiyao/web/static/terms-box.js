// <jiyao-terms>: the box of terms with what fills it: a list, documents, a named set. In: the store's settings. Out: PUT.

import { frame, openDialog } from "./dialog.js";
import { el, put, View } from "./dom.js";
import { openExtract } from "./extract.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { openSets } from "./sets.js";
import { store } from "./store.js";
import { importFiles, listenToBox, LISTS, setTerms } from "./terms.js";
import { toastError } from "./toast.js";

const TYPED_MS = 700;

class Terms extends View {
  connected() {
    this.on(store, "settings state online", () => this.show());
    listenToBox(() => this.take());
  }

  build() {
    this.box = el("textarea.jy-input", { id: "jy-terms", rows: 5, spellcheck: "false", placeholder: say("desk.terms_example"), "aria-describedby": "jy-terms-help jy-terms-state" });
    this.box.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.send(), TYPED_MS);
    });
    this.box.addEventListener("change", () => this.send());
    this.state = el("p.jy-small", { id: "jy-terms-state", "aria-live": "polite" });
    this.file = el("input", { type: "file", multiple: true, accept: LISTS.join(","), tabindex: -1, "aria-hidden": "true", hidden: true });
    this.file.addEventListener("change", () => {
      const files = [...this.file.files];
      this.file.value = "";
      importFiles(files);
    });
    const tool = (name, text, title, run) => el("button.jy-button.quiet", { type: "button", title, onclick: run }, icon(name), text);
    this.replaceChildren(el("div.jy-field", null, el("label", { for: "jy-terms" }, say("desk.terms")), this.box,
      el("div.jy-terms-tools", { role: "group", "aria-label": say("termsdesk.tools") },
        tool("list", say("termsdesk.import"), say("termsdesk.import_why"), () => this.file.click()),
        tool("document", say("termsdesk.extract"), say("termsdesk.extract_why"), () => openExtract()),
        tool("stack", say("termsdesk.sets"), say("termsdesk.sets_why"), () => openSets())),
      el("p.jy-muted.jy-small", { id: "jy-terms-help" }, say("desk.terms_help")), this.state, this.file));
    this.show();
  }

  async send() {
    if (this.box.value === this.known) return;
    this.busy = true;
    try {
      await setTerms((text) => text);
      this.refused = false;
    } catch (error) {
      this.refused = true; // it stays in the box, to be put right
      toastError(error);
    }
    this.busy = false;
    this.show();
  }

  /** What was typed, once. */
  take() {
    clearTimeout(this.timer);
    if (!this.isConnected || this.box.value === this.known) return null;
    this.known = this.box.value;
    return this.known;
  }

  show() {
    if (!store.state || !this.box) return;
    const { terms, terms_count: count, terms_error: wrong } = store.state.settings;
    // what someone is typing is not replaced by what another tab typed, or what is imported
    const typing = document.activeElement === this.box && this.box.value !== this.known;
    const held = typing || this.busy || this.refused;
    if (!held) this.known = terms;
    if (!held && this.box.value !== terms) this.box.value = terms;
    put(this.state, wrong ? wrong.message : count ? say("desk.terms_count", { count }) : "");
    this.state.classList.toggle("jy-error", Boolean(wrong));
    this.box.setAttribute("aria-invalid", String(Boolean(wrong)));
    for (const field of this.querySelectorAll("textarea, button")) field.disabled = !store.online;
  }
}

customElements.define("jiyao-terms", Terms);

/** The same in a dialog, for a page whose box of terms is not ours. */
export function openTerms() {
  return openDialog(frame({ title: say("desk.terms"), body: el("jiyao-terms") }));
}
