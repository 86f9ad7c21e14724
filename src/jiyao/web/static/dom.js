// Small help with the DOM. In: names, properties, children. Out: elements. Text becomes text nodes, never markup.

import { onLanguage } from "./say.js";

/** el("div.card", {id: "a", onclick: f, "aria-label": "x"}, "text", child, null): an element. */
export function el(name, properties, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "hidden") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Text and `hidden` of an element, touched only where they differ: no layout for nothing. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

export function inTextField(target) {
  if (!(target instanceof Element)) return false;
  const field = target.closest("input, textarea, select, [contenteditable]");
  if (!field) return false;
  if (field.isContentEditable) return true;
  return field.matches("textarea, select") || !/^(button|checkbox|radio|range|file|submit)$/.test(field.type);
}

/** An element that listens only while it is on the page, and builds itself again in another language. */
export class View extends HTMLElement {
  connectedCallback() {
    this.ends = new AbortController();
    this.ends.signal.addEventListener("abort", onLanguage(() => this.build()));
    this.connected?.();
    this.build();
  }

  disconnectedCallback() {
    this.ends.abort();
  }

  /** Call `heard` on each of these events until the element leaves the page. */
  on(target, names, heard) {
    for (const name of names.split(" ")) target.addEventListener(name, heard, { signal: this.ends.signal });
  }

  build() {}
}
