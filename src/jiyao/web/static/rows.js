// An opened job's lines, in order. In: a snapshot, changes. Out: a Map of lines and their ids as they stand on the page.

import { doubts } from "./turns.js";

/** The snapshot of a job with `lines` as a Map, `order`, the ids by time, and `flagged`, how many to listen to again. */
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
  detail.flagged = lines.filter((line) => doubts(line).length).length;
}
