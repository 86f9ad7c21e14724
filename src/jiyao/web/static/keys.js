// The keyboard. In: keydown. Out: what the desk can do. Single keys never act in text fields.

import { inTextField } from "./dom.js";
import { openHelp } from "./help.js";

const STEPS = { ArrowLeft: -5, ArrowRight: 5, j: -10, l: 10 };
// here arrows and Space have a meaning of their own
const OWN_ARROWS = "[role=tablist], [role=menu], [role=slider], [role=radiogroup], [role=toolbar], input, select, dialog";
const OWN_SPACE = "button, a, summary, input, select, [role=button], [role=slider], [role=menuitem]";

/** `results` is asked for its player, find and export; returns what ends it. */
export function listen(results, signal) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    const handled = event.ctrlKey || event.metaKey ? command(event, results) : plain(event, results);
    if (handled) event.preventDefault();
  }, { signal });
}

function command(event, results) {
  if (document.querySelector("dialog[open]")) return false;
  const key = event.key.toLowerCase();
  if (key === "f" && !event.shiftKey) return results.openFind(false);
  // on a Mac, Cmd+H hides the window before we hear of it: Ctrl+H is there too
  if (key === "h" && !event.shiftKey) return results.openFind(true);
  if (key === "s" && !event.shiftKey) return results.openExport(), true;
  if (inTextField(event.target)) return false; // its own undo
  if (key === "z") return (event.shiftKey ? results.redo() : results.undo()), true;
  if (key === "y") return results.redo(), true;
  return false;
}

function plain(event, results) {
  if (inTextField(event.target) || document.querySelector("dialog[open]")) return false;
  const { target, key } = event;
  if (key === "?") return openHelp(), true;
  const player = results.player;
  if (!player?.job) return false;
  if (key === " ") return !target.closest?.(OWN_SPACE) && (player.toggle?.(), true);
  const letter = key.length === 1 ? key.toLowerCase() : key;
  if (letter === "k") return player.toggle?.(), true;
  if (!(letter in STEPS) || (key.startsWith("Arrow") && target.closest?.(OWN_ARROWS))) return false;
  player.step?.(STEPS[letter]);
  return true;
}
