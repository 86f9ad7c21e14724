// Keeping texts, encrypted, if wanted. In: the switch, a passphrase. Out: what is kept, to export or to delete.

import { confirmDialog, frame, openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { day, spoken } from "./format.js";
import { query, save } from "./export.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { toast, toastError } from "./toast.js";

/** Switch keeping; resolves when that is settled, either way. The switch shows what the server says. */
export async function switchKeep(on) {
  try {
    const answer = await store.api("POST", "/api/keep", { on });
    if (answer.needs_passphrase) await askPassphrase(answer.new);
    else toast(answer.on ? say("desk.keep_is_on") : say("desk.keep_is_off"));
  } catch (error) {
    toastError(error);
  }
}

function askPassphrase(fresh) {
  const field = (id, label) => {
    const input = el("input.jy-input", { id, type: "password", autocomplete: fresh ? "new-password" : "current-password", required: true });
    return { input, row: el("div.jy-field", null, el("label", { for: id }, label), input) };
  };
  const first = field("jy-pass", say("desk.passphrase"));
  const again = fresh && field("jy-pass-again", say("desk.passphrase_again"));
  const error = el("p.jy-error", { role: "alert", hidden: true });
  const go = el("button.jy-button.primary", { type: "submit" }, fresh ? say("desk.passphrase_set") : say("desk.passphrase_open"));
  const form = el("form.jy-form", { id: "jy-pass-form" },
    el("p", null, fresh ? say("desk.passphrase_new_why") : say("desk.passphrase_why")), first.row, again && again.row, error);
  go.setAttribute("form", form.id);
  const dialog = frame({ title: say("desk.passphrase_title"), body: form, buttons: [go] });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const complain = (text) => Object.assign(error, { textContent: text, hidden: false });
    if (again && again.input.value !== first.input.value) return complain(say("desk.passphrase_differs"));
    go.disabled = true;
    try {
      await store.api("POST", "/api/keep", { on: true, passphrase: first.input.value });
      dialog.close("yes");
      toast(say("desk.keep_is_on"));
    } catch (refusal) {
      complain([refusal.message, refusal.remedy].filter(Boolean).join(" "));
      first.input.select();
    }
    go.disabled = false;
  });
  const closed = openDialog(dialog);
  first.input.focus();
  return closed;
}

export async function openKept() {
  const body = el("div", { "aria-live": "polite" }, el("p.jy-muted", null, say("desk.kept_reading")));
  const closed = openDialog(frame({ title: say("desk.kept_title"), body, wide: true }));
  await showKept(body);
  return closed;
}

async function showKept(body) {
  try {
    const kept = await store.api("GET", "/api/kept");
    body.replaceChildren(kept.length ? el("ul.jy-kept", null, kept.map((text) => row(text, body))) : el("p.jy-muted", null, say("desk.kept_none")));
  } catch (error) {
    body.replaceChildren(el("div.jy-note.bad", null, icon("warning"), el("div", null, el("strong", null, error.message), el("p", null, error.remedy))));
  }
}

function row(text, body) {
  const exporter = el("button.jy-button", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false" }, icon("export"), say("desk.export"));
  exporter.addEventListener("click", () =>
    openMenu(exporter, store.state.formats.map((format) => ({ text: format.toUpperCase(), run: () => save(`/api/kept/${text.id}/export/${format}?${query()}`) }))));
  const label = say("desk.kept_delete", { name: text.name });
  const remove = el("button.jy-icon-button", { type: "button", "aria-label": label, title: label }, icon("trash"));
  remove.addEventListener("click", async () => {
    const sure = await confirmDialog({ title: say("desk.kept_delete_title"), body: [el("p", null, el("strong", null, text.name)), el("p", null, say("desk.kept_delete_why"))], confirm: say("desk.delete") });
    if (!sure) return;
    await store.api("DELETE", `/api/kept/${text.id}`).catch(toastError);
    await showKept(body);
  });
  return el("li", null,
    el("div", null, el("strong", null, text.name), el("p.jy-muted.jy-small.jy-num", null, [spoken(text.duration_ms), day(text.changed_at), text.damaged && say("desk.kept_damaged")].filter(Boolean).join(" · "))),
    el("div.jy-row", null, exporter, remove));
}
