// The terms in force, as text. In: lines `原文→规范写法` or a plain word. Out: texts put together without repeats, kept by
// the server one after the other, so that two of them never take each other's lines away.

import { store } from "./store.js";
import { say } from "./say.js";
import { toast, toastError } from "./toast.js";

const COMMENT = /(^|\s)#.*/; // not in `C#`; as the glossary reads it
const ARROWS = [/→|⇒|->|=>/, /＝|=/];

/** [alias or null, term] of a line; null where it says nothing. */
function entry(line) {
  const text = line.replace(COMMENT, "").trim();
  if (!text) return null;
  const arrow = ARROWS.map((one) => one.exec(text)).find(Boolean);
  if (!arrow) return [null, text];
  return [text.slice(0, arrow.index).trim(), text.slice(arrow.index + arrow[0].length).trim()];
}

/** What a terms text has already: `has(line)`. A plain word is there too where it is the right form of a rule. */
export function known(text) {
  const [rules, terms] = [new Set(), new Set()];
  const add = (line) => {
    const found = entry(line);
    if (!found) return;
    terms.add(found[1]);
    if (found[0] !== null) rules.add(found.join("→"));
  };
  text.split(/\r?\n/).forEach(add);
  const has = (line) => {
    const found = entry(line);
    return !found || (found[0] === null ? terms.has(found[1]) : rules.has(found.join("→")));
  };
  return { has, add };
}

/** `more` appended to `text`, line by line, without what is there already: {text, added}. */
export function merged(text, more) {
  const there = known(text);
  const fresh = [];
  for (const line of more.split(/\r?\n/).map((one) => one.trim())) {
    if (there.has(line)) continue;
    fresh.push(line);
    there.add(line);
  }
  if (!fresh.length) return { text, added: 0 };
  const before = text.trimEnd();
  return { text: `${before}${before ? "\n" : ""}${fresh.join("\n")}\n`, added: fresh.length };
}

let last = Promise.resolve();
let typedIn = () => null;

/** `typed()`: what stands in the box and was not sent yet, or null. It counts for whatever comes next. */
export function listenToBox(typed) {
  typedIn = typed;
}

/** `change(text)` says what the box shall hold; resolves with the settings as they are then. Throws ApiError. */
export function setTerms(change) {
  const run = last.then(async () => {
    const terms = change(typedIn() ?? store.state.settings.terms);
    const settings = await store.api("PUT", "/api/settings", { terms });
    store.state.settings = settings;
    store.tell("settings");
    return settings;
  });
  last = run.catch(() => {});
  return run;
}

/** Put `more` into the box and say so by `told(added)`, with a way back. How many were new; null: refused, and said. */
export async function addTerms(more, told) {
  let added = 0;
  const append = (text) => {
    const both = merged(text, more);
    added = both.added;
    return both.text;
  };
  return (await changeTerms(append, () => told(added))) ? added : null;
}

/** Change the box, say `told()`, offer the way back. True: done. */
export async function changeTerms(change, told) {
  let before = "";
  try {
    const settings = await setTerms((text) => change((before = text)));
    const undo = settings.terms === before ? null : () => setTerms(() => before).catch(toastError);
    const wrong = settings.terms_error;
    if (wrong) toast(wrong.message, { bad: true, remedy: wrong.remedy });
    toast(told(), { undo });
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}

/** Send a file as it is. Throws ApiError. */
export function sendFile(path, file) {
  return store.put(`${path}?name=${encodeURIComponent(file.name)}`, file);
}

// importing

export const LISTS = [".csv", ".txt", ".tsv"];

/** Lists of terms, each merged into the box. */
export async function importFiles(files) {
  for (const file of files) {
    try {
      const { terms, count } = await sendFile("/api/terms/import", file);
      await addTerms(terms, (added) => (added === count ? say("termsdesk.imported", { count }) : say("termsdesk.imported_some", { count, added })));
    } catch (error) {
      toastError(error);
    }
  }
}
