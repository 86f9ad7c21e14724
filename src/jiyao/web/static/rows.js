// An opened job's lines, in order. In: a snapshot, changes. Out: a Map of lines and their ids as they stand on the page.

import { correctionsIn, proposalsIn } from "./proposals.js";
import { doubts } from "./turns.js";

/** The snapshot of a job with `lines` as a Map, `order`, the ids by time, `spots`, how many there are to look at again,
 *  `corrected`, how many were corrected, and `voices`, how many speakers there are. */
export function toDetail(snapshot) {
  const detail = { ...snapshot, lines: new Map(snapshot.lines.map((line) => [line.id, line])) };
  settle(detail);
  return detail;
}

export function changeLines(detail, removed, put) {
  for (const id of removed) detail.lines.delete(id);
  for (const line of put) detail.lines.set(line.id, line);
  settle(detail);
}

function settle(detail) {
  const lines = [...detail.lines.values()].sort((a, b) => a.start_ms - b.start_ms || (a.id < b.id ? -1 : 1));
  detail.order = lines.map((line) => line.id);
  detail.spots = lines.reduce((sum, line) => sum + proposalsIn(line).length + Number(doubts(line).length > 0), 0);
  detail.voices = new Set(lines.map((line) => line.speaker).filter((speaker) => speaker !== null)).size;
  detail.corrected = lines.reduce((sum, line) => sum + correctionsIn(line).length, 0);
}
