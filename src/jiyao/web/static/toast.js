// Short messages at the lower edge. In: a text, perhaps what undoes it. Out: a toast that goes by itself, read aloud.

import { el } from "./dom.js";
import { icon } from "./icons.js";
import { say } from "./say.js";

const STAYS_MS = 6000;
let shelf;

/** Where toasts appear: set once by the desk. It is a live region, so it must be there before the first toast. */
export function toastShelf() {
  shelf = el("div.jy-toasts", { role: "status", "aria-live": "polite" });
  return shelf;
}

/** The same in a dialog, which would lie over them; `leave` hands on what is still there when it closes. */
export function perch() {
  const place = el("div.jy-toasts.jy-perch", { role: "status", "aria-live": "polite" });
  return { place, leave: () => shelf?.append(...place.children) };
}

const shelfNow = () => [...document.querySelectorAll("dialog[open] > .jy-perch")].at(-1) ?? shelf;

/** toast("已删除", {undo: f}) · toast("…", {bad: true}): errors stay until they are closed. `actions`: [{text, run, primary}],
 *  `stays`: how long. Returns what takes it away. */
export function toast(text, { undo = null, bad = false, remedy = "", actions = [], stays = STAYS_MS, mark = "check" } = {}) {
  if (!shelf) return () => {};
  const gone = () => item.remove();
  const choices = actions.map(({ text: words, run, primary }) =>
    el(primary ? "button.jy-button" : "button.jy-button.quiet", { type: "button", onclick: () => (gone(), run()) }, words));
  const item = el(
    bad ? "div.jy-toast.bad" : "div.jy-toast",
    null,
    icon(bad ? "warning" : mark),
    el("div.jy-toast-text", null, el("p", null, text), remedy ? el("p.jy-muted", null, remedy) : null),
    undo &&
      el("button.jy-button.quiet", { type: "button", onclick: () => (gone(), undo()) }, say("desk.undo")),
    choices.length ? el("div.jy-toast-actions", null, choices) : null,
    el("button.jy-icon-button", { type: "button", "aria-label": say("desk.close"), onclick: gone }, icon("close")),
  );
  const place = shelfNow();
  place.append(item);
  while (place.childElementCount > 3) place.firstElementChild.remove();
  if (!bad) wait(item, gone, stays);
  return gone;
}

/** What an ApiError says, as a toast. */
export function toastError(error) {
  if (error.status === undefined) {
    console.error(error); // a fault of the page: its own words help nobody but us
    return toast(say("desk.fault"), { bad: true, remedy: say("desk.fault_remedy") });
  }
  return toast(error.message, { bad: true, remedy: error.remedy ?? "" });
}

function wait(item, gone, stays) {
  let timer = setTimeout(gone, stays);
  // who reads it or is about to press undo gets the time for it
  for (const name of ["pointerenter", "focusin"]) item.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) {
    item.addEventListener(name, () => {
      clearTimeout(timer);
      timer = setTimeout(() => item.matches(":hover, :focus-within") || gone(), stays);
    });
  }
}
