"""Character error rate by language over a folder of recordings, against plain faster-whisper in the same run.

    python -m bench.accuracy FOLDER [--engine whisper-base] [--no-baseline] [--show]

FOLDER holds recordings and INDEX.tsv with the columns file, language, transcript (and reference_quality); or recordings
with a `<stem>.json` of turns beside them. Printed per language: CER of ours and of the baseline (faster-whisper base,
beam 5, its own VAD, everything else at its defaults), their ratio, speed, and every text in which something repeats.
Punctuation, case, width and Traditional/Simplified do not count (bench/scoring.py).
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.scoring import characters, edit_distance
from jiyao import engines, pipeline, settings, weights
from jiyao.text import join

Recognise = Callable[[Path], str]

# wider than the engine's own check, so that it does not judge itself: any pattern up to 20 characters, 5 times over
_RUN_AWAY = re.compile(r"(.{1,20}?)\1{4,}")


@dataclass(frozen=True)
class Row:
    path: Path
    language: str
    reference: str
    trusted: bool  # a machine's uncorrected text is no reference for CER


@dataclass
class Tally:
    errors: int = 0
    characters: int = 0
    seconds: float = 0.0
    run_away: list[str] = field(default_factory=list)

    @property
    def cer(self) -> float:
        return 100 * self.errors / max(1, self.characters)


def rows_of(folder: Path) -> Iterator[Row]:
    index = folder / "INDEX.tsv"
    with index.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for line in table:
        path = folder / line["file"]
        if "transcript" in line:
            yield Row(path, line["language"], line["transcript"], not line["reference_quality"].startswith("machine ("))
        elif path.with_suffix(".json").is_file():
            turns = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["turns"]
            yield Row(path, "zh (made)", "".join(turn["text"] for turn in turns), True)


def ours(engine_name: str) -> Recognise:
    chosen = settings.load({"engine": engine_name})
    engine = engines.open_engine(engine_name, chosen)
    vad = weights.find_model("silero-vad-v6")
    vad_model = weights.locate(vad.name, chosen.home) / vad.files[0].path

    def recognise(path: Path) -> str:
        with path.open("rb") as file:
            transcript = pipeline.transcribe(file, path.name, engine, vad_model, pipeline.Options())
        return join(segment.text for segment in transcript.segments)

    return recognise


def baseline() -> Recognise:
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(weights.locate("whisper-base", settings.load().home)), device="cpu", compute_type="int8", cpu_threads=2
    )

    def recognise(path: Path) -> str:
        segments, _ = model.transcribe(str(path), beam_size=5, vad_filter=True)
        return "".join(segment.text for segment in segments)

    return recognise


def measure(name: str, recognise: Recognise, row: Row, tally: Tally, show: bool) -> None:
    began = time.perf_counter()
    text = recognise(row.path)
    tally.seconds += time.perf_counter() - began
    heard = characters(text)
    if row.trusted:
        expected = characters(row.reference)
        tally.errors += edit_distance(expected, heard)
        tally.characters += len(expected)
    loop = _RUN_AWAY.search("".join(heard))
    if loop:
        tally.run_away.append(f"{row.path.name}: {loop.group()[:60]}")
    if show:
        print(f"  [{name}] {row.path.name}: {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="whisper-base")
    parser.add_argument("--language", help="only rows of this language")
    parser.add_argument("--no-baseline", action="store_true")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    recognisers = {"ours": ours(arguments.engine)}
    if not arguments.no_baseline:
        recognisers["baseline"] = baseline()
    tallies: dict[str, dict[str, Tally]] = {name: defaultdict(Tally) for name in recognisers}
    for row in rows_of(arguments.folder):
        if arguments.language in (None, row.language):
            for name, recognise in recognisers.items():
                measure(name, recognise, row, tallies[name][row.language], arguments.show)
    print(f"{'language':<14}{'characters':>11}" + "".join(f"{name + ' CER %':>16}{'s':>8}" for name in tallies))
    for language in sorted(tallies["ours"]):
        cells = "".join(f"{t[language].cer:>16.2f}{t[language].seconds:>8.1f}" for t in tallies.values())
        ratio = ""
        if "baseline" in tallies and tallies["baseline"][language].cer:
            ratio = f"  CER ratio {tallies['ours'][language].cer / tallies['baseline'][language].cer:.2f}"
        print(f"{language:<14}{tallies['ours'][language].characters:>11}{cells}{ratio}")
    for name, by_language in tallies.items():
        loops = [loop for tally in by_language.values() for loop in tally.run_away]
        print(f"run-away repetition, {name}: {'; '.join(loops) or 'none'}")


if __name__ == "__main__":
    main()
