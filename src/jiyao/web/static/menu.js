// Menus that drop from a button. In: the button and its items. Out: a role=menu with arrow keys, closed by Esc or elsewhere.

import { el } from "./dom.js";
import { icon } from "./icons.js";

let open = null;

/** Items: {text, hint?, icon?, danger?, run} · {text, checked, toggle} · {heading} · "-". Toggles leave the menu open. */
export function openMenu(button, items, { align = "end" } = {}) {
  const again = open?.button === button;
  closeMenu();
  if (again) return;
  const menu = el("div.jy-menu", { role: "menu", "aria-label": button.getAttribute("aria-label") ?? button.textContent });
  menu.append(...items.map((item) => row(item)));
  open = { button, menu, ends: new AbortController() };
  button.setAttribute("aria-expanded", "true");
  // in a landmark, and above a dialog where it belongs to one
  (button.closest("dialog, main, aside, header, jiyao-desk") ?? document.body).append(menu);
  place(button, menu, align);
  const { signal } = open.ends;
  menu.addEventListener("keydown", onKey, { signal });
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target) && !button.contains(event.target)) closeMenu(false);
  }, { signal, capture: true });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget) && event.relatedTarget !== button) closeMenu(false);
  }, { signal });
  for (const name of ["resize", "blur"]) window.addEventListener(name, () => closeMenu(false), { signal });
  menu.querySelector("[role^=menuitem]")?.focus({ preventScroll: true });
}

export function closeMenu(focus = true) {
  if (!open) return;
  const { button, menu, ends } = open;
  open = null;
  ends.abort();
  menu.remove();
  button.setAttribute("aria-expanded", "false");
  if (focus) button.focus({ preventScroll: true });
}

function row(item) {
  if (item === "-") return el("div.jy-menu-line", { role: "separator" });
  if (item.heading) return el("div.jy-menu-heading", { role: "presentation" }, item.heading);
  const toggles = item.toggle !== undefined;
  const button = el(
    item.danger ? "button.danger" : "button",
    { type: "button", tabindex: -1, role: toggles ? "menuitemcheckbox" : "menuitem", "aria-checked": toggles && String(item.checked) },
    toggles ? el("span.jy-tick", null, icon("check")) : item.icon ? icon(item.icon) : null,
    el("span", null, item.text),
    item.hint ? el("span.jy-menu-hint", null, item.hint) : null,
  );
  button.addEventListener("click", () => {
    if (!toggles) {
      closeMenu();
      item.run();
      return;
    }
    const checked = button.getAttribute("aria-checked") !== "true";
    button.setAttribute("aria-checked", String(checked));
    item.toggle(checked);
  });
  return button;
}

function onKey(event) {
  const rows = [...open.menu.querySelectorAll("[role^=menuitem]")];
  const at = rows.indexOf(document.activeElement);
  const go = { ArrowDown: (at + 1) % rows.length, ArrowUp: (at - 1 + rows.length) % rows.length, Home: 0, End: rows.length - 1 }[event.key];
  if (go !== undefined) rows[go].focus();
  else if (event.key === "Escape") closeMenu();
  else if (event.key === "Tab") return closeMenu();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function place(button, menu, align) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const left = align === "end" ? at.right - width : at.left;
  const below = at.bottom + 4;
  const fits = below + height < innerHeight - 8;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  menu.style.top = `${fits ? below : Math.max(8, at.top - height - 4)}px`;
}
