"""What cleaning does to recognition: character error rate per kind of recording, each way against none in the same run.

    python -m bench.cleaning FOLDER... [--engine whisper-base] [--seconds 80] [--kinds clean,quiet] [--show]

FOLDER holds recordings and INDEX.tsv with the columns file, transcript, reference_quality (only rows whose quality
begins with "published" count); or recordings with a `<stem>.json` of turns beside them, of which the first `--seconds`
are taken. Noisy, telephone and quiet versions are made of the clean Mandarin and English ones of INDEX.tsv: white and
pink noise and a babble of the others, in turn; 8 kHz mu-law; 30 and 40 dB less. The noise is the same in every run.

Ways: `denoise` hears and cuts the denoised recording; `vad` cuts there, but hears the original; `vad both` cuts where
either of the two has speech, and hears the original: what jiyao does; `loudness` is EBU R128's gain; `both` is
loudness, then `vad both`. In brackets: the ratio to none. Then what cleaning itself costs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.scoring import characters, edit_distance
from jiyao import cleaning, engines, guards, segmentation, settings, weights
from jiyao.audio import decode
from jiyao.recognition import Clip, Engine, Hints
from jiyao.segmentation import Cutting, SpeechDetector
from jiyao.text import join
from jiyao.timeline import SAMPLE_RATE, Pcm, to_samples

Signal = npt.NDArray[np.float64]
Heard = tuple[Pcm, tuple[Pcm, ...]]  # what the engine hears; what the VAD hears, the highest probability counting
Way = Callable[[Pcm], Heard]

_NAMED = {  # parts of a file's name -> its kind; the first that fits
    "far-field": ("_far_", "_rvb", "_ac"),
    "noisy": ("noise", "noisy", "_door"),
    "telephone": ("8k", "g712"),
}
_SNR_DB = (10, 5, 0)
_LESS_DB = (30, 40)
_MU = 255


@dataclass(frozen=True)
class Row:
    name: str
    kind: str
    pcm: Pcm
    reference: str
    plain: bool = False  # noisy, narrow and quiet versions are made of it


@dataclass
class Tally:
    """Of one way over one kind. `worse`: files that have more errors than with none."""

    errors: int = 0
    characters: int = 0
    worse: list[str] = field(default_factory=list)

    @property
    def cer(self) -> float:
        return 100 * self.errors / max(1, self.characters)


# the recordings


def rows_of(folder: Path, seconds: float) -> Iterator[Row]:
    with (folder / "INDEX.tsv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for line in table:
        path = folder / line["file"]
        if "transcript" in line:
            if line["reference_quality"].startswith("published"):
                kind, plain = kind_of(path.name), line["language"] in ("zh", "en")
                yield Row(path.name, kind, decode(path.read_bytes()).pcm, line["transcript"], plain and kind == "clean")
        elif path.with_suffix(".json").is_file():
            turns = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["turns"]
            taken = [turn for turn in turns if turn["end_ms"] <= seconds * 1000]
            following = [turn["start_ms"] for turn in turns[len(taken) :]]
            end_ms = (taken[-1]["end_ms"] + following[0]) // 2 if following else None
            pcm = decode(path.read_bytes()).pcm[: end_ms and end_ms * SAMPLE_RATE // 1000]
            yield Row(path.name, kind_of(path.name), pcm, "".join(turn["text"] for turn in taken))


def kind_of(name: str) -> str:
    return next((kind for kind, parts in _NAMED.items() if any(part in name for part in parts)), "clean")


def made_of(clean: Sequence[Row]) -> Iterator[Row]:
    """Noisy, telephone and quiet versions of clean recordings."""
    for index, row in enumerate(clean):
        sound, name = ("white", "pink", "babble")[index % 3], row.name
        noise = noise_of(sound, len(row.pcm), index, [other.pcm for other in clean if other is not row])
        for snr_db in _SNR_DB:
            yield Row(f"{name} + {sound}", f"noise {snr_db} dB", mixed(row.pcm, noise, snr_db), row.reference)
        yield Row(f"{name} by telephone", "telephone", by_telephone(row.pcm), row.reference)
        for less_db in _LESS_DB:
            quiet = _to_pcm(row.pcm.astype(np.float64) * 10 ** (-less_db / 20))
            yield Row(f"{name} - {less_db} dB", f"quiet -{less_db} dB", quiet, row.reference)


def noise_of(sound: str, n: int, seed: int, others: Sequence[Pcm]) -> Signal:
    random = np.random.default_rng(seed)
    if sound == "babble":
        chosen = [others[i] for i in random.permutation(len(others))[:6]]
        voices = [np.resize(np.roll(pcm, random.integers(len(pcm))), n).astype(np.float64) for pcm in chosen]
        return sum((voice / np.sqrt(np.mean(voice**2) + 1) for voice in voices), np.zeros(n))
    white = random.standard_normal(n)
    if sound == "white":
        return white
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    pink: Signal = np.fft.irfft(spectrum, n)
    return pink


def mixed(pcm: Pcm, noise: Signal, snr_db: float) -> Pcm:
    """The voice's level is that of its louder parts: pauses must not make the noise softer."""
    voice = pcm.astype(np.float64)
    frames = np.sort(np.mean(voice[: len(voice) // 400 * 400].reshape(-1, 400) ** 2, axis=1))
    power = float(np.mean(frames[len(frames) // 2 :]))
    sum_of = voice + noise * np.sqrt(power / np.mean(noise**2) / 10 ** (snr_db / 10))
    fits = min(1.0, 32000 / float(np.abs(sum_of).max()))
    return _to_pcm(sum_of * fits)


def by_telephone(pcm: Pcm) -> Pcm:
    """300 to 3400 Hz and mu-law's 8 bits, as a telephone exchange keeps them (G.711)."""
    spectrum = np.fft.rfft(pcm.astype(np.float64))
    hertz = np.arange(len(spectrum)) * SAMPLE_RATE / len(pcm)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(pcm)) / 32768, -1, 1)[::2]
    coded = np.rint(127 * np.sign(narrow) * np.log1p(_MU * np.abs(narrow)) / np.log1p(_MU)) / 127
    line = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(_MU)) / _MU
    doubled = np.zeros(len(pcm))
    doubled[::2] = line
    spectrum = np.fft.rfft(doubled)
    spectrum[np.arange(len(spectrum)) * SAMPLE_RATE / len(pcm) > 3800] = 0
    return _to_pcm(np.fft.irfft(spectrum, len(pcm)) * 2 * 32768)


def _to_pcm(signal: Signal) -> Pcm:
    pcm: Pcm = np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
    return pcm


# the ways


def louder(pcm: Pcm) -> Pcm:
    copy = pcm.copy()
    cleaning.amplify(copy, cleaning.gain_for(cleaning.measure(copy)))
    return copy


def denoiser(model: Path) -> Callable[[Pcm], Pcm]:
    def denoised(pcm: Pcm) -> Pcm:
        return np.concatenate(list(network.pieces(pcm)))

    network = cleaning.Denoiser(model)
    return denoised


def ways_of(denoised: Callable[[Pcm], Pcm]) -> dict[str, Way]:
    def both(pcm: Pcm) -> Heard:
        loud = louder(pcm)
        return loud, (loud, denoised(loud))

    def alone(pcm: Pcm) -> Heard:
        return pcm, (pcm,)

    return {
        "none": alone,
        "denoise": lambda pcm: alone(denoised(pcm)),
        "vad": lambda pcm: (pcm, (denoised(pcm),)),
        "vad both": lambda pcm: (pcm, (pcm, denoised(pcm))),
        "loudness": lambda pcm: alone(louder(pcm)),
        "both": both,
    }


class Recogniser:
    """The program's own way from PCM to text: VAD, cuts, engine with guards. The same clips are not heard twice."""

    def __init__(self, engine: Engine, vad_model: Path) -> None:
        self._engine, self._vad_model = engine, vad_model
        self._known: dict[bytes, str] = {}

    def __call__(self, heard: Heard) -> str:
        pcm, for_vad = heard
        cutting = Cutting()
        probabilities = np.maximum.reduce([self._probabilities(each) for each in for_vad])
        speech = segmentation.speech_spans(probabilities, len(pcm), cutting)
        texts = []
        for part in segmentation.cut(pcm, speech, cutting):
            clips = [
                Clip(to_samples(pcm[span.start : span.end]), span, segmentation.inside(part.speech, span))
                for span in part.clips
            ]
            key = hashlib.sha256(b"".join(clip.samples.tobytes() for clip in clips)).digest()
            if key not in self._known:
                found = dict(guards.recognize(self._engine, clips, Hints()))
                self._known[key] = join(found[index].text for index in sorted(found))
            texts.append(self._known[key])
        return join(texts)

    def _probabilities(self, pcm: Pcm) -> segmentation.Probabilities:
        detector = SpeechDetector(self._vad_model)
        detector.feed(pcm)
        return detector.finish()


def measured(
    rows: Sequence[Row], ways: Mapping[str, Way], recognise: Recogniser, show: bool
) -> dict[str, dict[str, Tally]]:
    """kind -> way -> Tally; the first way is what the others are compared with."""
    tallies: dict[str, dict[str, Tally]] = defaultdict(lambda: {way: Tally() for way in ways})
    for row in rows:
        expected, least = characters(row.reference), -1
        for way, clean in ways.items():
            text = recognise(clean(row.pcm))
            errors = edit_distance(expected, characters(text))
            least = errors if least < 0 else least
            tally = tallies[row.kind][way]
            tally.errors += errors
            tally.characters += len(expected)
            if errors > least:
                tally.worse.append(f"{row.name} {least} > {errors}")
            if show:
                print(f"  {row.kind} | {row.name} | {way} | {errors}/{len(expected)} | {text}", flush=True)
    return tallies


def show_table(tallies: Mapping[str, Mapping[str, Tally]]) -> None:
    ways = list(next(iter(tallies.values())))
    print(f"{'CER %':<14}{'characters':>11}" + "".join(f"{way:>16}" for way in ways) + "   (ratio to none)")
    for kind, by_way in tallies.items():
        none = by_way[ways[0]]
        cells = "".join(
            f"{t.cer:>9.2f} ({t.cer / none.cer:.2f})" if none.cer else f"{t.cer:>16.2f}" for t in by_way.values()
        )
        print(f"{kind:<14}{none.characters:>11}{cells}")
    for way in ways[1:]:
        worse = [name for by_way in tallies.values() for name in by_way[way].worse]
        print(f"worse than none, {way}: {len(worse)} files; {'; '.join(worse[:8]) or 'none'}")


def show_cost(model: Path) -> None:
    """Seconds for an hour of recording, from five minutes of noise."""
    cores = settings.load().cores
    random = np.random.default_rng(0)
    pcm = (random.standard_normal(300 * SAMPLE_RATE) * 300).astype(np.int16)
    works: dict[str, Callable[[], object]] = {
        "denoise, one thread": lambda: list(cleaning.Denoiser(model).pieces(pcm)),
        f"denoise, {cores} threads": lambda: list(cleaning.Denoiser(model, cores).pieces(pcm)),
        "loudness, measured": lambda: cleaning.measure(pcm),
        "loudness, gain and limiter": lambda: cleaning.amplify(pcm.copy(), 29.0),
    }
    for name, work in works.items():
        began = time.perf_counter()
        work()
        print(f"{name}: {(time.perf_counter() - began) * 12:.1f} s an hour")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--engine", default="whisper-base")
    parser.add_argument("--seconds", type=float, default=80, help="of each made meeting")
    parser.add_argument("--kinds", help="only these, with commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    chosen = settings.load({"engine": arguments.engine, "threads": arguments.threads})
    model = weights.locate(cleaning.DENOISER, chosen.home) / weights.find_model(cleaning.DENOISER).files[0].path
    vad = weights.find_model("silero-vad-v6")
    recognise = Recogniser(
        engines.open_engine(arguments.engine, chosen), weights.locate(vad.name, chosen.home) / vad.files[0].path
    )
    rows = [row for folder in arguments.folders for row in rows_of(folder, arguments.seconds)]
    rows += made_of([row for row in rows if row.plain])
    wanted = arguments.kinds.split(",") if arguments.kinds else sorted({row.kind for row in rows})
    rows = [row for row in rows if row.kind in wanted]
    show_table(measured(rows, ways_of(denoiser(model)), recognise, arguments.show))
    show_cost(model)


if __name__ == "__main__":
    main()
