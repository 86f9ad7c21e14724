// Who is who: every voice of a recording with samples to hear, its name and role. In: the transcript. Out: renames, a new
// telling apart. It stays open while things change under it: what is being typed is left alone.

import { frame, openDialog } from "./dialog.js";
import { el, put } from "./dom.js";
import { spoken } from "./format.js";
import { request } from "./head.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { excerpt, excerpts, nameOf, renameTo, spokenName, withRole } from "./speakers.js";
import { store } from "./store.js";
import { toast } from "./toast.js";

const MOST = 20;
const TAIL_MS = 500; // word times are estimates now and then

export function openVoices(host) {
  return new Voices(host).open();
}

class Voices {
  constructor(host) {
    Object.assign(this, { host, job: host.job, ends: new AbortController(), drawn: "", offered: { suggested: [], alike: [], known: [], named: [] } });
  }

  async open() {
    this.list = el("div.jt-voices");
    this.count = el("input.jy-input.jt-voices-count", { type: "number", min: 1, max: MOST, inputmode: "numeric", "aria-label": say("voices.count") });
    this.go = el("button.jy-button", { type: "submit" }, icon("retry"), el("span"));
    this.state = el("p.jy-muted.jy-num", { role: "status", hidden: true });
    this.again = el("form.jt-voices-again", { onsubmit: (event) => this.tellApart(event) },
      el("span", null, say("voices.wrong_count")), this.count, this.go, this.state);
    this.known = el("div.jt-voices-known", { hidden: true });
    this.dialog = frame({ title: say("voices.title"), body: [el("p.jy-muted", null, say("voices.why")), this.list, this.again, this.known], wide: true });
    this.dialog.classList.add("jt-speaker-dialog", "jt-voices-dialog");
    const { signal } = this.ends;
    store.addEventListener("lines", ({ detail }) => detail.job === this.job && this.show(), { signal });
    for (const name of ["job", "setup", "online"]) store.addEventListener(name, () => this.show(), { signal });
    this.show();
    this.offers();
    await openDialog(this.dialog);
    this.ends.abort();
    this.drawing?.abort();
  }

  /** Names that can be offered, and voices that are remembered. */
  async offers() {
    try {
      this.offered = await store.api("GET", `/api/jobs/${this.job}/speakers`);
    } catch {
      return; // without them it works as well
    }
    this.drawn = "";
    this.show();
    this.showKnown();
  }

  showKnown() {
    const { known } = this.offered;
    this.known.hidden = !known.length;
    this.known.replaceChildren(el("p.jy-muted.jy-small", null, say("voices.known")),
      el("div.jy-row", null, known.map((name) =>
        el("button.jy-button", { type: "button", title: say("voices.forget", { name: spokenName(name) }), "aria-label": say("voices.forget", { name: spokenName(name) }), onclick: () => this.forget(name) },
          spokenName(name), icon("close")))));
  }

  show() {
    const job = store.jobs.get(this.job);
    if (!job) return this.dialog.close("");
    const speakers = [...this.host.rows.speakers.keys()];
    const lines = this.host.lines;
    const drawn = JSON.stringify([speakers, lines.length, store.isReadOnly(this.job)]);
    if (drawn !== this.drawn && !this.list.querySelector("input:focus")) {
      this.drawn = drawn;
      this.drawing?.abort();
      this.drawing = new AbortController();
      this.list.replaceChildren(...(speakers.length ? speakers.map((speaker, index) => this.voice(speaker, index, speakers)) : [el("p", null, say("voices.none"))]));
    }
    this.showAgain(job, speakers.length);
  }

  showAgain(job, known) {
    const running = job.telling_apart !== null && job.telling_apart !== undefined;
    const possible = job.has_audio && !store.isReadOnly(this.job) && store.state.setup.speakers?.ready;
    this.again.hidden = !possible;
    this.go.disabled = running;
    put(this.go.lastElementChild, known ? say("voices.again") : say("voices.tell_apart"));
    put(this.state, running ? say("voices.running", { percent: Math.floor(job.telling_apart * 100) }) : "");
  }

  voice(speaker, index, speakers) {
    const { host } = this;
    const mine = host.lines.filter((line) => line.speaker === speaker);
    const ms = mine.reduce((sum, line) => sum + line.end_ms - line.start_ms, 0);
    const fixed = store.isReadOnly(this.job);
    const { name, role } = nameOf(speaker);
    const field = (value, label, placeholder) =>
      el("input.jy-input", { type: "text", maxlength: 60, autocomplete: "off", value, placeholder, disabled: fixed, "aria-label": label });
    const nameField = field(name, say("voices.name_of", { name }), say("lines.speaker_name"));
    const roleField = field(role, say("voices.role_of", { name }), say("voices.role"));
    const save = (event) => {
      event?.preventDefault();
      const wanted = withRole(nameField.value, roleField.value);
      nameField.blur();
      roleField.blur();
      if (wanted && wanted !== speaker) return renameTo(host, speaker, wanted).then(() => this.offers());
      this.drawn = "";
      return this.show();
    };
    const form = el("form.jy-row", { onsubmit: save }, nameField, roleField,
      el("button.jy-button", { type: "submit", disabled: fixed }, say("lines.speaker_rename")));
    const use = (wanted) => el("button.jy-button", { type: "button", disabled: fixed, onclick: () => this.take(wanted, nameField, roleField) }, say("voices.use", { name: nameOf(wanted).name }));
    const suggest = (one) => el("div.jy-row.jt-suggested", null, use(one.name),
      excerpt(host, one.start_ms, one.end_ms + TAIL_MS, say("voices.quote", { quote: one.quote }), this.drawing.signal));
    const suggested = this.offered.suggested.filter((one) => one.speaker === speaker && one.name !== name);
    const alike = this.offered.alike.filter((one) => one.speaker === speaker && one.name !== speaker);
    const keeps = store.state.keep.on && !fixed && this.offered.named.includes(speaker);
    const others = speakers.filter((other) => other !== speaker);
    const same = el("select.jy-input.jt-voice-same", { "aria-label": say("voices.same_of", { name }), disabled: fixed },
      el("option", { value: "" }, say("voices.same")), others.map((other) => el("option", { value: other }, other.replace("|", " · "))));
    same.addEventListener("change", () => same.value && renameTo(host, speaker, same.value));
    return el("section.jt-section.jt-voice", { "aria-label": speaker.replace("|", " · ") },
      el("div.jy-row.jt-voice-head", null, el(`i.jt-dot.jt-colour-${(index % 8) + 1}`),
        el("span.jy-muted.jy-small.jy-num", null, say("voices.share", { time: spoken(ms), count: mine.length })),
        el("span.jy-spread"), others.length ? same : null),
      form,
      suggested.map(suggest),
      alike.map((one) => el("div.jy-row.jt-suggested", null, use(one.name),
        el("span.jy-muted", null, say("voices.alike", { name: spokenName(one.name), percent: one.percent })))),
      el("div.jt-excerpts", null, excerpts(host, speaker, this.drawing.signal)),
      keeps && !this.offered.known.includes(speaker)
        ? el("button.jy-button.quiet", { type: "button", onclick: () => this.remember(speaker) }, icon("plus"), say("voices.remember")) : null);
  }

  take(wanted, nameField, roleField) {
    const { name, role } = nameOf(wanted);
    nameField.value = name;
    if (role) roleField.value = role;
    nameField.focus();
  }

  async remember(name) {
    if (!(await request("PUT", `/api/voices/${encodeURIComponent(name)}`, { job: this.job }))) return;
    toast(say("voices.remembered", { name: spokenName(name) }));
    await this.offers();
  }

  async forget(name) {
    if (!(await request("DELETE", `/api/voices/${encodeURIComponent(name)}`))) return;
    toast(say("voices.forgotten", { name: spokenName(name) }));
    await this.offers();
  }

  async tellApart(event) {
    event.preventDefault();
    const count = this.count.value ? Number(this.count.value) : null;
    await request("POST", `/api/jobs/${this.job}/speakers`, { count });
  }
}
