// One place in a list of places: when, what in its context, why. In: a doubtful line, a proposal, a correction. Out: elements.

import { el } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { reasonText } from "./line.js";
import { likeness, ruleWords } from "./proposals.js";
import { doubts, timeOf } from "./turns.js";

const BEFORE = 14; // characters of context that leave the place itself in sight
const AFTER = 60;

export function drawPlace(item) {
  const { kind, line, at } = item;
  const time = clock(at ? timeOf(line, at.start) : line.start_ms);
  return [
    el("span.jt-option-time.jy-num", null, icon("play"), time),
    el("span.jt-option-text", null, at ? change(line.text, at) : line.text),
    el("span.jt-option-why", null, kind === "doubt" ? reasonText(doubts(line)) : reason(kind, at)),
  ];
}

/** "…我们先把 现流 → 限流 的阈值…" */
function change(text, { start, end, before, after }) {
  const from = start > BEFORE ? start - BEFORE : 0;
  return [
    `${from ? "…" : ""}${text.slice(from, start)}`,
    el("span.jt-change", null, el("span.jt-was", null, before), " ", icon("arrow"), el("span.jy-hidden-text", null, "→"), " ", el("span.jt-will", null, after)),
    text.slice(end, end + AFTER),
  ];
}

/** A proposal is weighed by its score; of a correction the rule matters. */
function reason(kind, { score, rule }) {
  if (kind === "proposal" && score !== null) return likeness(score);
  return ruleWords(rule);
}
