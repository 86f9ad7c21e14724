// Dialogs. In: a <dialog>, or what to ask. Out: what was answered; the focus goes back to where it was.

import { el } from "./dom.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { perch } from "./toast.js";

let home = null;

/** Where dialogs live: inside the desk, because its styles are. */
export function dialogHome(element) {
  home = element;
}

/** Show a <dialog> modally; resolves with its returnValue ("" for Esc, the cross, a click beside it), then it is gone. */
export function openDialog(dialog) {
  const before = document.activeElement;
  (home ?? document.body).append(dialog);
  dialog.classList.add("jy-dialog");
  const toasts = perch();
  dialog.append(toasts.place);
  dialog.addEventListener("pointerdown", (event) => {
    if (event.target === dialog && outside(dialog, event)) dialog.close("");
  });
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      toasts.leave();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
      resolve(dialog.returnValue);
    });
  });
}

function outside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  const inside = event.clientX >= box.left && event.clientX <= box.right;
  return !(inside && event.clientY >= box.top && event.clientY <= box.bottom);
}

let count = 0;

/** A dialog with a heading, a cross, a body that scrolls and a row of buttons. */
export function frame({ title, body, buttons = [], wide = false }) {
  const id = `jy-dialog-${(count += 1)}`;
  const dialog = el(wide ? "dialog.jy-dialog.wide" : "dialog.jy-dialog", { "aria-labelledby": id });
  const cross = el(
    "button.jy-icon-button",
    { type: "button", "aria-label": say("desk.close"), onclick: () => dialog.close("") },
    icon("close"),
  );
  dialog.append(
    el("header", null, el("h2", { id }, title), cross),
    el("div.jy-dialog-body", { tabindex: 0, role: "group", "aria-labelledby": id }, body),
    ...(buttons.length ? [el("footer", null, buttons)] : []),
  );
  return dialog;
}

/** Ask before something that cannot be taken back. Enter does not confirm: the focus is on "cancel". */
export async function confirmDialog({ title, body, confirm, danger = true }) {
  const cancel = el("button.jy-button", { type: "button", autofocus: true }, say("desk.cancel"));
  const go = el(danger ? "button.jy-button.danger" : "button.jy-button.primary", { type: "button" }, confirm);
  const dialog = frame({ title, body, buttons: [cancel, go] });
  cancel.addEventListener("click", () => dialog.close(""));
  go.addEventListener("click", () => dialog.close("yes"));
  return (await openDialog(dialog)) === "yes";
}
