// The seal receipt: what was tried, what stopped it. In: /api/seal, which tries it now. Out: a dialog, JSON to copy.

import { frame, openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { copyText } from "./export.js";
import { icon } from "./icons.js";
import { language, say } from "./say.js";
import { store } from "./store.js";

export async function openReceipt() {
  const body = el("div.jy-receipt", { "aria-live": "polite" }, el("p.jy-muted", null, say("desk.seal_trying")));
  const copy = el("button.jy-button", { type: "button", disabled: true }, icon("copy"), say("desk.seal_copy"));
  const dialog = frame({ title: say("desk.seal_title"), body, buttons: [copy], wide: true });
  const closed = openDialog(dialog);
  try {
    const receipt = await store.api("GET", `/api/seal?lang=${language()}`);
    body.replaceChildren(...content(receipt));
    copy.disabled = false;
    copy.addEventListener("click", () => copyText(receipt.json));
  } catch (error) {
    body.replaceChildren(el("div.jy-note.bad", null, icon("warning"), el("div", null, el("strong", null, error.message), el("p", null, error.remedy))));
  }
  return closed;
}

function content({ outcome, lines, rows, live }) {
  const [first, ...rest] = lines;
  const tone = { kernel: "ok", python: "warn" }[outcome] ?? "bad";
  const { network = 0, write = 0, program = 0 } = live ?? {};
  return [
    el(`div.jy-note.${tone}`, null, icon(tone === "bad" ? "warning" : "shield"), el("div", null, el("strong", null, first))),
    el("p", null, network + write + program ? say("desk.seal_live", { network, write, program }) : say("desk.seal_live_none")),
    el("details", null, el("summary", null, say("desk.seal_table")), el("div.jy-scroll", { tabindex: 0, role: "group", "aria-label": say("desk.seal_table") },
      el("table", null,
        el("thead", null, el("tr", null, [say("desk.seal_what"), say("desk.seal_way"), say("desk.seal_verdict")].map((text) => el("th", { scope: "col" }, text)))),
        el("tbody", null, rows.map(({ what, way, verdict }) => el("tr", null, el("td", null, what), el("td", null, way), el("td", null, verdict))))))),
    el("details", null, el("summary", null, say("desk.seal_more")), el("ul.jy-points", null, rest.map((line) => el("li", null, line)))),
  ];
}
