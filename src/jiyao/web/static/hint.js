// What can be done with the text, said once. In: shall it be said? Out: a line that goes for good when it was understood.

import { el } from "./dom.js";
import { say } from "./say.js";

const SEEN = "jiyao.lines.hint";

export class Hint {
  constructor() {
    this.box = el("p.jt-hint");
  }

  show(wanted) {
    const shown = wanted && !seen();
    if (this.box.hidden === !shown && this.box.firstChild) return;
    this.box.hidden = !shown;
    const close = el("button.jy-button.quiet", { type: "button", onclick: () => this.hide() }, say("lines.hint_close"));
    this.box.replaceChildren(el("span", null, say("lines.hint")), close);
  }

  hide() {
    try {
      localStorage.setItem(SEEN, "1");
    } catch {
      // private windows may refuse: then the hint comes again
    }
    this.box.hidden = true;
  }

  translate() {
    this.box.replaceChildren();
  }
}

function seen() {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return false;
  }
}
