// Files on their way to the server, one after the other. In: File objects. Out: items with progress, a job for each.

import { say } from "./say.js";
import { store } from "./store.js";

/** Items: {id, file, name, size, sent, state: waiting | sending | reading | failed, error: {message, remedy}|null}. */
class Uploads extends EventTarget {
  constructor() {
    super();
    this.items = [];
    this.count = 0;
    this.running = null;
    store.addEventListener("wiped", () => this.clear());
    window.addEventListener("beforeunload", (event) => {
      if (this.items.some((item) => item.state !== "failed")) event.preventDefault();
    });
  }

  tell(name = "change", detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  add(files) {
    const first = !this.items.length;
    for (const file of files) {
      const item = { id: (this.count += 1), file, name: file.name, size: file.size, sent: 0, state: "waiting", error: null };
      // the first of a handful is shown, the others do not pull the reader away from it
      item.show = first && file === files[0];
      if (!file.size) Object.assign(item, { state: "failed", error: { message: say("desk.file_empty"), remedy: say("desk.file_empty_remedy") } });
      this.items.push(item);
    }
    this.tell();
    this.next();
  }

  next() {
    if (this.running) return;
    const item = this.items.find((waiting) => waiting.state === "waiting");
    if (!item) return;
    this.running = item;
    this.send(item);
  }

  send(item) {
    const request = new XMLHttpRequest(); // fetch has no progress of what is sent
    const language = store.state?.settings.language ?? "auto";
    request.open("PUT", `/api/uploads?name=${encodeURIComponent(item.name)}&language=${encodeURIComponent(language)}`);
    request.setRequestHeader("X-Jiyao-Language", store.language);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => this.advance(item, event.loaded);
    request.upload.onload = () => {
      item.state = "reading";
      this.advance(item, item.size);
    };
    request.onload = () => this.finish(item, request);
    request.onerror = () => this.fail(item, { message: say("desk.upload_broken"), remedy: say("desk.upload_broken_remedy") });
    request.onabort = () => this.leave(item);
    Object.assign(item, { state: "sending", sent: 0, error: null, request });
    request.send(item.file);
    this.tell();
  }

  advance(item, sent) {
    item.sent = Math.min(sent, item.size);
    this.tell("progress", item);
  }

  finish(item, request) {
    const answer = parse(request.responseText);
    if (request.status !== 201) {
      const fallback = { message: say("desk.refused", { status: request.status }), remedy: say("desk.upload_broken_remedy") };
      this.fail(item, answer?.error ?? fallback);
      return;
    }
    this.leave(item);
    this.tell("sent", { item, job: answer.job });
  }

  fail(item, error) {
    Object.assign(item, { state: "failed", error, request: null });
    this.running = null;
    this.tell();
    this.next();
  }

  leave(item) {
    this.items = this.items.filter((other) => other !== item);
    if (this.running === item) this.running = null;
    this.tell();
    this.next();
  }

  /** Stop it, or take a failed one off the list. */
  cancel(item) {
    if (item.request) item.request.abort();
    else this.leave(item);
  }

  retry(item) {
    Object.assign(item, { state: "waiting", sent: 0, error: null });
    this.tell();
    this.next();
  }

  clear() {
    const items = this.items;
    this.items = [];
    for (const item of items) item.request?.abort();
    this.running = null;
    this.tell();
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const uploads = new Uploads();
