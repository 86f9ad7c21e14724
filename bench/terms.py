"""Terms: how many misheard ones are found, how many changes do harm, and what it costs.

    python -m bench.terms FOLDER [--engine whisper-base] [--text FILE …] [--show] [--markdown]

FOLDER holds made meetings (`<stem>.flac` with a `<stem>.json` of turns). Each is recognised once, without hints. The
terms are the 500 of bench/terms.txt: those of the meetings, hidden among others. What was said is known, so every
change can be judged: it is right where the text comes nearer to what was said (edit distance, spaces, case and marks
aside), else it does harm. An error that could be found is a term that was said where the recogniser wrote something
else, at least half as long. `--text`: ordinary texts, in which nothing ought to change.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from bench.scoring import characters, edit_distance
from jiyao import engines, pipeline, settings, weights
from jiyao.glossary import Glossary, Proposal, correct, parse, propose
from jiyao.retiming import corrected
from jiyao.text import join
from jiyao.transcript import Segment

TERMS = Path(__file__).with_name("terms.txt")
SCORES = (0.75, 0.8, 0.85, 0.9, 0.95)
_SENTENCE = re.compile(r"[^。！？!?.]{1,200}[。！？!?.]*")
_LONG_MEETING = 70_000  # characters: four hours at the speed of the made meetings


@dataclass
class Tally:
    """Of one meeting, or all. `errors`: terms that were misheard and could be found; `lost`: those hardly heard."""

    errors: int = 0
    lost: int = 0
    exact: list[tuple[bool, str]] = field(default_factory=list)  # (right, what)
    proposed: list[tuple[float, bool, bool, str]] = field(default_factory=list)  # (score, right, is an error, what)

    def add(self, other: Tally) -> None:
        self.errors, self.lost = self.errors + other.errors, self.lost + other.lost
        self.exact += other.exact
        self.proposed += other.proposed

    def at(self, score: float) -> tuple[int, int, float, float]:
        """(right, harmful, precision, recall) of the proposals from this score on."""
        some = [one for one in self.proposed if one[0] >= score]
        right = sum(one[1] for one in some)
        found = sum(one[1] and one[2] for one in some)
        return right, len(some) - right, right / max(1, len(some)), found / max(1, self.errors)


def recognised(path: Path, engine_name: str) -> tuple[Segment, ...]:
    chosen = settings.load({"engine": engine_name})
    vad = weights.find_model("silero-vad-v6")
    vad_model = weights.locate(vad.name, chosen.home) / vad.files[0].path
    engine = engines.open_engine(engine_name, chosen)
    with path.open("rb") as file:
        return pipeline.transcribe(file, path.name, engine, vad_model, pipeline.Options()).segments


def judge(segments: Sequence[Segment], said: str, glossary: Glossary) -> Tally:
    """Each change on its own, against what was said."""
    tally = Tally()
    as_heard = [segment.text for segment in segments]
    segments = [correct(glossary, segment) for segment in segments]
    texts = [segment.text for segment in segments]
    whole = distance(texts, said)
    for index, segment in enumerate(segments):
        # case and joints do not count here, so what is put right may not change the distance; it must not grow
        worse = distance([*texts[:index], as_heard[index], *texts[index + 1 :]], said) < whole
        tally.exact += [(not worse, f"{one.before} → {one.after}") for one in segment.corrections]
    places = errors_in(texts, said, glossary.terms, tally)
    for index, segment in enumerate(segments):
        for proposal in propose(glossary, segment):
            tally.proposed.append(judged(proposal, index, segments, texts, said, whole, places))
    return tally


def judged(
    one: Proposal,
    index: int,
    segments: Sequence[Segment],
    texts: Sequence[str],
    said: str,
    whole: int,
    places: set[tuple[str, int]],
) -> tuple[float, bool, bool, str]:
    changed = corrected(segments[index], one.start, one.before, one.after, one.rule).text
    right = distance([*texts[:index], changed, *texts[index + 1 :]], said) < whole
    at = len(characters(join(texts[:index]))) + len(characters(segments[index].text[: one.start]))
    length = len(characters(one.before))
    found = any(term == one.after and at - 3 <= place <= at + length + 3 for term, place in places)
    return one.score, right, found, f"{one.score:.2f} {one.before} → {one.after} ({one.rule})"


def distance(texts: Iterable[str], said: str) -> int:
    return edit_distance(characters(join(texts)), characters(said))


def errors_in(texts: Sequence[str], said: str, terms: Sequence[str], tally: Tally) -> set[tuple[str, int]]:
    """(term, where in the letters of the text) for each term that was said and is not there; counted in `tally`."""
    heard, wanted = "".join(characters(join(texts))), "".join(characters(said))
    place = {}
    for _, a, a_end, b, b_end in SequenceMatcher(None, wanted, heard, autojunk=False).get_opcodes():
        for step in range(a_end - a):
            place[a + step] = min(b_end, b + step * (b_end - b) // (a_end - a))
    place[len(wanted)] = len(heard)
    found: set[tuple[str, int]] = set()
    taken = [False] * len(wanted)
    for term in sorted(terms, key=len, reverse=True):
        letters = "".join(characters(term))
        at = wanted.find(letters) if letters else -1
        while at >= 0:
            end = at + len(letters)
            if not any(taken[at:end]):
                taken[at:end] = [True] * len(letters)
                here = heard[max(0, place[at] - 1) : place[end] + 1]
                if letters not in here:
                    if place[end] - place[at] < len(letters) / 2:
                        tally.lost += 1
                    else:
                        tally.errors += 1
                        found.add((term, place[at]))
            at = wanted.find(letters, at + 1)
    return found


def sentences(path: Path) -> Iterator[Segment]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        for sentence in _SENTENCE.findall(line):
            text = " ".join(sentence.split())
            if text:
                yield Segment(start_ms=0, end_ms=1_000, text=text)


def ordinary(path: Path, glossary: Glossary, show: bool) -> str:
    """A row about a text in which no term is meant."""
    size, exact, scores = 0, 0, []
    shown: Counter[str] = Counter()
    for segment in sentences(path):
        size += len(segment.text)
        better = correct(glossary, segment)
        exact += len(better.corrections)
        shown.update(f"exact {one.before} → {one.after}" for one in better.corrections)
        for one in propose(glossary, better):
            scores.append(one.score)
            shown[f"{one.score:.2f} {one.before} → {one.after}"] += 1
    if show:
        print(*(f"    {count} × {what}" for what, count in shown.most_common()), sep="\n")
    above = " | ".join(str(sum(score >= least for score in scores)) for least in SCORES)
    return f"| {path.name} | {size:,} | {exact} | {above} |"


def cost(segments: Sequence[Segment], glossary: Glossary) -> tuple[float, float]:
    """Seconds for a meeting of four hours: terms put right and proposed; and until the first line is through."""
    many: list[Segment] = []
    size = 0
    while size < _LONG_MEETING:
        segment = segments[len(many) % len(segments)]
        many.append(segment)
        size += len(segment.text)
    began = time.perf_counter()
    propose(glossary, correct(glossary, many[0]))
    first_s = time.perf_counter() - began
    began = time.perf_counter()
    for segment in many:
        propose(glossary, correct(glossary, segment))
    return time.perf_counter() - began, first_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.terms")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="whisper-base")
    parser.add_argument("--text", type=Path, nargs="*", default=[])
    parser.add_argument("--show", action="store_true")
    asked = parser.parse_args()
    glossary = parse(TERMS.read_text(encoding="utf-8"))
    total, took_s, audio_s = Tally(), 0.0, 0.0
    everything: list[Segment] = []
    print(f"{len(glossary.terms)} terms\n")
    print("| meeting | terms misheard | hardly heard | exact: right | harmful | proposed: right | harmful | recall |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sorted(asked.folder.glob("*.flac")):
        said = path.with_suffix(".json")
        if not said.is_file():
            continue
        meeting = json.loads(said.read_text(encoding="utf-8"))
        began = time.perf_counter()
        segments = recognised(path, asked.engine)
        took_s, audio_s = took_s + time.perf_counter() - began, audio_s + meeting["duration_ms"] / 1000
        tally = judge(segments, join(turn["text"] for turn in meeting["turns"]), glossary)
        print(row(path.stem, tally))
        if asked.show:
            print(*(f"    {'+' if one[1] else '-'} {one[3]}" for one in tally.proposed), sep="\n")
            print(*(f"    {'+' if right else '-'} exact {what}" for right, what in tally.exact), sep="\n")
        everything += segments
        total.add(tally)
    print(row("all", total))
    print("\n| from this score on | right | harmful | precision | recall |\n|---|---|---|---|---|")
    for score in SCORES:
        right, harmful, precision, recall = total.at(score)
        print(f"| {score} | {right} | {harmful} | {precision:.3f} | {recall:.3f} |")
    if asked.text:
        scores = " | ".join(f"≥ {score}" for score in SCORES)
        print(f"\n| ordinary text | characters | exact | proposed {scores} |")
        print("|---|---|---|" + "---|" * len(SCORES))
        for path in asked.text:
            print(ordinary(path, glossary, asked.show))
    four_hours_s, first_s = cost(everything, glossary)
    share = four_hours_s / (took_s / audio_s * 4 * 3600)
    print(
        f"\nfour hours, {len(glossary.terms)} terms: {four_hours_s:.2f} s, and {first_s:.2f} s before the first line;"
    )
    print(f"recognition would take {took_s / audio_s * 4 * 3600:.0f} s: {share:.2%}")


def row(name: str, tally: Tally) -> str:
    exact = sum(right for right, _ in tally.exact)
    right, harmful, _, recall = tally.at(SCORES[0])
    counts = (tally.errors, tally.lost, exact, len(tally.exact) - exact, right, harmful)
    return f"| {name} | {' | '.join(map(str, counts))} | {recall:.2f} |"


if __name__ == "__main__":
    main()
