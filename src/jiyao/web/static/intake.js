// The way in: drop zone, chooser, recorder, what is being sent. In: files. Out: uploads; the whole page takes a drop.

import { el, put, View } from "./dom.js";
import { DOCUMENTS, isDocument, openExtract } from "./extract.js";
import { bytes } from "./format.js";
import { icon } from "./icons.js";
import { say } from "./say.js";
import { store } from "./store.js";
import { importFiles } from "./terms.js";
import { uploads } from "./uploads.js";

const SUFFIXES = ".aac,.aif,.aiff,.amr,.ape,.flac,.m4a,.m4b,.mka,.mkv,.mov,.mp3,.mp4,.mpga,.oga,.ogg,.opus,.wav,.weba,.webm,.wma,.wmv,.3gp,.avi,.ts";
const PROMISES = ["local", "memory", "wipe"];

class Intake extends View {
  connected() {
    this.recorder = el("jiyao-recorder");
    this.file = el("input", { type: "file", multiple: true, accept: `audio/*,video/*,${SUFFIXES},${DOCUMENTS}`, tabindex: -1, "aria-hidden": "true", hidden: true });
    this.on(this.file, "change", () => {
      const files = [...this.file.files];
      this.file.value = ""; // the same file can be chosen again, and the page lets go of it
      this.take(files);
    });
    this.over = el("div.jy-drop-over", { hidden: true, "aria-hidden": "true" });
    this.catchDrops();
    this.on(store, "jobs online", () => this.place());
    this.on(store, "wiped selected setup", () => this.place());
    this.on(uploads, "change", () => this.showRows());
    this.on(uploads, "progress", (event) => this.advance(event.detail));
    this.on(uploads, "sent", ({ detail }) => this.sent(detail));
  }

  build() {
    const choose = (big) =>
      el(big ? "button.jy-button.primary.big" : "button.jy-button", { type: "button", onclick: () => this.file.click() },
        icon(big ? "file" : "plus"), say(big ? "desk.choose" : "desk.add"));
    this.choosers = { big: choose(true), small: choose(false) };
    this.over.replaceChildren(el("div", null, icon("upload"), say("desk.drop_here")));
    this.zone = el("div.jy-zone");
    this.rows = el("ul.jy-uploads", { "aria-label": say("desk.uploads") });
    this.replaceChildren(this.zone, this.rows, this.file, this.over);
    this.look = null;
    this.views = new Map();
    this.place();
    this.showRows();
  }

  /** Large and calm on an empty desk, one row once there is something to read. */
  place() {
    const empty = !store.jobs.size;
    this.hidden = Boolean(store.wiped) || store.wiping || !store.online || Boolean((store.state?.setup.needed || store.state?.setup.checking) && empty);
    const look = empty ? "big" : "small";
    if (look === this.look) return;
    this.look = look;
    this.zone.className = `jy-zone ${look}`;
    const chooser = this.choosers[look];
    if (look === "small") {
      this.zone.replaceChildren(el("div.jy-row", null, chooser, this.recorder, el("p.jy-muted.jy-drop-hint", null, say("desk.drop_anywhere"))));
      return;
    }
    this.zone.replaceChildren(
      el("div.jy-zone-card", null,
        el("div.jy-zone-mark", null, icon("upload")),
        el("h2", null, say("desk.drop_title")),
        el("p.jy-muted", null, say("desk.drop_kinds")),
        el("p.jy-muted.jy-small", null, say("termsdesk.drop_documents")),
        el("div.jy-row.jy-zone-actions", null, chooser, this.recorder)),
      el("ul.jy-promises", null, PROMISES.map((name) =>
        el("li", null, icon({ local: "cloud_off", memory: "disk_off", wipe: "broom" }[name]),
          el("div", null, el("h3", null, say(`desk.promise_${name}`)), el("p.jy-muted", null, say(`desk.promise_${name}_why`)))))),
    );
  }

  /** Recordings are heard; documents and lists hold terms for them. */
  take(files) {
    const documents = files.filter((file) => isDocument(file.name));
    const lists = files.filter((file) => file.name.toLowerCase().endsWith(".csv"));
    const recordings = files.filter((file) => !documents.includes(file) && !lists.includes(file));
    if (recordings.length) uploads.add(recordings);
    if (documents.length) openExtract(documents);
    if (lists.length) importFiles(lists);
  }

  sent({ item, job }) {
    if (item.show || !store.selected) store.select(job);
  }

  // what is being sent

  showRows() {
    this.rows.hidden = !uploads.items.length;
    for (const [item, { row }] of this.views) {
      if (uploads.items.includes(item)) continue;
      if (row.contains(document.activeElement)) this.choosers[this.look].focus();
      row.remove();
      this.views.delete(item);
    }
    for (const item of uploads.items) {
      const old = this.views.get(item);
      if (old?.failed === (item.state === "failed")) continue; // what is under the pointer stays
      const row = this.row(item);
      if (old) old.row.replaceWith(row);
      else this.rows.append(row);
    }
  }

  row(item) {
    const failed = item.state === "failed";
    const bar = el("div");
    const track = el("div.jy-bar-track", { role: "progressbar", "aria-label": item.name, "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
    const state = el("span.jy-muted.jy-small.jy-num");
    const button = (text, name, run) => el("button.jy-icon-button", { type: "button", "aria-label": text, title: text, onclick: run }, icon(name));
    const named = { name: item.name };
    const row = el(failed ? "li.bad" : "li", null,
      el("div.jy-upload-head", null, icon(failed ? "warning" : "file"), el("span.jy-upload-name", { title: item.name }, item.name), state,
        failed && item.size ? button(say("desk.retry_upload", named), "retry", () => uploads.retry(item)) : null,
        button(failed ? say("desk.dismiss_upload", named) : say("desk.stop_upload", named), "close", () => uploads.cancel(item))),
      failed
        ? el("p.jy-small", { role: "alert" }, el("strong", null, item.error.message), " ", item.error.remedy)
        : track);
    this.views.set(item, { row, bar, track, state, failed });
    this.advance(item);
    return row;
  }

  advance(item) {
    const view = this.views.get(item);
    if (!view) return;
    const share = item.size ? Math.floor((item.sent / item.size) * 100) : 0;
    view.bar.style.width = `${share}%`;
    view.track.setAttribute("aria-valuenow", share);
    view.track.classList.toggle("wandering", item.state === "reading");
    put(view.state, {
      waiting: () => say("desk.upload_waiting", { size: bytes(item.size) }),
      sending: () => say("desk.upload_sending", { done: bytes(item.sent), total: bytes(item.size) }),
      reading: () => say("desk.upload_reading"),
      failed: () => "",
    }[item.state]());
  }

  // the whole page takes a drop

  catchDrops() {
    const files = (event) => event.dataTransfer?.types.includes("Files") && !this.hidden;
    this.on(window, "dragenter", (event) => {
      if (files(event)) this.over.hidden = false;
    });
    this.on(window, "dragover", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    });
    this.on(window, "dragleave", (event) => {
      if (!event.relatedTarget) this.over.hidden = true;
    });
    this.on(window, "drop", (event) => {
      this.over.hidden = true;
      // even where it is not wanted: the browser would leave this page and open the recording
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
      if (files(event)) this.take(dropped(event.dataTransfer));
    });
  }
}

/** Files of a drop; folders have no bytes of their own and are left out. */
function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const whole = items.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory);
  return whole.map((item) => item.getAsFile()).filter(Boolean);
}

customElements.define("jiyao-intake", Intake);
