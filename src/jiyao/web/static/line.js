// One line on the page. In: a row of the list, what its element held before. Out: its head, mark and text.

import { el } from "./dom.js";
import { clock } from "./format.js";
import { language, say } from "./say.js";
import { proposalsIn } from "./proposals.js";
import { nameOf, spokenName } from "./speakers.js";
import { doubts } from "./turns.js";

/** Fill a line's element. `locked`: it is being edited, its text is left alone. */
export function drawLine(element, row, locked) {
  const { line } = row;
  element.dataset.id = line.id;
  element.setAttribute("role", "listitem");
  if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
  element.setAttribute("aria-label", labelOf(line));
  element.classList.toggle("jt-opens", row.head);
  let text = element.querySelector(":scope > .jt-text");
  if (!text) {
    text = el("span.jt-text");
    text.append(document.createTextNode(""));
    element.append(text);
  }
  for (const child of [...element.childNodes]) {
    if (child.nodeType === Node.TEXT_NODE || child.matches(".jt-head, .jt-mark")) child.remove();
  }
  if (row.head) text.before(headOf(row));
  const reasons = doubts(line);
  const why = reasonText(reasons);
  element.classList.toggle("jt-doubt", reasons.length > 0);
  if (why) text.before(el("span.jt-mark", { role: "img", "aria-label": why, title: why }));
  if (row.gap) text.before(" ");
  if (locked) return;
  if (text.firstChild.data !== line.text) text.firstChild.data = line.text;
  setOrDrop(text, "lang", line.language);
  setOrDrop(text, "title", lineTitle(line));
}

/** What a pointer that rests on a line is told. */
export function lineTitle(line) {
  return [reasonText(doubts(line)), line.timing === "estimated" && say("lines.estimated")].filter(Boolean).join(" · ");
}

export function setOrDrop(element, name, value) {
  if (value) element.setAttribute(name, value);
  else element.removeAttribute(name);
}

/** What a screen reader says for a line: when, who, what; and what is proposed for it. */
export function labelOf(line) {
  const parameters = { time: clock(line.start_ms), text: line.text, speaker: line.speaker === null ? "" : spokenName(line.speaker) };
  const label = line.speaker === null ? say("lines.label", parameters) : say("lines.label_speaker", parameters);
  const count = proposalsIn(line).length;
  return count ? say("termsdesk.label_proposals", { label, count }) : label;
}

function headOf({ line, tag, colour }) {
  const estimated = line.timing === "estimated";
  const time = el(
    "button.jt-time",
    { type: "button", tabindex: -1, "data-do": "play", title: estimated ? say("lines.estimated") : say("lines.play_from") },
    clock(line.start_ms),
  );
  const head = el("span.jt-head", null, time);
  if (line.speaker !== null) {
    head.append(
      el(
        `button.jt-speaker.jt-colour-${colour}`,
        { type: "button", tabindex: -1, "data-do": "speaker", title: say("lines.speaker_change") },
        nameOf(line.speaker).name,
        nameOf(line.speaker).role ? el("span.jt-role", null, nameOf(line.speaker).role) : null,
      ),
    );
  }
  if (tag) head.append(el("span.jt-tag", null, languageName(line.language)));
  head.classList.toggle("jt-bare", line.speaker === null && !tag);
  return head;
}

/** "粤语" for "yue": each language by the name its speakers' readers know. */
export function languageName(code) {
  if (code === "zh") return say("lines.language_zh");
  if (code === "yue") return say("lines.language_yue");
  if (code === "en") return say("lines.language_en");
  try {
    return new Intl.DisplayNames([language() === "zh" ? "zh-CN" : "en"], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

/** "可能重复了 · 这里听不清": why a line should be listened to again. */
export function reasonText(reasons) {
  return reasons.map((reason) => say(`lines.doubt_${reason}`)).join(" · ");
}

/** Where in a line's text a click was: the character under the pointer, not the gap nearest to it. */
export function offsetAt(element, { clientX: x, clientY: y }) {
  const node = element.querySelector(".jt-text").firstChild;
  const at = document.caretPositionFromPoint?.(x, y);
  const old = at ? null : document.caretRangeFromPoint?.(x, y);
  const [found, offset] = at ? [at.offsetNode, at.offset] : [old?.startContainer, old?.startOffset];
  if (found !== node) return null;
  const range = new Range();
  range.setStart(node, Math.max(0, offset - 1));
  range.setEnd(node, offset);
  const inside = [...range.getClientRects()].some((box) => x >= box.left && x < box.right && y >= box.top && y <= box.bottom);
  return inside ? Math.max(0, offset - 1) : Math.min(offset, node.length - 1);
}

/** What stands where there is no line: still coming, nothing said, stopped before. */
export function emptyState(state) {
  if (["queued", "loading", "recognizing", "finishing"].includes(state)) {
    return [el("p", null, say("lines.empty_running")), el("div.jt-bones", { "aria-hidden": "true" }, el("i"), el("i"), el("i"))];
  }
  if (state === "done") return [el("p", null, say("lines.empty_done")), el("p.jy-muted", null, say("lines.empty_done_why"))];
  return [el("p.jy-muted", null, say("lines.empty_stopped"))];
}
