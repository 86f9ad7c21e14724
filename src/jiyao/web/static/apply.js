// What each event changes. In: the store, an event. Out: the store's jobs, details and state changed, listeners told.

import { changeLines } from "./rows.js";

const OVER = ["done", "failed", "cancelled"];

/** Fields of a job are in two places, the list and the opened detail: both are kept the same. */
function setJob(store, id, fields, seq) {
  const job = store.jobs.get(id);
  if (job) Object.assign(job, fields);
  inDetail(store, id, seq, (detail) => Object.assign(detail, fields));
  store.tell("job", id);
}

/** Change an opened detail, now or once its snapshot is here; what the snapshot already has is left out. */
function inDetail(store, id, seq, change) {
  const opening = store.opening.get(id);
  if (opening) opening.later.push([seq, change]);
  const detail = store.details.get(id);
  if (detail && !detail.past && (seq === null || seq > detail.seq)) change(detail);
}

function setClip(detail, clip) {
  const at = detail.clips.findIndex((known) => known.index === clip.index);
  if (at >= 0) detail.clips[at] = clip;
  else detail.clips.push(clip);
}

const CHANGES = {
  job(store, { job }) {
    store.jobs.set(job.id, job);
    store.tell("jobs");
    if (!store.selected && !store.wiping) store.select(job.id); // begun in another tab
  },
  state(store, { job, state, error }, seq) {
    setJob(store, job, { state, error: error ?? null }, seq);
    // what is finished is taken into the page, so that it is still there if the server goes
    if (OVER.includes(state)) store.open(job).catch(() => {});
    store.tell("jobs");
  },
  progress(store, { job, ...progress }, seq) {
    setJob(store, job, { progress }, seq);
  },
  listened(store, { job }, seq) {
    const { lines: _lines, seq: _seq, ...fields } = job;
    setJob(store, job.id, fields, seq);
    store.tell("jobs");
  },
  lines(store, { job, removed, put, can_undo, can_redo }, seq) {
    inDetail(store, job, seq, (detail) => {
      changeLines(detail, removed, put);
      Object.assign(detail, { can_undo, can_redo });
      store.tell("lines", { job, removed, put });
    });
  },
  clip(store, { job, clip }, seq) {
    inDetail(store, job, seq, (detail) => setClip(detail, clip));
    store.tell("job", job);
  },
  telling_apart(store, { job, share, notes }, seq) {
    setJob(store, job, { telling_apart: share, ...(notes ? { notes } : {}) }, seq);
  },
  notes(store, { job, notes }, seq) {
    if (notes) setJob(store, job, { notes }, seq);
  },
  engine(store, { job, engine, rejected }, seq) {
    store.state.engine = engine;
    if (rejected) store.state.setup.rejected = rejected;
    if (job) setJob(store, job, { engine }, seq);
    store.tell("state");
  },
  queue(store, { waiting }, seq) {
    for (const job of store.jobs.values()) {
      const at = waiting.indexOf(job.id);
      if (job.place !== (at < 0 ? null : at)) setJob(store, job.id, { place: at < 0 ? null : at }, seq);
    }
    store.tell("jobs");
  },
  removed(store, { job }) {
    if (store.jobs.has(job)) store.forget(job);
  },
  wiping(store) {
    store.clear(null, true);
  },
  wiped(store, wiped) {
    store.clear(wiped);
  },
  settings(store, { job: _job, ...settings }) {
    store.state.settings = settings;
    store.tell("settings");
  },
  setup(store, { job: _job, ...setup }) {
    store.state.setup = setup;
    store.tell("setup");
  },
  keep(store, { job: _job, ...keep }) {
    store.state.keep = { ...store.state.keep, ...keep };
    store.tell("state");
  },
  recording(store, { job: _job, gone, ...recording }) {
    const others = store.state.recordings.filter((known) => known.id !== recording.id);
    store.state.recordings = gone ? others : [...others, recording];
    store.tell("recordings");
  },
  host(store, { job: _job, ...now }) {
    Object.assign(store.state, now); // host, engine, engine_loading, sealed, memory_used_bytes
    store.tell("state");
  },
};
CHANGES.skipped = CHANGES.clip;
for (const name of ["taken_over", "trouble", "restarted"]) {
  CHANGES[name] = (store, { job }) => job && store.tell("job", job);
}

export function apply(store, type, data, seq) {
  if (seq !== null && seq <= store.seq) return;
  if (seq !== null) store.seq = seq;
  CHANGES[type]?.(store, data, seq);
}
