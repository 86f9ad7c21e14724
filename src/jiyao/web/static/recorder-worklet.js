/* The microphone's samples as 16 kHz, mono, 16 bit, on the audio thread.

In:  blocks of float samples at the context's rate, 1 or 2 channels; "go", "pause", "flush" by message.
Out: messages {pcm: ArrayBuffer of int16, peak: 0…1} of a tenth of a second; {flushed: true} after a flush.

Most browsers give a context of 16 kHz and resample themselves. Where they do not (Firefox refuses a microphone of
another rate than the context's), this does it: a polyphase filter of windowed sincs. For a rate f and 16 kHz = f·L/M in
lowest terms there are L filters, one for each position of an output sample between two input samples. Each is a sinc
of 64 zero crossings under a Kaiser window of 80 dB: flat to 6.7 kHz, and what would fold back from above 8 kHz is
80 dB down. At 48 kHz that is 192 multiplications a sample, 3 million a second: nothing. */

const RATE = 16000;
const BLOCK = RATE / 10;
const HALF_CROSSINGS = 32; // of the sinc, on each side
const BETA = 7.857; // Kaiser's for 80 dB: 0.1102 (80 - 8.7)
const ATTENUATION = 80;

/** The modified Bessel function of the first kind, order 0: its series, to double precision for the BETA used here. */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > sum * 1e-16; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function divisor(a, b) {
  return b === 0 ? a : divisor(b, a % b);
}

/** Resamples a stream, piece by piece. The first output sample lies on the first input sample: nothing is shifted. */
export class Resampler {
  constructor(from, to = RATE) {
    const common = divisor(from, to);
    this.phases = to / common; // L
    this.stride = from / common; // M
    const lower = Math.min(from, to);
    this.half = Math.ceil((HALF_CROSSINGS * from) / lower);
    this.taps = 2 * this.half;
    // Kaiser: width of the slope, in cycles an input sample; the slope ends where folding begins
    const slope = (ATTENUATION - 8) / (2.285 * 2 * Math.PI * this.taps);
    this.cutoff = lower / from / 2 - slope / 2;
    this.filters = Array.from({ length: this.phases }, (_, phase) => this.filter(phase / this.phases));
    this.restart();
  }

  filter(shift) {
    const taps = new Float32Array(this.taps);
    let sum = 0;
    for (let k = 0; k < this.taps; k++) {
      const at = k - (this.half - 1) - shift; // distance from the output sample, in input samples
      const inside = Math.max(0, 1 - (at / this.half) ** 2);
      const angle = 2 * Math.PI * this.cutoff * at;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      taps[k] = sinc * (bessel(BETA * Math.sqrt(inside)) / bessel(BETA));
      sum += taps[k];
    }
    return taps.map((tap) => tap / sum); // every phase passes a constant unchanged
  }

  restart() {
    this.line = new Float32Array(this.taps + 4096);
    this.filled = this.half - 1; // silence before the first sample
    this.start = 0; // where the next output sample's filter begins in the line
    this.phase = 0;
  }

  /** What can be said after these samples; the last 2 ms wait for more. */
  push(input) {
    if (this.filled + input.length > this.line.length) this.compact(input.length);
    this.line.set(input, this.filled);
    this.filled += input.length;
    const output = [];
    while (this.start + this.taps <= this.filled) {
      const filter = this.filters[this.phase];
      let sum = 0;
      for (let k = 0; k < this.taps; k++) sum += filter[k] * this.line[this.start + k];
      output.push(sum);
      const next = this.phase + this.stride;
      this.start += Math.floor(next / this.phases);
      this.phase = next % this.phases;
    }
    return output;
  }

  compact(needed) {
    const kept = this.line.slice(Math.min(this.start, this.filled), this.filled);
    const line = new Float32Array(Math.max(this.line.length, kept.length + needed));
    line.set(kept);
    this.start -= this.filled - kept.length;
    this.filled = kept.length;
    this.line = line;
  }

  /** The samples that still waited; afterwards the stream begins anew. */
  drain() {
    const output = this.push(new Float32Array(this.half));
    this.restart();
    return output;
  }
}

/** Collects samples as int16 and hands them on in blocks with their loudest. */
export class Blocks {
  constructor(emit) {
    this.emit = emit;
    this.restart();
  }

  restart() {
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
    this.peak = 0;
  }

  push(samples) {
    for (const sample of samples) {
      const loud = Math.abs(sample);
      if (loud > this.peak) this.peak = loud;
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.filled === BLOCK) this.flush();
    }
  }

  flush() {
    if (this.filled) this.emit(this.block.slice(0, this.filled), Math.min(1, this.peak));
    this.restart();
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

function register() {
  class Recorder extends AudioWorkletProcessor {
    constructor() {
      super();
      this.listening = false;
      this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate);
      this.blocks = new Blocks((pcm, peak) => this.port.postMessage({ pcm: pcm.buffer, peak }, [pcm.buffer]));
      this.port.onmessage = ({ data }) => this.order(data);
    }

    order(word) {
      if (word === "go") this.listening = true;
      else this.listening = false;
      if (word !== "flush" && word !== "pause") return;
      if (this.resampler) this.blocks.push(this.resampler.drain());
      this.blocks.flush();
      if (word === "flush") this.port.postMessage({ flushed: true });
    }

    process([channels]) {
      if (this.listening && channels.length) {
        const samples = mono(channels);
        this.blocks.push(this.resampler ? this.resampler.push(samples) : samples);
      }
      return true;
    }
  }
  registerProcessor("jiyao-recorder", Recorder);
}

if (typeof registerProcessor === "function") register();
