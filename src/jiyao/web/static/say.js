// Every sentence a person reads. In: a key of the message table and its parameters. Out: the sentence in their language.

let sentences = { zh: {}, en: {} };
let spoken = "zh";
const listeners = new Set();

/** The sentence for `key`, its {marks} filled in; a key that is missing shows itself, so that it gets noticed. */
export function say(key, parameters = {}) {
  const sentence = sentences[spoken][key];
  if (sentence === undefined) {
    console.warn(`no sentence for ${key}`);
    return key;
  }
  return sentence.replace(/\{(\w+)\}/g, (mark, name) => (name in parameters ? String(parameters[name]) : mark));
}

export function hasSentence(key) {
  return sentences[spoken][key] !== undefined;
}

export function language() {
  return spoken;
}

/** Both languages at once: changing it later needs no server. */
export async function loadMessages() {
  const answer = await fetch("/api/messages", { cache: "no-store" });
  if (!answer.ok) throw new Error(`messages: ${answer.status}`);
  sentences = await answer.json();
}

export function setLanguage(wanted) {
  const next = wanted === "en" ? "en" : "zh";
  if (next === spoken) return;
  spoken = next;
  for (const listener of [...listeners]) listener(spoken);
}

/** Call `listener` after each change; returns what ends that. */
export function onLanguage(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
