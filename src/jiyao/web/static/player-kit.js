// Small things that the player, the recorder and the parts share. In: icon names. Out: buttons; one sounding <audio>.

import { el } from "./dom.js";
import { icon } from "./icons.js";

/** A button that shows an icon only. */
export function iconButton(symbol, text, action) {
  const button = el("button.jy-icon-button", { type: "button", onclick: action }, icon(symbol));
  name(button, text);
  return button;
}

/** A button with words, an icon before them if there is one. */
export function wordButton(symbol, text, action, kind = "") {
  const classes = kind ? `button.jy-button.${kind}` : "button.jy-button";
  return el(classes, { type: "button", onclick: action }, typeof symbol === "string" && symbol ? icon(symbol) : symbol, el("span", null, text));
}

/** What a button is called: its words if it shows any, else its accessible name and tip. */
export function name(button, text) {
  const words = button.querySelector(":scope > span");
  if (words) words.textContent = text;
  else if (button.title !== text) {
    button.setAttribute("aria-label", text);
    button.title = text;
  }
}

export function setIcon(button, symbol) {
  if (button.dataset.icon === symbol) return;
  button.dataset.icon = symbol;
  button.querySelector("svg").replaceWith(icon(symbol));
}

let sounding = null;

/** Only this <audio> sounds from now on (null: none, while a microphone listens). */
export function solo(audio) {
  if (sounding && sounding !== audio) sounding.pause();
  sounding = audio;
}

/** Small choices that outlast the page: never anything of a recording. A browser may refuse to keep them. */
export function remember(key, value) {
  try {
    localStorage.setItem(`jiyao.${key}`, value);
  } catch {
    // chosen anew next time
  }
}

export function recall(key) {
  try {
    return localStorage.getItem(`jiyao.${key}`) ?? "";
  } catch {
    return "";
  }
}
