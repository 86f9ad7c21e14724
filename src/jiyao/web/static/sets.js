// Named sets of terms, kept encrypted. In: the box as it stands, a name. Out: sets to load, to add and to delete.

import { confirmDialog, frame, openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";
import { switchKeep } from "./keep.js";
import { openMenu } from "./menu.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { addTerms, changeTerms, known } from "./terms.js";
import { toast, toastError } from "./toast.js";

const LONGEST_NAME = 60;

export async function openSets() {
  const body = el("div.jy-sets", { "aria-live": "polite" }, el("p.jy-muted", null, say("termsdesk.sets_reading")));
  const dialog = frame({ title: say("termsdesk.sets"), body });
  const closed = openDialog(dialog);
  await show(body);
  return closed;
}

const pathOf = (name) => `/api/terms/sets/${encodeURIComponent(name)}`;

async function show(body) {
  try {
    const { available, sets: kept } = await store.api("GET", "/api/terms/sets");
    body.replaceChildren(...(available ? sets(body, kept) : [closed(body)]));
  } catch ({ message, remedy }) {
    body.replaceChildren(el("div.jy-note.bad", null, icon("warning"), el("div", null, el("strong", null, message), el("p", null, remedy))));
  }
}

/** Do it, and show the sets as they are then. */
async function attempt(body, act) {
  await act().catch(toastError);
  await show(body);
  body.querySelector("input, button")?.focus();
}

/** Sets live where texts are kept: one line, and the switch. */
function closed(body) {
  const on = el("input", { type: "checkbox", role: "switch", "aria-describedby": "jy-sets-why" });
  on.addEventListener("change", async () => {
    await switchKeep(true);
    on.checked = store.state.keep.on;
    await show(body);
    body.querySelector("input, button")?.focus();
  });
  return el("div.jy-sets-closed", null, el("p", { id: "jy-sets-why" }, say("termsdesk.sets_closed")), el("label.jy-switch", null, say("desk.keep"), on));
}

function sets(body, kept) {
  return [saver(body, kept), kept.length ? el("ul.jy-kept", null, kept.map((one) => row(one, body))) : el("p.jy-muted", null, say("termsdesk.sets_none"))];
}

function saver(body, kept) {
  const count = countOf(store.state.settings.terms);
  const name = el("input.jy-input", { id: "jy-set-name", type: "text", maxlength: LONGEST_NAME, autocomplete: "off", placeholder: say("termsdesk.set_name_example"), disabled: !count });
  const go = el("button.jy-button", { type: "submit", disabled: !count }, say("termsdesk.set_save"));
  const submit = async (event) => {
    event.preventDefault();
    // a slash would part the address, wherever it is written
    const wanted = name.value.trim().replaceAll("/", "／");
    if (!wanted) return name.focus();
    if (kept.some((one) => one.name === wanted) && !(await overwrites(wanted))) return;
    await attempt(body, async () => {
      const saved = await store.api("PUT", pathOf(wanted), { terms: store.state.settings.terms });
      toast(say("termsdesk.set_saved", { name: saved.name, count: saved.count }));
    });
  };
  return el("form.jy-field", { onsubmit: submit },
    el("label", { for: "jy-set-name" }, count ? say("termsdesk.set_save_label", { count }) : say("termsdesk.set_save_empty")),
    el("div.jy-sets-row", null, name, go));
}

function countOf(text) {
  const there = known("");
  return text.split(/\r?\n/).filter((line) => !there.has(line) && (there.add(line), true)).length;
}

function overwrites(name) {
  return confirmDialog({ title: say("termsdesk.set_replace_title"), body: [el("p", null, say("termsdesk.set_replace_why", { name }))], confirm: say("termsdesk.set_replace"), danger: false });
}

function row({ name, count }, body) {
  const load = el("button.jy-button", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": say("termsdesk.set_load_which", { name }) }, say("termsdesk.set_load"), icon("chevron"));
  load.addEventListener("click", () =>
    openMenu(load, [
      { text: say("termsdesk.set_load_add"), icon: "plus", run: () => take(name, body, false) },
      { text: say("termsdesk.set_load_instead"), icon: "replace", run: () => take(name, body, true) },
    ]));
  const label = say("termsdesk.set_delete_which", { name });
  const remove = el("button.jy-icon-button", { type: "button", "aria-label": label, title: label, onclick: () => drop(name, body) }, icon("trash"));
  return el("li", null,
    el("div", null, el("strong", null, name), el("p.jy-muted.jy-small.jy-num", null, say("termsdesk.set_count", { count }))),
    el("div.jy-row", null, load, remove));
}

/** Into the box; then there is nothing more to do here. */
async function take(name, body, instead) {
  try {
    const { terms } = await store.api("GET", pathOf(name));
    body.closest("dialog").close("yes");
    if (instead) await changeTerms(() => terms, () => say("termsdesk.set_loaded", { name }));
    else await addTerms(terms, (added) => say("termsdesk.set_added", { name, added }));
  } catch (error) {
    toastError(error);
  }
}

async function drop(name, body) {
  const sure = await confirmDialog({ title: say("termsdesk.set_delete_title"), body: [el("p", null, say("termsdesk.set_delete_why", { name }))], confirm: say("desk.delete") });
  if (sure) await attempt(body, () => store.api("DELETE", pathOf(name)));
}
