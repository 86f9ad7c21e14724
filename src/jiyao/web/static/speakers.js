// Who said it. In: a line. Out: another speaker for it or its paragraph, or another name for the speaker everywhere.

import { frame, openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { setIcon } from "./player-kit.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { toast } from "./toast.js";

const EXCERPTS = 3;
const LONGEST_EXCERPT_MS = 10_000;

/** Ask who said a line; `whole`: the paragraph is meant unless they say otherwise. */
export function openSpeaker(host, id, whole) {
  const { line, turn } = host.rows.row(id);
  if (store.isReadOnly(host.job)) return toast(say("lines.read_only"));
  const turns = host.rows.rows.filter((row) => row.turn === turn).map((row) => row.line);
  const ends = new AbortController();
  const given = assign(host, line, turns, whole);
  const named = line.speaker === null ? [] : [rename(host, line, ends.signal)];
  // the name was clicked: the name is meant
  const dialog = frame({ title: say("lines.speaker_title"), body: whole ? [...named, given] : [given, ...named] });
  dialog.addEventListener("close", () => ends.abort());
  dialog.classList.add("jt-speaker-dialog");
  dialog.querySelector(".jt-section").querySelector("[aria-pressed=true], input[type=text]").setAttribute("autofocus", "");
  return openDialog(dialog);
}

function close(event) {
  event.target.closest("dialog").close("done");
}

// this line, or its paragraph

function assign(host, line, turns, whole) {
  const all = el("input", { type: "checkbox", checked: whole });
  const name = el("input.jy-input", { type: "text", maxlength: 60, autocomplete: "off", "aria-label": say("lines.speaker_new"), placeholder: say("lines.speaker_new") });
  const give = async (event, speaker) => {
    close(event);
    const lines = (turns.length > 1 && all.checked ? turns : [line]).filter((one) => one.speaker !== speaker);
    await host.change(lines.map((one) => ({ kind: "speaker", line: one.id, version: one.version, speaker })));
  };
  const choice = (speaker, text, colour) =>
    el("button.jy-button.quiet.jt-choice-speaker", { type: "button", "aria-pressed": String(speaker === line.speaker), onclick: (event) => give(event, speaker) },
      el(`i.jt-dot.jt-colour-${colour}`), text, speaker === line.speaker ? icon("check") : null);
  const known = [...host.rows.speakers.keys()].map((speaker, index) => choice(speaker, spokenName(speaker), (index % 8) + 1));
  const form = el("form.jy-row", {
    onsubmit: (event) => {
      event.preventDefault();
      if (name.value.trim()) give(event, name.value.trim());
    },
  }, name, el("button.jy-button", { type: "submit" }, say("lines.speaker_set")));
  return el("section.jt-section", null,
    el("h3", null, say("lines.speaker_whose")),
    el("p.jy-muted.jt-quote", null, line.text),
    turns.length > 1 ? el("label.jy-row", null, all, say("lines.speaker_turn", { count: turns.length })) : null,
    el("div.jt-speakers", null, known, choice(null, say("lines.speaker_none"), 0)),
    form);
}

// everywhere

function rename(host, line, signal) {
  const { speaker } = line;
  const name = el("input.jy-input", { type: "text", maxlength: 60, autocomplete: "off", value: speaker, onfocus: () => name.select(), "aria-label": say("lines.speaker_name") });
  const form = el("form.jy-row", {
    onsubmit: async (event) => {
      event.preventDefault();
      const wanted = withRole(...name.value.split(/[|｜]/, 2));
      if (!wanted || wanted === speaker) return;
      close(event);
      await renameTo(host, speaker, wanted);
    },
  }, name, el("button.jy-button.primary", { type: "submit" }, say("lines.speaker_rename")));
  return el("section.jt-section", null,
    el("h3", null, say("lines.speaker_everywhere", { name: spokenName(speaker), count: host.rows.speakers.get(speaker) ?? 0 })),
    form,
    el("div.jt-excerpts", null, excerpts(host, speaker, signal)));
}

/** Call a speaker something else everywhere; a name that there is already makes one of the two. */
export async function renameTo(host, speaker, wanted) {
  const merges = host.rows.speakers.has(wanted);
  if (!(await host.change([{ kind: "rename", speaker, name: wanted }]))) return;
  // two speakers became one: the only rename that renaming back does not undo
  if (merges) toast(say("lines.speaker_joined", { name: spokenName(wanted) }), { undo: () => host.undo() });
}

/** "张工|后端": a name and a role. */
export function nameOf(speaker) {
  const [name, role = ""] = speaker.split("|", 2);
  return { name, role };
}

export function withRole(name, role = "") {
  const [cleanName, cleanRole] = [name, role].map((text) => text.replace(/[|｜【】]/g, " ").replace(/\s+/g, " ").trim());
  return cleanName && cleanRole ? `${cleanName}|${cleanRole}` : cleanName;
}

/** As it is read out. */
export function spokenName(speaker) {
  const { name, role } = nameOf(speaker);
  return role ? say("voices.with_role", { name, role }) : name;
}

/** A few long lines of a speaker, sure ones first, to be heard and no further; while `signal` lasts they show which of
 * them plays. */
export function excerpts(host, speaker, signal) {
  const long = host.lines
    .filter((line) => line.speaker === speaker)
    .sort((a, b) => a.flags.length - b.flags.length || b.end_ms - b.start_ms - (a.end_ms - a.start_ms));
  return long
    .slice(0, EXCERPTS)
    .sort((a, b) => a.start_ms - b.start_ms)
    .map((line) => excerpt(host, line.start_ms, Math.min(line.end_ms, line.start_ms + LONGEST_EXCERPT_MS), line.text, signal));
}

export function excerpt(host, from, until, text, signal) {
  const button = el("button.jy-button.quiet.jt-excerpt", { type: "button", onclick: () => host.play(from, until) },
    icon("play"), el("span.jy-num", null, clock(from)), el("span.jt-excerpt-text", null, text));
  const show = (plays) => {
    setIcon(button, plays ? "pause" : "play");
    button.setAttribute("aria-label", plays ? say("player.pause") : say("lines.speaker_hear", { time: clock(from) }));
  };
  show(false);
  document.addEventListener("tick", ({ detail: { playing, stretch } }) => show(playing && stretch?.[0] === from && stretch[1] === until), { signal });
  return button;
}
