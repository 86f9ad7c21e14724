// The head of a result: name, state, progress, what went wrong and what can be done. In: a job. Out: requests.

import { confirmDialog } from "./dialog.js";
import { el, put, View } from "./dom.js";
import { decimal, doneOf, pace, roughly, spoken } from "./format.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { toastError } from "./toast.js";

const STEPS = ["loading", "recognizing", "finishing", "done"];
const RUNNING = ["loading", "recognizing", "finishing"];
const STOPPABLE = ["queued", ...RUNNING];

/** Ask the server; what it refuses is said. */
export async function request(method, path, body) {
  try {
    return await store.api(method, path, body);
  } catch (error) {
    toastError(error);
    return null;
  }
}

export function deviceWords(engine) {
  if (!engine) return "";
  const kind = engine.device.split(":")[0];
  return ["cpu", "cuda", "mps"].includes(kind) ? say(`desk.device_${kind}`) : engine.device;
}

/** The engine and where it runs; most titles say that already. */
export function engineWords(engine) {
  const device = deviceWords(engine);
  return !device || engine.title.includes(device) ? engine.title : say("desk.engine_on", { engine: engine.title, device });
}

export class Head extends View {
  connected() {
    this.on(store, "job", (event) => event.detail === store.selected && this.update());
    this.on(store, "lines", ({ detail }) => detail.job === store.selected && this.update());
    this.on(store, "selected jobs online state", () => this.update());
  }

  build() {
    this.drawn = null;
    this.update();
  }

  update() {
    const job = store.jobs.get(store.selected);
    if (!job) return;
    const shown = job.past ? "past" : job.state;
    // what does not change from clip to clip is drawn once; a redraw would take the focus from a button
    const lines = store.details.get(job.id)?.lines.size ?? 0;
    const drawn = [job.id, lines > 0, job.name, shown, job.duration_ms > 0, job.notes.length, job.place, store.online, job.engine?.title, job.engine?.device, job.error?.message].join("|");
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.draw(job, shown);
    }
    this.advance(job);
    const share = job.past ? null : (job.telling_apart ?? null);
    put(this.voices, share === null ? "" : say("voices.running", { percent: Math.floor(share * 100) }));
  }

  draw(job, shown) {
    const open = store.online && !job.past;
    this.line = el("p.jy-num.jy-numbers");
    this.bar = el("div");
    this.track = el("div.jy-bar-track", { role: "progressbar", "aria-label": say("desk.progress"), "aria-valuemin": 0, "aria-valuemax": 100 }, this.bar);
    this.voices = el("p.jy-muted.jy-num.jy-voices", { role: "status" });
    const running = RUNNING.includes(shown);
    this.replaceChildren(
      el("div.jy-head-top", null,
        el("h2.jy-name", { title: job.name }, job.name),
        el("div.jy-row", null, open ? this.actions(job) : null)),
      this.meta(job),
      ...(running ? [steps(shown, job), this.track, this.line] : []),
      ...[this.outcome(job, shown)].filter(Boolean),
      this.voices,
      ...notes(job),
    );
    this.setAttribute("data-state", shown);
  }

  meta(job) {
    return el("p.jy-meta.jy-muted", null,
      job.duration_ms ? el("span.jy-num", null, say("desk.length", { length: spoken(job.duration_ms) })) : null,
      job.engine ? el("span", null, engineWords(job.engine)) : null);
  }

  actions(job) {
    const stop = el("button.jy-button", { type: "button", onclick: () => request("POST", `/api/jobs/${job.id}/cancel`, {}) }, icon("stop"), say("desk.stop"));
    const more = el("button.jy-icon-button", { type: "button", "aria-label": say("desk.more"), title: say("desk.more"), "aria-haspopup": "menu", "aria-expanded": "false" }, icon("more"));
    const again = job.has_audio && !STOPPABLE.includes(job.state);
    more.addEventListener("click", () =>
      openMenu(more, [
        ...(again ? [{ text: say("desk.recognise_again"), icon: "retry", run: () => request("POST", `/api/jobs/${job.id}/retry`, {}) }, "-"] : []),
        { text: say("desk.remove"), icon: "trash", danger: true, run: () => remove(job) },
      ]));
    return [STOPPABLE.includes(job.state) ? stop : null, more];
  }

  /** What became of it, in a box: done, failed, cancelled, waiting, from last time. */
  outcome(job, shown) {
    const lines = store.details.get(job.id)?.lines.size ?? 0;
    const resume = () => store.online &&
      el(lines ? "button.jy-button.primary" : "button.jy-button", { type: "button", onclick: () => request("POST", `/api/jobs/${job.id}/resume`, {}) },
        icon("retry"), lines ? say("desk.go_on") : say("desk.try_again"));
    if (shown === "done") return note("ok", "check", say("desk.done", { seconds: Math.floor(job.duration_ms / 1000) }));
    if (shown === "past") return note("warn", "info", say("desk.past"), say("desk.past_why"), forget(job));
    if (shown === "queued") return this.waiting(job);
    const safe = lines ? say("desk.text_safe") : "";
    if (shown === "failed") {
      const { message, remedy } = job.error ?? { message: say("desk.failed"), remedy: "" };
      return note("bad", "warning", message, [remedy, safe].filter(Boolean).join(" "), resume());
    }
    if (shown === "cancelled") return note("", "stop", say("desk.cancelled"), safe, resume());
    return null;
  }

  waiting(job) {
    const ahead = [...store.jobs.values()].filter((other) => other.place !== null && other.place < job.place).length;
    const busy = [...store.jobs.values()].some((other) => RUNNING.includes(other.state));
    const count = ahead + Number(busy);
    const first = () => {
      const rest = [...store.jobs.values()].filter((other) => other.place !== null && other.id !== job.id).sort((a, b) => a.place - b.place);
      return request("POST", "/api/queue", { order: [job.id, ...rest.map((other) => other.id)] });
    };
    const button = ahead > 0 && store.online && el("button.jy-button", { type: "button", onclick: first }, icon("up"), say("desk.first"));
    return note("", "info", count ? say("desk.queued", { count }) : say("desk.queued_next"), say("desk.queued_why"), button);
  }

  /** The numbers that move. */
  advance(job) {
    if (!RUNNING.includes(job.state) || job.past) return;
    const { done_ms: done, total_ms: total, speed, left_ms: left } = job.progress;
    const { cleaning } = job.progress;
    const measured = job.state === "recognizing" && total > 0 && done > 0; // before that nothing is measured
    const known = measured || (cleaning && total > 0);
    const share = known ? Math.min(100, (done / total) * 100) : 0;
    this.track.classList.toggle("wandering", !known);
    this.bar.style.width = `${share}%`;
    if (known) this.track.setAttribute("aria-valuenow", Math.floor(share));
    else this.track.removeAttribute("aria-valuenow");
    const doing = cleaning ? say("desk.doing_cleaning") : store.state.engine_loading ? say("desk.engine_starts") : say(`desk.doing_${job.state}`);
    const parts = measured ? [doneOf(done, total)] : cleaning ? [doing, doneOf(done, total)] : [doing];
    if (measured && speed) parts.push(pace(speed));
    if (measured) parts.push(left === null ? say("desk.left_unknown") : say("desk.left", { time: roughly(left) }));
    const text = parts.join(", ");
    if (text === this.track.getAttribute("aria-valuetext")) return;
    this.track.setAttribute("aria-valuetext", text);
    this.line.replaceChildren(...parts.map((part) => el("span", null, part)));
  }
}

function steps(shown, job) {
  const at = STEPS.indexOf(shown);
  const device = job.engine ? deviceWords(job.engine) : "";
  return el("ol.jy-steps", { "aria-label": say("desk.steps") }, STEPS.map((step, index) =>
    el(index < at ? "li.past" : index === at ? "li.now" : "li", { "aria-current": index === at && "step" },
      index < at ? icon("check") : el("span.jy-step-dot"),
      step === "recognizing" && device && index === at ? say("desk.step_recognizing_on", { device }) : say(`desk.step_${step}`))));
}

function note(tone, mark, text, why = "", button = null) {
  return el(`div.jy-note${tone ? `.${tone}` : ""}`, null, icon(mark),
    el("div", null, el("strong", null, text), why ? el("p", null, why) : null, button ? el("div.jy-row", null, button) : null));
}

function notes(job) {
  const rows = job.notes.map(({ message, warning }) => el(warning ? "li.warn" : "li", null, icon(warning ? "warning" : "info"), el("span", null, message)));
  const slow = job.engine?.on_cpu && RUNNING.includes(job.state);
  if (slow) rows.unshift(el("li.warn", null, icon("warning"), el("span", null, say("desk.on_cpu"))));
  return rows.length ? [el("ul.jy-notes", { "aria-label": say("desk.notes") }, rows)] : [];
}

function forget(job) {
  return el("button.jy-button", { type: "button", onclick: () => store.forget(job.id) }, say("desk.past_close"));
}

async function remove(job) {
  const detail = store.details.get(job.id);
  const sure = await confirmDialog({
    title: say("desk.remove_title"),
    body: [el("p", null, el("strong", null, job.name)),
      el("p", null, say("desk.remove_what", { length: spoken(job.duration_ms), lines: decimal(detail?.lines.size ?? 0, 0) })),
      store.state.keep.on ? el("p.jy-muted", null, say("desk.remove_kept")) : null],
    confirm: say("desk.remove"),
  });
  if (sure) await request("DELETE", `/api/jobs/${job.id}`);
}

customElements.define("jiyao-head", Head);
