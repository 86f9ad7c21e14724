// How lines form paragraphs, and what of a line counts where. In: lines in order. Out: rows. Pure: no DOM, no store.

// the exports cut paragraphs by the same rule (exports/reading.py)
const PAUSE_MS = 2000;
const LONG_WIDTH = 250;
const DOUBT = 0.5;

const SENTENCE_END = /[。！？!?；;…]+[”’"')\]）】」』]*$|[^\d.]\.[”’"')\]）]*$/;
const HAN = /[\u3005-\u3007\u3040-\u30ff\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ud800-\udfff]/;
const FULL_WIDTH = /[\u3001-\u3004\u3008-\u303f\uff01-\uff65“”‘’…—·]/;

const TOKEN_AT_END = /[A-Za-z0-9][\w.+#/&'’%-]*$/;
const TOKEN_AT_START = /^[A-Za-z0-9][\w.+#/&'’%-]*/;
const OPENING = "([{<“‘$#@";
const CLOSING = ")]}>”’,.;:?!%…";

/** Width in full-width characters, near enough to estimate heights. */
export function width(text) {
  let sum = 0;
  for (let i = 0; i < text.length; i += 1) sum += text.charCodeAt(i) > 0x2e7f ? 1 : 0.5;
  return sum;
}

/** Does a space stand between two lines of one paragraph? As `text.join` does it. */
export function wantsSpace(left, right) {
  const [before, after] = [left.at(-1), right[0]];
  if (!before || !after || /\s/.test(before) || /\s/.test(after)) return false;
  if (FULL_WIDTH.test(before) || FULL_WIDTH.test(after)) return false;
  const [han, hanAfter] = [HAN.test(before), HAN.test(after)];
  if (han && hanAfter) return false;
  if (han || hanAfter) return /[A-Za-z]/.test((han ? TOKEN_AT_START.exec(right) : TOKEN_AT_END.exec(left.slice(-64)))?.[0] ?? "");
  return !OPENING.includes(before) && !CLOSING.includes(after);
}

/** Lines in order to rows: {line, head, tag, gap, width, turn}; `head` opens a paragraph, `tag` shows its language. */
export function layOut(lines) {
  const rows = [];
  let [before, language, length, turn] = [null, null, 0, -1];
  for (const line of lines) {
    const size = width(line.text);
    const head = !before || opens(before, line, length);
    const tag = head && line.language !== null && line.language !== language;
    if (head) {
      turn += 1;
      length = 0;
      language = line.language ?? language;
    }
    length += size;
    rows.push({ line, head, tag, turn, width: size, gap: !head && wantsSpace(before.text, line.text) });
    before = line;
  }
  return rows;
}

function opens(before, line, length) {
  if (line.speaker !== before.speaker || line.start_ms - before.end_ms >= PAUSE_MS) return true;
  return length >= 2 * LONG_WIDTH || (length >= LONG_WIDTH && SENTENCE_END.test(before.text.trimEnd()));
}

/** Speakers in the order in which they first speak: their place chooses the colour. */
export function speakersOf(lines) {
  const found = new Map();
  for (const { speaker } of lines) {
    if (speaker !== null && speaker !== undefined) found.set(speaker, (found.get(speaker) ?? 0) + 1);
  }
  return found;
}

/** Why this line should be listened to again: flags, else "low" for little confidence; empty: no reason. */
export function doubts(line) {
  if (line.flags.length) return line.flags;
  return line.confidence !== null && line.confidence < DOUBT && !line.edited && !line.checked ? ["low"] : [];
}

/** The last index in 0…count-1 whose `start(index)` is not after `ms`; -1 where all are. */
export function lastAt(count, start, ms) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start(middle) <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The time of the character at `offset` (UTF-16 units) of a line: of its word, else shared out by length. */
export function timeOf(line, offset) {
  const { words, text } = line;
  const index = lastAt(words.length, (i) => words[i][0], offset);
  if (index >= 0 && offset < words[index][1]) return words[index][2];
  if (words.length) return index + 1 < words.length ? words[index + 1][2] : words[index][2];
  return Math.round(line.start_ms + ((line.end_ms - line.start_ms) * offset) / Math.max(1, text.length));
}

/** The word that is heard at `ms`, as [from, to] in the text; null between words and where there are none. */
export function wordAt(line, ms) {
  const { words } = line;
  const index = lastAt(words.length, (i) => words[i][2], ms);
  if (index < 0 || ms >= words[index][3] + 250) return null;
  return [words[index][0], Math.min(words[index][1], line.text.length)];
}
