// What is proposed for a text, and what was corrected in it. In: lines. Out: places, changes to send, words for scores and
// rules. Pure: no DOM, no requests.
//
// A place is {job, line, kind, at}: kind "proposal" | "correction", `at` {start, end, before, after, score, rule}.

import { say } from "./say.js";

const NONE = [];
const VERY = 0.9;
const QUITE = 0.82; // below 0.75 nothing is proposed

export const proposalsIn = (line) => line.proposals ?? NONE;
export const correctionsIn = (line) => line.corrections ?? NONE;

export function placesOf(job, lines, kind) {
  const listIn = kind === "proposal" ? proposalsIn : correctionsIn;
  return lines.flatMap((line) => listIn(line).map((at) => ({ job, line, kind, at })));
}

/** Which place this is, as long as its line stays as it is. */
export const keyOf = ({ line, kind, at }) => `${kind} ${line.id} ${line.version} ${at.start}`;

/** The same place in the line as it is now; null: it is there no longer. */
export function placeNow(place, line) {
  if (!line) return null;
  const list = place.kind === "proposal" ? proposalsIn(line) : correctionsIn(line);
  const alike = list.filter((at) => at.before === place.at.before && at.after === place.at.after);
  const distance = (at) => Math.abs(at.start - place.at.start);
  const at = alike.sort((a, b) => distance(a) - distance(b))[0];
  return at ? { ...place, line, at } : null;
}

const CHANGES = {
  accept: ({ line, at }) => ({ kind: "correct", line: line.id, version: line.version, start: at.start, before: at.before, after: at.after }),
  decline: ({ line, at }) => ({ kind: "decline", line: line.id, version: line.version, before: at.before, after: at.after }),
  revert: ({ line, at }) => ({ kind: "revert", line: line.id, version: line.version, start: at.start }),
};

/** One request for all of them; within a line from its end, so that each still stands where it is said to. */
export function changesFor(what, places) {
  const order = new Map(places.map(({ line }, index) => [line.id, index]));
  return [...places]
    .sort((a, b) => order.get(a.line.id) - order.get(b.line.id) || b.at.start - a.at.start)
    .map(CHANGES[what]);
}

export const percent = (score) => Math.round(score * 100);

export function atLeast(places, least) {
  return places.filter(({ at }) => at.score !== null && percent(at.score) >= least);
}

export const alike = (places, { at }) => places.filter((other) => other.at.before === at.before && other.at.after === at.after);

/** "很像 96%" */
export function likeness(score) {
  const parameters = { percent: percent(score) };
  if (parameters.percent === 100) return say("termsdesk.like_same", parameters);
  if (score >= VERY) return say("termsdesk.like_very", parameters);
  return score >= QUITE ? say("termsdesk.like_quite", parameters) : say("termsdesk.like_little", parameters);
}

/** "读音相近": why. */
export const ruleWords = (rule) => say(`termsdesk.rule_${rule}`);

/** Of a place, in a line: what it was, what it would be, why. */
export function describe({ kind, at }) {
  const why = [ruleWords(at.rule), at.score === null ? "" : likeness(at.score)].filter(Boolean).join(" · ");
  return kind === "proposal" ? say("termsdesk.title_proposal", { after: at.after, why }) : say("termsdesk.title_correction", { before: at.before, why });
}
