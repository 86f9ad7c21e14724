// What the page knows of the server. In: a snapshot that carries `seq`, then events after it. Out: state and CustomEvents.
// Events: state jobs job lines selected online wiped setup settings recordings language. DESIGN section 6.

import { apply } from "./apply.js";
import { EventFeed } from "./feed.js";
import { toDetail } from "./rows.js";
import { language, loadMessages, onLanguage, say } from "./say.js";

const RETRY_MS = [1000, 1000, 2000, 3000, 5000];

/** What a request was refused with: what happened, what to do; `conflict`: lines as they are now. */
export class ApiError extends Error {
  constructor(status, { message, remedy = "", key = "" }, conflict = null) {
    super(message);
    Object.assign(this, { status, remedy, key, conflict });
  }
}

class Store extends EventTarget {
  constructor() {
    super();
    this.state = null;
    this.seq = 0;
    this.jobs = new Map();
    this.details = new Map();
    this.opening = new Map(); // id → {promise, later: changes that arrive before the snapshot}
    this.selected = null;
    this.online = true;
    this.lost = null; // why it is not online: "gone" (no answer) or "locked" (another start: this page's key is old)
    this.wiping = false; // begun, not yet done
    this.wiped = null; // what the last wipe said, until something new begins
    this.feed = new EventFeed((...event) => this.hear(...event), () => this.recover());
    this.recovering = false;
    onLanguage(() => {
      this.tell("language");
      // notes, errors and reasons are the server's sentences: they come again in the other language
      if (this.state && this.online) this.resync().catch(() => this.recover());
    });
  }

  get language() {
    return language();
  }

  tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Messages, the first snapshot, the stream. Once per page; later calls wait for the same. */
  start(wanted = null) {
    this.started ??= (async () => {
      await loadMessages();
      this.take(await this.api("GET", "/api/state"));
      this.feed.open(this.seq, language());
      const first = this.jobs.has(wanted) ? wanted : this.best();
      if (first) this.select(first);
    })();
    return this.started;
  }

  // the server's side

  take(state) {
    this.state = state;
    this.wiping = false;
    this.seq = state.seq;
    const past = [...this.jobs.values()].filter((job) => job.past);
    this.jobs = new Map([...state.jobs, ...past].map((job) => [job.id, job]));
    for (const id of this.details.keys()) if (!this.jobs.has(id)) this.details.delete(id);
    if (this.selected && !this.jobs.has(this.selected)) this.reselect();
    for (const name of ["state", "settings", "setup", "recordings", "jobs"]) this.tell(name);
  }

  hear(type, data, seq) {
    if (type === "reset") this.resync().catch(() => this.recover());
    else apply(this, type, data, seq);
  }

  /** State and every opened job again, then the stream from there. */
  async resync(state = null) {
    this.feed.close();
    this.take(state ?? (await this.api("GET", "/api/state")));
    const ids = [...this.details.values()].filter((detail) => !detail.past).map((detail) => detail.id);
    for (const id of ids) this.details.delete(id);
    this.feed.open(this.seq, language());
    await Promise.all(ids.map((id) => this.open(id).catch(() => {})));
    for (const id of ids) this.tell("lines", { job: id, removed: [], put: [], reset: true });
  }

  /** The stream broke: is the server there, is it the same, is it still ours? Asks until it knows; the text stays. */
  async recover() {
    if (this.recovering || !this.state) return;
    this.recovering = true;
    for (let turn = 0; ; turn += 1) {
      const answer = await this.ask();
      if (answer.state) {
        if (!this.isSame(answer.state)) this.keepPast();
        this.setOnline(true);
        this.recovering = false;
        return this.resync(answer.state).catch(() => this.recover());
      }
      this.setOnline(false, answer.lost);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(turn, RETRY_MS.length - 1)]));
    }
  }

  async ask() {
    try {
      const answer = await fetch("/api/state", { cache: "no-store", signal: AbortSignal.timeout(4000) });
      if (answer.ok) return { state: await answer.json() };
      return { lost: answer.status === 403 ? "locked" : "gone" };
    } catch {
      return { lost: "gone" };
    }
  }

  /** Another process knows none of this. Without its name: numbers that begin again, or no job of ours left. */
  isSame(state) {
    const [was, is] = [this.state.app.process, state.app.process];
    if (was && is) return was === is;
    const ours = [...this.jobs.values()].filter((job) => !job.past);
    const known = new Set(state.jobs.map((job) => job.id));
    return state.seq >= this.seq && (!ours.length || ours.some((job) => known.has(job.id)));
  }

  /** What this page holds of a server that is gone becomes "last time's contents": to read, copy and export. */
  keepPast() {
    for (const [id, job] of this.jobs) {
      const detail = this.details.get(id);
      if (detail?.lines.size) Object.assign(job, { past: true }), Object.assign(detail, { past: true });
      else this.jobs.delete(id);
    }
    this.opening.clear();
  }

  setOnline(online, lost = null) {
    if (this.online === online && this.lost === lost) return;
    Object.assign(this, { online, lost });
    this.tell("online");
  }

  // jobs

  /** The job's snapshot, followed from then on. */
  open(id) {
    const had = this.details.get(id);
    if (had) return Promise.resolve(had);
    const running = this.opening.get(id);
    if (running) return running.promise;
    const entry = { later: [] };
    entry.promise = this.api("GET", `/api/jobs/${id}`)
      .then((snapshot) => {
        if (this.opening.get(id) !== entry) throw new Error("overtaken");
        const detail = toDetail(snapshot);
        this.details.set(id, detail);
        this.opening.delete(id);
        for (const [seq, change] of entry.later) if (seq === null || seq > detail.seq) change(detail);
        this.tell("job", id);
        this.tell("lines", { job: id, removed: [], put: [], reset: true });
        return detail;
      })
      .finally(() => this.opening.get(id) === entry && this.opening.delete(id));
    this.opening.set(id, entry);
    return entry.promise;
  }

  select(id) {
    if (id === this.selected) return;
    this.selected = id;
    this.wiped = null;
    this.tell("selected", id);
    if (id) this.open(id).catch((error) => error instanceof ApiError && this.tell("trouble", error));
  }

  /** The running job, else the newest. */
  best() {
    const all = [...this.jobs.values()];
    const running = all.find((job) => ["loading", "recognizing", "finishing"].includes(job.state));
    return (running ?? all.at(-1))?.id ?? null;
  }

  reselect() {
    this.selected = undefined;
    this.select(this.best());
  }

  forget(id) {
    const ids = [...this.jobs.keys()];
    const next = ids[ids.indexOf(id) + 1] ?? ids[ids.indexOf(id) - 1] ?? null;
    for (const map of [this.jobs, this.details, this.opening]) map.delete(id);
    if (this.selected === id) this.select(next);
    this.tell("jobs");
  }

  /** Everything is gone on the server (`wiped` says what), or shall go from this page: nothing is left here. */
  clear(wiped, wiping = false) {
    this.wiping = wiping;
    for (const map of [this.jobs, this.details, this.opening]) map.clear();
    Object.assign(this.state, { recordings: [], memory_used_bytes: 0 });
    if (wiped?.worker_ended) this.state.engine = null;
    this.selected = null;
    this.wiped = wiped;
    for (const name of ["wiped", "selected", "recordings", "jobs", "state"]) this.tell(name, name === "wiped" ? wiped : null);
  }

  isReadOnly(id) {
    return !this.online || Boolean(this.jobs.get(id)?.past);
  }

  // requests

  /** JSON of an answer; throws ApiError. `path` as "/api/…" or what comes after it. */
  async api(method, path, body) {
    const answer = await this.send(method, path, body);
    return answer.status === 204 ? null : answer.json();
  }

  /** A file, as it is. */
  async put(path, file) {
    return (await this.send("PUT", path, file)).json();
  }

  /** The answer itself: files, text, bytes. */
  async send(method, path, body) {
    const url = path.startsWith("/") ? path : `/api/${path}`;
    const headers = { "X-Jiyao-Language": this.language };
    const file = body instanceof Blob;
    if (body !== undefined) headers["Content-Type"] = file ? "application/octet-stream" : "application/json";
    let answer;
    try {
      answer = await fetch(url, { method, headers, cache: "no-store", body: body === undefined || file ? body : JSON.stringify(body) });
    } catch {
      this.recover();
      throw new ApiError(0, { message: say("desk.no_answer"), remedy: say("desk.no_answer_remedy") });
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    const error = told.error ?? {};
    throw new ApiError(
      answer.status,
      { message: error.message ?? say("desk.refused", { status: answer.status }), remedy: error.remedy ?? "", key: error.key },
      told.conflict ?? null,
    );
  }

  edit(job, changes) {
    if (this.isReadOnly(job)) return Promise.reject(new ApiError(0, { message: say("desk.read_only") }));
    return this.api("POST", `/api/jobs/${job}/edits`, { changes });
  }

  undo(job) {
    return this.isReadOnly(job) ? Promise.resolve({ done: false }) : this.api("POST", `/api/jobs/${job}/undo`, {});
  }

  redo(job) {
    return this.isReadOnly(job) ? Promise.resolve({ done: false }) : this.api("POST", `/api/jobs/${job}/redo`, {});
  }
}

export const store = new Store();
