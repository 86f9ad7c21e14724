"""Terms in jobs: hints that fit the clip, corrections on record and kept, proposals that follow the terms."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jiyao.editing import Revert
from jiyao.engines.scripted import Script
from jiyao.glossary import Glossary, parse, proposing, words
from jiyao.jobs import Jobs, LinesChanged
from jiyao.recognition import Hints, Recognition
from jiyao.settings import Settings
from jiyao.vault import Vault
from jiyao.worker.parent import Worker
from tests.conftest import SAMPLE
from tests.test_jobs import KEY, OPTIONS, scripted

LINES = ("我们的接口又被现流了。", "麻烦张宫看一下 bge m3。", "拥护说好。")
TERMS = parse("限流\n张工\nBGE-M3\n拥护→用户")
SAID = replace(OPTIONS, glossary=TERMS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    Script(lines=LINES).write(tmp_path)
    return Settings(home=tmp_path)


class Asked(Worker):
    """A real worker that tells what it was asked: clips and hints of each call."""

    calls: list[tuple[int, Hints]]

    def recognize(self, pcm: Any, clips: Sequence[Any], hints: Hints, **more: Any) -> Iterator[tuple[int, Recognition]]:
        type(self).calls.append((len(clips), hints))
        return super().recognize(pcm, clips, hints, **more)


@pytest.fixture
def asked() -> list[tuple[int, Hints]]:
    Asked.calls = []
    return Asked.calls


def asking(settings: Settings, engine: str | None) -> Worker:
    return Asked(settings, engine or "scripted")


def proposals(jobs: Jobs, job: str) -> list[tuple[str, str]]:
    return [(one.before, one.after) for line in jobs.lines(job) for one in line.proposals]


def test_certain_ones_are_put_in_and_recorded_the_others_only_proposed(settings: Settings) -> None:
    with Jobs(settings, open_worker=scripted) as jobs:
        job = jobs.submit(SAMPLE, SAMPLE.name, SAID)
        jobs.wait(job)
        transcript = jobs.transcript(job)
        text = "".join(segment.text for segment in transcript.segments)
        assert "BGE-M3" in text and "用户说好" in text and "现流" in text and "张宫" in text
        assert {(one.before, one.after, one.rule) for one in transcript.corrections} == {
            ("bge m3", "BGE-M3", "variant"),
            ("拥护", "用户", "alias"),
        }
        assert set(proposals(jobs, job)) == {("现流", "限流"), ("张宫", "张工")}


def test_all_above_a_score_is_one_step(settings: Settings) -> None:
    with Jobs(settings, open_worker=scripted) as jobs:
        job = jobs.submit(SAMPLE, SAMPLE.name, SAID)
        jobs.wait(job)
        before, count = jobs.transcript(job), len(proposals(jobs, job))
        assert jobs.accept_proposals(job, 0.99) == 0 and not jobs.get(job).can_undo
        assert jobs.accept_proposals(job, 0.75) == count
        assert proposals(jobs, job) == [] and "限流" in jobs.transcript(job).segments[0].text
        assert jobs.undo(job) and jobs.transcript(job) == before and not jobs.get(job).can_undo


def test_other_terms_propose_otherwise_in_a_text_that_is_there(settings: Settings) -> None:
    with Jobs(settings, open_worker=scripted) as jobs:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        assert proposals(jobs, job) == []
        seq, versions = jobs.seq, [line.version for line in jobs.lines(job)]
        jobs.use_terms(TERMS)
        assert ("拥护", "用户") in proposals(jobs, job) and ("现流", "限流") in proposals(jobs, job)
        assert [line.version for line in jobs.lines(job)] == versions
        [event] = jobs.events(seq, job).take(0)
        assert isinstance(event.change, LinesChanged) and not event.change.removed
        jobs.use_terms(Glossary())
        assert proposals(jobs, job) == []


def test_a_typed_correction_everywhere(settings: Settings) -> None:
    with Jobs(settings, open_worker=scripted) as jobs:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        count = jobs.places(job, "张宫")
        assert count > 1 and jobs.replace(job, "张宫", "张工") == count and jobs.places(job, "张宫") == 0
        assert {one.rule for one in jobs.transcript(job).corrections} == {"typed"}
        assert jobs.replace(job, "张宫", "张工") == 0
        assert jobs.undo(job) and jobs.places(job, "张宫") == count


def test_records_are_kept_and_come_back(settings: Settings, tmp_path: Path) -> None:
    with Vault.open(tmp_path / "vault", KEY) as vault:
        with Jobs(settings, vault, open_worker=scripted) as jobs:
            job = jobs.submit(SAMPLE, SAMPLE.name, SAID)
            jobs.wait(job)
            untouched = jobs.transcript(job)
            assert vault.transcript(jobs.get(job).sha256).segments == untouched.segments
            jobs.accept_proposals(job, 0.75)
            line = next(
                line for line in jobs.lines(job) if any(one.after == "用户" for one in line.segment.corrections)
            )
            jobs.edit(job, [Revert(line.id, line.version, line.segment.corrections[0].start)])
            expected, sha256 = jobs.transcript(job), jobs.get(job).sha256
            assert expected.corrections and expected != untouched
        assert vault.transcript(sha256).segments == expected.segments
        with Jobs(settings, vault, open_worker=scripted) as jobs:
            job = jobs.submit(SAMPLE, SAMPLE.name, SAID)
            jobs.wait(job)
            assert jobs.transcript(job).segments == expected.segments
            assert ("拥护", "用户") not in {
                (one.before, one.after)
                for kept in jobs.lines(job)
                if kept.segment.text == line.segment.text
                for one in kept.proposals
            }


def test_hints_are_bounded_and_what_neighbours_speak_of_comes_first(
    settings: Settings, asked: list[tuple[int, Hints]]
) -> None:
    many = "\n".join(f"某某术语{number}" for number in range(200))
    options = replace(OPTIONS, glossary=parse(f"{many}\n限流\n张工\nBGE-M3"))
    with Jobs(settings, open_worker=asking) as jobs:
        job = jobs.submit(SAMPLE, SAMPLE.name, options)
        view = jobs.wait(job)
        assert view.state == "done" and len(asked) >= 2
        first, *later = (hints.terms for _, hints in asked)
        assert first[0] == "某某术语0" and all(len(terms) <= 60 for terms in (first, *later))
        # 现流 and 张宫 only sound like theirs; BGE-M3 stands there
        assert all({"BGE-M3", "张工", "限流"} <= set(terms[:12]) for terms in later), later
        asked.clear()
        jobs.retry(job, clips=[len(view.clips) // 2], options=options)
        jobs.wait(job)
        [(_, hints)] = asked
        assert {"BGE-M3", "张工", "限流"} <= set(hints.terms[:3])


def test_a_few_terms_cost_no_smaller_batches(settings: Settings, asked: list[tuple[int, Hints]]) -> None:
    with Jobs(settings, open_worker=asking) as jobs:
        job = jobs.submit(SAMPLE, SAMPLE.name, SAID)
        jobs.wait(job)
        jobs.retry(job, options=SAID)
        jobs.wait(job)
        assert len(asked) % 2 == 0
        half = len(asked) // 2
        assert [count for count, _ in asked[:half]] == [count for count, _ in asked[half:]]
        assert sum(count for count, _ in asked[:half]) == len(jobs.get(job).clips)


def test_a_broken_dictionary_costs_no_text_and_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is there, and cannot be loaded."""
    monkeypatch.setitem(sys.modules, "rjieba", None)
    words._jieba.cache_clear()
    proposing._index.cache_clear()
    with Jobs(settings, open_worker=scripted) as jobs:
        job = jobs.submit(SAMPLE, SAMPLE.name, SAID)
        view = jobs.wait(job)
        assert view.state == "done" and [note.key for note in view.notes].count("terms.left_out") == 1
        assert all(clip.segments for clip in view.clips)
        texts = {line.segment.text for line in jobs.lines(job)}
        assert any("现流" in text for text in texts) and any("张宫" in text for text in texts)
        assert len(jobs.transcript(job).segments) == len(jobs.lines(job))


def test_kept_texts_can_be_had_without_a_dictionary_too(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vault.open(tmp_path / "vault", KEY) as vault:
        with Jobs(settings, vault, open_worker=scripted) as jobs:
            job = jobs.submit(SAMPLE, SAMPLE.name, SAID)
            sha256, count = jobs.wait(job).sha256, len(jobs.lines(job))
        monkeypatch.setitem(sys.modules, "rjieba", None)
        words._jieba.cache_clear()
        transcript = vault.transcript(sha256, language="zh")
        assert len(transcript.segments) == count
        assert any("术语没有用上" in note for note in transcript.source.notes)


def test_in_traditional_texts_neighbours_are_understood_and_hints_stay_as_the_user_wrote_them(
    settings: Settings, asked: list[tuple[int, Hints]]
) -> None:
    many = "\n".join(f"某某术语{number}" for number in range(200))
    options = replace(OPTIONS, script="traditional", glossary=parse(f"{many}\n限流\n张工\nBGE-M3"))
    with Jobs(settings, open_worker=asking) as jobs:
        jobs.wait(jobs.submit(SAMPLE, SAMPLE.name, options))
        assert all({"BGE-M3", "张工", "限流"} <= set(hints.terms[:12]) for _, hints in asked[1:])
