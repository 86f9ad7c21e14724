// What a person decides about proposals and corrections. In: places. Out: requests, one step of undo each; what is on its
// way counts as decided. One after the other: places of a line move with every change before them.

import { alike, changesFor, keyOf, placeNow, placesOf } from "./proposals.js";
import { say } from "./say.js";
import { toast } from "./toast.js";

export class Decisions {
  constructor(host) {
    Object.assign(this, { host, pending: new Set(), last: Promise.resolve() });
  }

  isPending(place) {
    return this.pending.has(keyOf(place));
  }

  /** Places of the shown recording that nobody has decided on: "proposal" or "correction". */
  open(kind) {
    return placesOf(this.host.job, this.host.lines, kind).filter((place) => !this.isPending(place));
  }

  /** The others of the same kind and words, this one too. */
  alike(place) {
    return alike(this.open(place.kind), place);
  }

  /** "accept", "decline" or "revert" one place. */
  one(what, place) {
    return this.run(what, [place]);
  }

  /** All of these in one step; says how many, and offers to take it back. */
  async all(what, places) {
    const count = places.length && (await this.run(what, places));
    const told = what === "accept" ? say("termsdesk.accepted", { count }) : say("termsdesk.reverted", { count });
    if (count) toast(told, { undo: () => this.host.undo() });
  }

  /** How many were done: none where they are gone, or refused. */
  run(what, places) {
    const keys = places.map(keyOf);
    for (const key of keys) this.pending.add(key);
    this.host.decided();
    const turn = this.last.then(async () => {
      const found = places[0].job === this.host.job ? this.asTheyAre(places) : [];
      if (!found.length || !(await this.host.change(changesFor(what, found)))) return 0;
      // the next one must see this one's lines
      const [{ line }] = found;
      await this.host.when(() => this.host.rows.row(line.id)?.line !== line);
      return found.length;
    });
    this.last = turn.catch(() => {});
    return turn.finally(() => {
      for (const key of keys) this.pending.delete(key);
      this.host.decided();
    });
  }

  asTheyAre(places) {
    return places.map((place) => placeNow(place, this.host.rows.row(place.line.id)?.line)).filter(Boolean);
  }
}
