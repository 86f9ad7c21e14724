// Recordings that an earlier page began and nobody finished. In: the state's list. Out: what to do with each.

import { confirmDialog } from "./dialog.js";
import { el } from "./dom.js";
import { spoken } from "./format.js";
import { wordButton } from "./player-kit.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { lockName } from "./take.js";
import { toastError } from "./toast.js";

const GROWING_MS = 10_000; // one that grew so lately is alive, though perhaps in another browser, whose locks are not seen
const SHORTEST_MS = 500; // a page that was closed at once left nothing worth a question

export class Leftovers {
  #asked = 0;
  #awaited = new Set();
  #seen = new Map(); // id → {bytes, grewAt}
  #timer = 0;

  /** `chosen(job)` is called with what became of a recording. */
  constructor(chosen) {
    this.chosen = chosen;
    this.element = el("ul.jy-leftovers", { "aria-label": say("player.leftovers"), hidden: true });
  }

  /** `own`: the recording of this page. */
  async show(own = null) {
    const turn = (this.#asked += 1);
    const open = (store.state?.recordings ?? []).filter(({ id, duration_ms }) => id !== own && duration_ms >= SHORTEST_MS);
    const alive = open.length ? await beingRecorded() : new Set();
    if (turn !== this.#asked) return;
    for (const id of alive) this.#await(id, own);
    for (const id of this.#growing(open)) alive.add(id);
    clearTimeout(this.#timer);
    if (alive.size) this.#timer = setTimeout(() => this.show(own), GROWING_MS);
    this.element.setAttribute("aria-label", say("player.leftovers"));
    this.element.hidden = !open.length;
    const key = JSON.stringify([say("player.leftovers"), open.map(({ id, duration_ms }) => [id, alive.has(id) || duration_ms])]);
    if (this.element.dataset.key === key) return; // a button under the pointer stays
    this.element.dataset.key = key;
    this.element.replaceChildren(...open.map((recording) => this.#row(recording, alive.has(recording.id))));
  }

  #growing(open) {
    const now = Date.now();
    for (const { id, bytes } of open) {
      const seen = this.#seen.get(id);
      if (seen?.bytes !== bytes) this.#seen.set(id, { bytes, grewAt: seen ? now : 0 });
    }
    return open.map(({ id }) => id).filter((id) => now - this.#seen.get(id).grewAt < GROWING_MS);
  }

  /** Whose page dies becomes one to finish: its lock is ours then. */
  #await(id, own) {
    if (this.#awaited.has(id)) return;
    this.#awaited.add(id);
    navigator.locks.request(lockName(id), () => {}).then(() => {
      this.#awaited.delete(id);
      this.#seen.delete(id); // what it sent last is no sign of life
      this.show(own);
    });
  }

  #row({ id, name, duration_ms }, alive) {
    if (alive) return el("li.jy-note", null, el("p", null, say("player.leftover_alive", { name })));
    const length = spoken(duration_ms);
    return el(
      "li.jy-note",
      null,
      el("p", null, say("player.leftover", { name })),
      wordButton(null, say("player.leftover_go", { length }), () => this.#finish(id), "primary"),
      wordButton("trash", say("player.delete"), () => this.#remove(id, length), "quiet"),
    );
  }

  async #finish(id) {
    try {
      const { job } = await store.api("POST", `/api/recordings/${id}/finish`, {});
      this.chosen(job);
    } catch (error) {
      toastError(error);
    }
  }

  async #remove(id, length) {
    const question = { title: say("player.delete_title"), body: say("player.discard_body", { length }), confirm: say("player.delete_yes") };
    if (!(await confirmDialog(question))) return;
    await store.api("DELETE", `/api/recordings/${id}`).catch(toastError);
  }
}

/** A page that records holds a lock; the browser lets go of it when the page dies, however it dies. */
async function beingRecorded() {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  const prefix = lockName("");
  return new Set(held.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => name.slice(prefix.length)));
}
