// The microphone. In: which device. Out: events "pcm" {samples, peak}, "lost", "muted" {on}, "stalled" {on}.
//
// The browser's cleaning is off: echo cancellation and noise suppression are made for calls, and recognition suffers.

import { RATE } from "./outbox.js";

const SOUND = { channelCount: { ideal: 1 }, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const PROBLEMS = {
  NotAllowedError: "blocked",
  SecurityError: "blocked",
  NotFoundError: "missing",
  DevicesNotFoundError: "missing",
  NotReadableError: "busy",
  TrackStartError: "busy",
  AbortError: "busy",
};

/** `problem`: insecure, old, blocked, missing, busy, failed: the message table has a sentence and a remedy for each. */
export class MicrophoneError extends Error {
  constructor(problem, cause) {
    super(problem, { cause });
    this.problem = problem;
  }
}

export class Microphone extends EventTarget {
  #stream = null;
  #context = null;
  #node = null;
  #listening = false;
  #flushed = () => {};
  label = "";
  deviceId = "";

  /** Asks the person; throws MicrophoneError. It hears, but says nothing until `listen`. */
  async open(deviceId = "") {
    if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
    if (!window.AudioWorkletNode) throw new MicrophoneError("old");
    try {
      this.#stream = await askFor(deviceId);
      await this.#connect();
    } catch (error) {
      this.#release();
      throw error instanceof MicrophoneError ? error : new MicrophoneError(PROBLEMS[error.name] ?? "failed", error);
    }
  }

  async #connect() {
    const [track] = this.#stream.getAudioTracks();
    this.label = track.label;
    this.deviceId = track.getSettings().deviceId ?? "";
    track.addEventListener("ended", () => this.#tell("lost"));
    track.addEventListener("mute", () => this.#tell("muted", { on: true }));
    track.addEventListener("unmute", () => this.#tell("muted", { on: false }));
    let source;
    [this.#context, source] = contextFor(this.#stream);
    this.#context.addEventListener("statechange", () => this.#onState());
    await this.#context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url).href);
    this.#node = new AudioWorkletNode(this.#context, "jiyao-recorder", { numberOfInputs: 1, numberOfOutputs: 1 });
    this.#node.port.onmessage = ({ data }) => this.#hear(data);
    this.#node.addEventListener("processorerror", () => this.#tell("lost"));
    // silent, but some browsers run only what leads to the speakers
    source.connect(this.#node).connect(this.#context.destination);
    this.wake();
  }

  #hear(data) {
    if (data.flushed) this.#flushed();
    else this.#tell("pcm", { samples: new Int16Array(data.pcm), peak: data.peak });
  }

  #onState() {
    const state = this.#context?.state;
    if (state === "running") this.#tell("stalled", { on: false });
    else if (state && state !== "closed" && this.#listening) this.#tell("stalled", { on: true });
  }

  #tell(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** A context that the system stopped (a call, a closed lid) goes on, where the browser lets it. */
  wake() {
    if (this.#context && this.#context.state !== "running") this.#context.resume().catch(() => {});
  }

  listen(on) {
    this.#listening = on;
    this.#node?.port.postMessage(on ? "go" : "pause");
    if (on) this.wake();
  }

  /** The last samples come as "pcm" before this resolves; then the device is free. */
  async close() {
    if (this.#node && this.#context.state === "running") {
      await new Promise((resolve) => {
        this.#flushed = resolve;
        this.#node.port.postMessage("flush");
        setTimeout(resolve, 500); // an audio thread that has died cannot say so
      });
    }
    this.#release();
  }

  #release() {
    this.#listening = false;
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#node?.disconnect();
    this.#context?.close().catch(() => {});
    this.#stream = this.#node = this.#context = null;
  }
}

async function askFor(deviceId) {
  const ask = (audio) => navigator.mediaDevices.getUserMedia({ audio, video: false });
  if (!deviceId) return ask(SOUND);
  try {
    return await ask({ ...SOUND, deviceId: { exact: deviceId } });
  } catch (error) {
    if (error.name !== "OverconstrainedError" && error.name !== "NotFoundError") throw error;
    return ask(SOUND); // the one chosen last time is not plugged in today
  }
}

/** At 16 kHz the browser resamples; where it will not (Firefox with a microphone of 48 kHz), the worklet does. */
function contextFor(stream) {
  try {
    return contextAt(stream, { sampleRate: RATE, latencyHint: "playback" });
  } catch {
    return contextAt(stream, { latencyHint: "playback" });
  }
}

function contextAt(stream, options) {
  const context = new AudioContext(options); // "playback": larger blocks, fewer gaps while recognition takes the processor
  try {
    return [context, context.createMediaStreamSource(stream)];
  } catch (error) {
    context.close();
    throw error;
  }
}

/** The inputs there are, [{id, label}]; known only after the person has allowed one. */
export async function inputs() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  // "default" follows the system's choice; "communications" is a second name of a device that is listed anyway
  return devices
    .filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "communications")
    .map(({ deviceId, label }) => ({ id: deviceId, label }));
}
