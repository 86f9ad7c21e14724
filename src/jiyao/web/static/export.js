// Export and copy. In: a job and three choices that are remembered. Out: a file, the clipboard; without a server, plain text.

import { frame, openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { clock } from "./format.js";
import { openMenu } from "./menu.js";
import { hasSentence, language, say } from "./say.js";
import { nameOf } from "./speakers.js";
import { ApiError, store } from "./store.js";
import { toast, toastError } from "./toast.js";

/** As the server writes it: `张工：`, `【张工|后端】`. */
function says(speaker) {
  const { name, role } = nameOf(speaker);
  return role ? say("desk.speaker_role_says", { name, role }) : say("desk.speaker_says", { speaker });
}

const CHOICES = ["times", "speakers", "merge"];
const KEY = "jiyao-export"; // three yes or no: the only thing of an export that outlives the tab

export function choices() {
  const kept = { times: true, speakers: true, merge: true };
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    for (const name of CHOICES) if (typeof stored[name] === "boolean") kept[name] = stored[name];
  } catch {
    // storage switched off, or not ours: the defaults
  }
  return kept;
}

function choose(name, value) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...choices(), [name]: value }));
  } catch {
    // it holds for this menu only
  }
}

export function query() {
  const chosen = choices();
  const flags = CHOICES.map((name) => [name, chosen[name] ? "1" : "0"]);
  return new URLSearchParams([...flags, ["lang", language()]]);
}

/** The menu under the export button: three choices, then the formats. */
export function openExport(button, id) {
  const chosen = choices();
  const here = store.isReadOnly(id);
  const formats = here ? ["txt"] : store.state.formats;
  openMenu(button, [
    { heading: say("desk.export_with") },
    ...CHOICES.map((name) => ({ text: say(`desk.export_${name}`), checked: chosen[name], toggle: (on) => choose(name, on) })),
    "-",
    ...formats.map((format) => ({
      text: hasSentence(`desk.format_${format}`) ? say(`desk.format_${format}`) : format.toUpperCase(),
      hint: `.${format}`,
      run: () => (here ? saveText(id) : save(`/api/jobs/${id}/export/${format}?${query()}`)),
    })),
  ]);
}

/** Fetch a file and hand it to the browser: so an error is said, not saved as a file. */
export async function save(path) {
  try {
    const answer = await store.send("GET", path);
    hand(await answer.blob(), fileName(answer.headers.get("Content-Disposition")));
  } catch (error) {
    toastError(error);
  }
}

function fileName(disposition) {
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "")?.[1];
  if (encoded) return decodeURIComponent(encoded);
  return /filename="?([^";]+)/i.exec(disposition ?? "")?.[1] ?? "transcript";
}

function hand(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  toast(say("desk.exported", { name }));
}

/** Made in this page, of what it holds: the server is gone. */
function saveText(id) {
  const name = (store.jobs.get(id)?.name ?? "").replace(/\.[^.]+$/, "") || say("desk.brand");
  hand(new Blob([plainText(id)], { type: "text/plain;charset=utf-8" }), `${name}.txt`);
}

export function plainText(id) {
  const { times, speakers, merge } = choices();
  const detail = store.details.get(id);
  const blocks = [];
  for (const lineId of detail?.order ?? []) {
    const line = detail.lines.get(lineId);
    const last = blocks.at(-1);
    if (merge && last && last.speaker === line.speaker && line.speaker !== null) {
      last.text += joint(last.text, line.text) + line.text;
      continue;
    }
    blocks.push({ speaker: line.speaker, at: line.start_ms, text: line.text });
  }
  const row = ({ speaker, at, text }) =>
    `${times ? `[${clock(at)}] ` : ""}${speakers && speaker ? says(speaker) : ""}${text}`;
  return `${blocks.map(row).join("\n")}\n`;
}

/** A space between two texts, but not where Chinese touches. */
function joint(before, after) {
  return /[\u2e80-\uffef]$/.test(before) || /^[\u2e80-\uffef]/.test(after) ? "" : " ";
}

/** The whole text to the clipboard, by the best way this browser has; at worst it is shown, marked, to be copied by hand. */
export async function copyAll(id) {
  const text = store.isReadOnly(id)
    ? Promise.resolve(plainText(id))
    : store.send("GET", `/api/jobs/${id}/text?${query()}`).then((answer) => answer.text());
  try {
    await toClipboard(text);
    toast(say("desk.copied"));
  } catch (error) {
    if (error instanceof ApiError) toastError(error);
    else await byHand(await text);
  }
}

async function toClipboard(promise) {
  const known = promise.then((text) => new Blob([text], { type: "text/plain" }));
  known.catch(() => {});
  if (globalThis.ClipboardItem && navigator.clipboard?.write) {
    try {
      // a promise inside: Safari lets the clipboard be used only within the click
      return await navigator.clipboard.write([new ClipboardItem({ "text/plain": known })]);
    } catch (error) {
      await promise; // a refusal of the server is not the clipboard's
      console.info("clipboard.write", error);
    }
  }
  const text = await promise;
  if (navigator.clipboard?.writeText) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch (error) {
      console.info("clipboard.writeText", error);
    }
  }
  if (!byCommand(text)) throw new Error("no clipboard");
}

function byCommand(text) {
  const area = el("textarea", { value: text, "aria-hidden": "true", style: "position:fixed;opacity:0" });
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } finally {
    area.remove();
    before?.focus?.({ preventScroll: true });
  }
  return done;
}

async function byHand(text) {
  const area = el("textarea.jy-input", { value: text, readonly: true, rows: 12, "aria-label": say("desk.copy") });
  const shown = openDialog(frame({ title: say("desk.copy_by_hand"), body: [el("p", null, say("desk.copy_by_hand_how")), area], wide: true }));
  area.focus();
  area.select();
  await shown;
}

export async function copyText(text) {
  try {
    await toClipboard(Promise.resolve(text));
    toast(say("desk.copied"));
  } catch {
    await byHand(text);
  }
}
