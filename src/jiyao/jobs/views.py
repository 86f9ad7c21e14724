"""What others see of a job: a snapshot, the transcript. Both are made with the board's lock held."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import replace

from jiyao.audio import Note
from jiyao.errors import UsageError
from jiyao.jobs.job import NOBODY, ClipView, Job, JobView
from jiyao.messages import say
from jiyao.timeline import clock
from jiyao.transcript import Source, Transcript


def view(job: Job, seq: int, place: int | None) -> JobView:
    """`seq`: of the last event; `place`: in the queue."""
    starts = [part.span.start for part in job.parts]
    clips = []
    for index, span in enumerate(job.clips):
        texts = job.texts.get(index, [])
        segments = texts[-1].segments if texts else ()
        versions = tuple(sorted(text.version for text in texts))
        shown = texts[-1].version if texts else None
        part = max(0, bisect_right(starts, span.start) - 1)
        clips.append(ClipView(index, span, part, segments, versions, shown, index in job.skipped))
    return JobView(
        seq=seq,
        id=job.id,
        name=job.name,
        sha256=job.sha256,
        state=job.state,
        error=job.error,
        progress=job.progress,
        engine=job.engine,
        duration_ms=job.duration_ms,
        parts=tuple(part.span for part in job.parts),
        clips=tuple(clips),
        notes=_notes(job),
        place=place,
        has_audio=job.pcm is not None,
        has_denoised=job.denoised is not None,
        telling_apart=job.telling_apart,
        can_undo=job.manuscript.can_undo,
        can_redo=job.manuscript.can_redo,
    )


def transcript(job: Job) -> Transcript:
    """All that there is so far, as a person corrected it; it says which stretches are missing for good."""
    if not job.takes:
        raise UsageError("jobs.unknown", job=job.id)
    options = job.takes[0].options
    shown = [texts[-1] for texts in job.texts.values() if texts]
    engines = Counter(text.engine.name for text in shown)
    notes = [*_notes(job)]
    if len(engines) > 1:
        notes.append(Note("jobs.several_engines", {"engines": ", ".join(engines)}))
    main = next((text.engine for text in shown if text.engine.name == engines.most_common(1)[0][0]), None)
    engine = main or job.engine or NOBODY
    source = Source(job.name, job.duration_ms, job.sha256)
    lines = tuple(line.segment for line in job.manuscript.lines)
    said = tuple(say(note.key, options.notes_language, **note.parameters) for note in notes)
    return Transcript(replace(source, notes=said), engine, lines)


def _notes(job: Job) -> tuple[Note, ...]:
    gaps = (
        Note("jobs.skipped", {"start": clock(span.start_ms), "end": clock(span.end_ms)}, warning=True)
        for span in (job.clips[clip] for clip in sorted(job.skipped) if not job.texts.get(clip))
    )
    return (*job.notes, *gaps)
