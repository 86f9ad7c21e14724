"""The way itself: a recording's bytes → Transcript, the stations called in order, each followed by a report.

    file ─ audio ─ segmentation ─ engine, guards ─ alignment ─ glossary ─ transcript
          (decoding and voice detection run side by side: both leave Python's lock)

It is handed an opened engine, and an aligner where there is one, and never opens them. Text is never lost: when
something fails after the first clip was recognised, the error raised is `Unfinished` and carries the transcript so far.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal

from jiyao import guards, segmentation
from jiyao.alignment import Alignment
from jiyao.audio import Decoder, Note, PcmBuffer, Recording
from jiyao.glossary import Glossary
from jiyao.messages import Language, say
from jiyao.recognition import Aligner, Clip, Engine
from jiyao.segmentation import Cutting, Part, SpeechDetector
from jiyao.text import Script
from jiyao.timeline import SAMPLE_RATE
from jiyao.transcript import Heard, Source, Transcript, assemble

Stage = Literal["loading", "recognizing", "finishing", "done"]


@dataclass(frozen=True)
class Progress:
    """Where the work stands, in ms of the recording. While loading, `total_ms` is what the header promises, or None."""

    stage: Stage
    done_ms: int
    total_ms: int | None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Options:
    """What a run is asked for. `language` None: heard clip by clip; `notes_language`: of remarks in the transcript."""

    language: str | None = None
    glossary: Glossary = field(default_factory=Glossary)
    script: Script = "simplified"
    max_duration_s: float = 12 * 3600
    cutting: Cutting = field(default_factory=Cutting)
    notes_language: Language = "en"


class Unfinished(Exception):
    """The work stopped half way (`__cause__` says why); `transcript` holds all that was recognised until then."""

    def __init__(self, transcript: Transcript) -> None:
        super().__init__("stopped before the end")
        self.transcript = transcript


Report = Callable[[Progress], None]


def transcribe(
    file: BinaryIO,
    name: str,
    engine: Engine,
    vad_model: Path,
    options: Options,
    report: Report = lambda _: None,
    aligner: Aligner | None = None,
) -> Transcript:
    """Recognise a recording. `file`: seekable, any format of `audio`; `vad_model`: the silero ONNX file.

    `aligner` measures the word times that the engine only estimates; without one, or where it fails, they stay
    estimates, and the transcript says so. The last reports carry all notes, those of the work itself too.

    Raises AudioError while reading; `Unfinished` from whatever stops the work afterwards, an interruption included.
    """
    sha256 = _sha256(file)
    recording, parts = listen(file, vad_model, options, report)
    source = Source(name=name, duration_ms=recording.duration_ms, sha256=sha256)
    heard: list[Heard] = []
    alignment = Alignment(aligner)

    def made() -> tuple[Transcript, tuple[Note, ...]]:
        notes = (*recording.notes, *([alignment.note] if alignment.note else []))
        said = tuple(say(note.key, options.notes_language, **note.parameters) for note in notes)
        return assemble(replace(source, notes=said), engine.describe(), heard, options.script), notes

    report(Progress("recognizing", 0, recording.duration_ms, recording.notes))
    try:
        for part in parts:
            _recognize(recording, part, engine, alignment, options, heard, report)
    except (Exception, KeyboardInterrupt) as cause:  # a fault of our own must not take the text either
        raise Unfinished(made()[0]) from cause
    report(Progress("finishing", recording.duration_ms, recording.duration_ms))
    transcript, notes = made()
    report(Progress("done", recording.duration_ms, recording.duration_ms, notes))
    return transcript


def listen(
    file: BinaryIO, vad_model: Path, options: Options, report: Report = lambda _: None
) -> tuple[Recording, list[Part]]:
    """Decode the recording and find its clips, voice detection running beside the decoder."""
    decoder = Decoder(file, options.max_duration_s)
    total_ms = round(decoder.claimed_s * 1000) if decoder.claimed_s else None
    buffer = PcmBuffer(decoder.expected_samples)
    detector = SpeechDetector(vad_model)
    waiting: list[Future[None]] = []
    done = 0
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="vad") as beside:
        for block in decoder:
            buffer.append(block)
            waiting.append(beside.submit(detector.feed, block))
            done += len(block)
            report(Progress("loading", done * 1000 // SAMPLE_RATE, total_ms))
            if len(waiting) > 8:  # the decoder is faster: what waits for the detector stays bounded
                waiting.pop(0).result()
        for future in waiting:
            future.result()
    recording = Recording(buffer.pcm(), decoder.notes)
    speech = segmentation.speech_spans(detector.finish(), len(recording.pcm), options.cutting)
    return recording, segmentation.cut(recording.pcm, speech, options.cutting)


def _recognize(
    recording: Recording,
    part: Part,
    engine: Engine,
    alignment: Alignment,
    options: Options,
    heard: list[Heard],
    report: Report,
) -> None:
    clips = [Clip(recording.samples(span), span, segmentation.inside(part.speech, span)) for span in part.clips]
    done_ms = part.span.start_ms
    believed = guards.recognize(engine, clips, options.glossary.hints(options.language))
    for index, recognition in alignment.timed(clips, believed):
        corrected, corrections = options.glossary.correct(recognition)
        heard.append(Heard(clips[index].span, corrected, corrections))
        done_ms = max(done_ms, clips[index].span.end_ms)  # engines may answer in any order
        report(Progress("recognizing", done_ms, recording.duration_ms))
    report(Progress("recognizing", part.span.end_ms, recording.duration_ms))


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
