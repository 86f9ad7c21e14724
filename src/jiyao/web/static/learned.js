// After a correction by hand: shall the other places follow, and the terms? In: what the server learned. Out: an offer
// that takes no key and goes by itself.

import { say } from "./say.js";
import { store } from "./store.js";
import { addTerms, known } from "./terms.js";
import { toast, toastError } from "./toast.js";

const STAYS_MS = 12_000;

export class Learned {
  constructor(host) {
    Object.assign(this, { host, gone: () => {} });
  }

  /** `learned`: {before, after, places}; null takes an older offer away. */
  offer(learned) {
    this.gone();
    if (!learned || store.isReadOnly(this.host.job)) return;
    const { before, after, places } = learned;
    const pair = `${before}→${after}`;
    const actions = [];
    if (places) actions.push({ text: say("termsdesk.learned_all"), primary: true, run: () => this.replace(learned) });
    if (!known(store.state.settings.terms).has(pair)) actions.push({ text: say("termsdesk.learned_term"), run: () => this.add(pair) });
    if (!actions.length) return;
    const text = places ? say("termsdesk.learned_places", { count: places, before, after }) : say("termsdesk.learned_pair", { before, after });
    this.gone = toast(text, { actions, stays: STAYS_MS, mark: "pencil" });
  }

  async replace({ before, after }) {
    const pair = `${before}→${after}`;
    this.back();
    try {
      const { done } = await store.api("POST", `/api/jobs/${this.host.job}/replace`, { before, after });
      const actions = known(store.state.settings.terms).has(pair) ? [] : [{ text: say("termsdesk.learned_term"), run: () => this.add(pair) }];
      this.gone = toast(say("termsdesk.learned_done", { count: done }), { undo: () => this.host.undo(), actions });
    } catch (error) {
      toastError(error);
    }
  }

  async add(pair) {
    this.back();
    await addTerms(pair, () => say("termsdesk.learned_added", { pair }));
  }

  /** The offer went away with the focus in it: back to the text. */
  back() {
    if (this.host.active && (document.activeElement === document.body || document.activeElement === null)) this.host.focusLine(this.host.active);
  }
}
