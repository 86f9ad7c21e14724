// The stream of events from the server. In: /api/events after a number. Out: calls, in order; silence is noticed.

const NAMES = [
  "state", "progress", "lines", "clip", "skipped", "taken_over", "telling_apart", "notes", "engine", "trouble", "restarted", "queue",
  "removed", "job", "listened", "wiping", "wiped", "settings", "setup", "keep", "recording", "host", "reset",
];
const QUIET_MS = 30_000; // the server says something every 5 s; a laptop that slept has a dead stream that looks alive

export class EventFeed {
  /** `heard(type, data, seq|null)` for each event; `lost()` once when the stream breaks or falls silent. */
  constructor(heard, lost) {
    this.heard = heard;
    this.lost = lost;
    this.source = null;
    this.quiet = 0;
  }

  /** `language`: an EventSource sends no headers of ours. */
  open(after, language) {
    this.close();
    const source = new EventSource(`/api/events?after=${after}&lang=${language}`);
    this.source = source;
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        if (source !== this.source) return;
        this.watch();
        const seq = name === "host" || event.lastEventId === "" ? null : Number(event.lastEventId);
        this.heard(name, event.data ? JSON.parse(event.data) : {}, seq);
      });
    }
    source.onopen = () => this.watch();
    // whether the server is there is asked by the store: the browser's own retry cannot tell a new server from the old
    source.onerror = () => source === this.source && this.fail();
    this.watch();
  }

  watch() {
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.fail(), QUIET_MS);
  }

  fail() {
    this.close();
    this.lost();
  }

  close() {
    clearTimeout(this.quiet);
    this.source?.close();
    this.source = null;
  }
}
