// The waveform on a canvas. In: peaks, parts, clips, lines. Out: a picture; where a pointer is, in ms.
//
// Drawn in two layers when something changes (what is played in the accent, the rest), so that a frame while playing
// is two copies and a line: the processor belongs to the recognition.

const BAR = 2; // CSS px, and as much as half of it between two bars
const STEP = 3;
const LANE = 4; // speakers, under the wave
const MARKS = 7; // flagged spots, under the lane
const QUIETEST = 64; // of 255: a whisper fills the height, noise does not
const TICK_ROOM = 12; // px that two part boundaries need between them to be worth drawing
const COLOURS = {
  bar: "--jy-text-2",
  pale: "--jy-line",
  played: "--jy-accent",
  tick: "--jy-line-strong",
  head: "--jy-text",
  flag: "--jy-warn",
};
const SYSTEM = { bar: "CanvasText", pale: "GrayText", played: "Highlight", tick: "CanvasText", head: "CanvasText", flag: "CanvasText" };
export const SPEAKER_COLOURS = 8;

/** What there is to draw. `heard`: [start, end] in ms that is recognised, null: all of it. */
const EMPTY = { peaks: new Uint8Array(0), durationMs: 0, parts: [], heard: null, speakers: [], flags: [] };

export class Waveform {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.rest = document.createElement("canvas");
    this.played = document.createElement("canvas");
    this.data = EMPTY;
    this.ms = 0;
    this.awaiting = 0;
    this.ends = new AbortController();
    this.watch();
  }

  watch() {
    this.sizes = new ResizeObserver(() => this.repaint());
    this.sizes.observe(this.canvas);
    // a theme is a media query, or an attribute of the page or of the desk
    this.themes = new MutationObserver(() => this.repaint());
    const attributes = { attributes: true, attributeFilter: ["data-theme", "class", "style"] };
    this.themes.observe(document.documentElement, attributes);
    const desk = this.canvas.closest("jiyao-desk");
    if (desk) this.themes.observe(desk, attributes);
    const { signal } = this.ends;
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(resolution: 1dppx)"]) {
      matchMedia(query).addEventListener("change", () => this.repaint(), { signal });
    }
  }

  /** Draw these from the next frame on; what is not given stays. */
  set(changes) {
    this.data = { ...this.data, ...changes };
    this.repaint();
  }

  /** Nothing of a recording stays in the canvas. */
  clear() {
    cancelAnimationFrame(this.awaiting);
    this.awaiting = 0;
    this.data = EMPTY;
    this.ms = 0;
    for (const canvas of [this.canvas, this.rest, this.played]) canvas.width = canvas.height = 0;
  }

  close() {
    this.clear();
    this.sizes.disconnect();
    this.themes.disconnect();
    this.ends.abort();
  }

  repaint() {
    if (this.awaiting || !this.data.durationMs) return;
    this.awaiting = requestAnimationFrame(() => {
      this.awaiting = 0;
      this.measure();
      this.paint(this.rest, false);
      this.paint(this.played, true);
      this.show(this.ms);
    });
  }

  measure() {
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.scale = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.rest, this.played]) {
      canvas.width = Math.round(this.width * this.scale);
      canvas.height = Math.round(this.height * this.scale);
    }
    const style = getComputedStyle(this.canvas);
    const plain = matchMedia("(forced-colors: active)").matches;
    this.colours = Object.fromEntries(
      Object.entries(COLOURS).map(([use, token]) => [use, plain ? SYSTEM[use] : style.getPropertyValue(token).trim()]),
    );
    this.speakers = Array.from({ length: SPEAKER_COLOURS }, (_, i) =>
      plain ? "CanvasText" : style.getPropertyValue(`--jy-speaker-${i + 1}`).trim(),
    );
  }

  x(ms) {
    return (ms / this.data.durationMs) * this.width;
  }

  /** The time under a pointer. */
  at(clientX) {
    const box = this.canvas.getBoundingClientRect();
    const share = box.width ? (clientX - box.left) / box.width : 0;
    return Math.max(0, Math.min(1, share)) * this.data.durationMs;
  }

  paint(canvas, played) {
    const context = canvas.getContext("2d");
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const lane = this.data.speakers.length ? LANE : 0;
    const wave = this.height - MARKS - lane - (lane ? 2 : 0);
    this.paintBars(context, wave, played);
    this.paintTicks(context, wave);
    this.data.speakers.forEach(([start, end, speaker]) => {
      context.fillStyle = this.speakers[speaker % SPEAKER_COLOURS];
      context.fillRect(this.x(start), wave + 2, Math.max(1, this.x(end) - this.x(start)), lane);
    });
    context.fillStyle = this.colours.flag;
    this.data.flags.forEach((ms) => this.paintFlag(context, this.x(ms)));
  }

  paintBars(context, wave, played) {
    const { peaks, durationMs } = this.data;
    const count = Math.floor(this.width / STEP);
    const loudestOfAll = peaks.reduce((most, peak) => Math.max(most, peak), QUIETEST);
    let next = 0;
    for (let i = 0; i < count; i++) {
      const from = Math.floor((i * peaks.length) / count);
      const to = Math.max(from + 1, Math.floor(((i + 1) * peaks.length) / count));
      let loudest = 0;
      for (let k = from; k < to && k < peaks.length; k++) loudest = Math.max(loudest, peaks[k]);
      const ms = ((i + 0.5) / count) * durationMs;
      while (this.data.heard && next < this.data.heard.length && this.data.heard[next][1] <= ms) next++;
      const heard = !this.data.heard || (next < this.data.heard.length && this.data.heard[next][0] <= ms);
      context.fillStyle = heard ? (played ? this.colours.played : this.colours.bar) : this.colours.pale;
      if (played && !heard) context.fillStyle = this.colours.tick;
      const height = Math.max(1, (loudest / loudestOfAll) * (wave - 4));
      context.fillRect(i * STEP, (wave - height) / 2, BAR, height);
    }
  }

  paintTicks(context, wave) {
    context.fillStyle = this.colours.tick;
    let last = 0;
    for (const part of this.data.parts.slice(1)) {
      const x = Math.round(this.x(part.start_ms));
      if (x - last < TICK_ROOM) continue;
      context.fillRect(x, 0, 1, 5);
      context.fillRect(x, wave - 5, 1, 5);
      last = x;
    }
  }

  paintFlag(context, x) {
    const top = this.height - MARKS + 1;
    context.beginPath();
    context.moveTo(x, top);
    context.lineTo(x + 3.5, top + 5.5);
    context.lineTo(x - 3.5, top + 5.5);
    context.fill();
  }

  /** The picture with what is played until `ms`. */
  show(ms) {
    this.ms = ms;
    if (this.awaiting || !this.data.durationMs || !this.rest.width) return;
    const { context, canvas } = this;
    const cut = Math.round(Math.min(1, ms / this.data.durationMs) * canvas.width);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (cut > 0) context.drawImage(this.played, 0, 0, cut, canvas.height, 0, 0, cut, canvas.height);
    const left = canvas.width - cut;
    if (left > 0) context.drawImage(this.rest, cut, 0, left, canvas.height, cut, 0, left, canvas.height);
    context.fillStyle = this.colours.head;
    const line = Math.max(1, Math.round(1.5 * this.scale));
    context.fillRect(Math.min(cut, canvas.width - line), 0, line, canvas.height);
  }
}

/** Which stretch is recognised: each clip with the silence before it, the last with what follows; null: all. */
export function heardOf(clips, durationMs) {
  const heard = [];
  clips.forEach((clip, i) => {
    if (clip.shown === null && !clip.skipped) return;
    const start = i ? clips[i - 1].end_ms : 0;
    const end = i === clips.length - 1 ? durationMs : clip.end_ms;
    const last = heard.at(-1);
    if (last && last[1] >= start) last[1] = end;
    else heard.push([start, end]);
  });
  return heard.length === 1 && heard[0][0] === 0 && heard[0][1] >= durationMs ? null : heard;
}

/** Who speaks when, as [start, end, number of the speaker in the order of first words]. */
export function speakersOf(lines) {
  const numbers = new Map();
  return lines
    .filter((line) => line.speaker)
    .map((line) => {
      if (!numbers.has(line.speaker)) numbers.set(line.speaker, numbers.size);
      return [line.start_ms, line.end_ms, numbers.get(line.speaker)];
    });
}
