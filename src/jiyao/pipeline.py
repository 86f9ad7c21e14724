"""The way itself: a recording's bytes → Transcript, the stations called in order, each followed by a report.

    file ─ audio ─ cleaning ─ segmentation ─ engine, guards ─ alignment ─ transcript ─ glossary
          (decoding and voice detection run side by side: both leave Python's lock)

It is handed an opened engine, and an aligner where there is one, and never opens them. `transcribe` is the whole way in
one call; its steps can be taken one by one, as the worker and the jobs do. Text is never lost: when something fails
after the first clip was recognised, the error `transcribe` raises is `Unfinished` and carries the transcript so far.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import numpy as np

from jiyao import cleaning, guards, segmentation
from jiyao.alignment import Alignment
from jiyao.audio import Decoder, Note, PcmBuffer, Recording
from jiyao.errors import EngineError
from jiyao.glossary import NEAR_CLIPS, Glossary, correct, hints_for, mentions, propose
from jiyao.messages import Language, say
from jiyao.recognition import Aligner, Clip, Engine, EngineInfo, Hints, Recognition
from jiyao.segmentation import Cutting, Part, Probabilities, SpeechDetector
from jiyao.text import Script
from jiyao.timeline import SAMPLE_RATE, Pcm, Span, to_ms
from jiyao.transcript import Heard, Segment, Source, Transcript, assemble, segments_of

LEFT_OUT = Note("terms.left_out", warning=True)
"""Terms could not be looked for: a fault of ours, or a dictionary that does not load. The text is there even so."""

Speakers = Literal["off", "auto"] | int
"""Whether speakers are told apart, which the jobs do beside this way; how many there are, where a person knows."""

Stage = Literal["loading", "cleaning", "recognizing", "finishing", "done"]
Sound = Literal["pcm", "denoised"]
"""What is recognised, and what is only listened to."""

_BLOCK = 10 * SAMPLE_RATE  # samples


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
    speakers: Speakers = "off"
    denoise: bool = False  # for the player and the VAD; what is recognised stays as it is
    loudness: bool = False  # quiet recordings are made louder, for all that follows
    max_duration_s: float = 12 * 3600
    cutting: Cutting = field(default_factory=Cutting)
    notes_language: Language = "en"

    @property
    def written_glossary(self) -> Glossary:
        """In the script of the text."""
        return self.glossary.in_script(self.script)

    def correct(self, segment: Segment) -> Segment:
        """The segment with the user's terms put right where that is certain."""
        return correct(self.written_glossary, segment)

    def hints(self, near: Iterable[str] = ()) -> Hints:
        """For a clip whose neighbours speak of the terms `near`, as those are written in the text; the engine is told
        them as the user wrote them."""
        own = dict(zip(self.written_glossary.terms, self.glossary.terms, strict=True))
        return hints_for(self.glossary, self.language, (own.get(term, term) for term in near))


class Unfinished(Exception):
    """The work stopped half way (`__cause__` says why); `transcript` holds all that was recognised until then."""

    def __init__(self, transcript: Transcript) -> None:
        super().__init__("stopped before the end")
        self.transcript = transcript


Report = Callable[[Progress], None]


class Room(Protocol):
    """Where PCM goes block by block while it is decoded; `pcm()`: all of it."""

    def append(self, block: Pcm) -> None: ...

    def pcm(self) -> Pcm: ...


def transcribe(
    file: BinaryIO,
    name: str,
    engine: Engine,
    vad_model: Path,
    options: Options,
    report: Report = lambda _: None,
    aligner: Aligner | None = None,
    denoiser: Path | None = None,
) -> Transcript:
    """Recognise a recording in one call. `file`: seekable, any format of `audio`; `vad_model`, `denoiser`: ONNX files.

    `aligner` measures the word times that the engine only estimates; without one, or where it fails, they stay
    estimates, and the transcript says so. The last reports carry all notes, those of the work itself too.

    Raises AudioError while reading; `Unfinished` from whatever stops the work afterwards, an interruption included.
    """
    sha256 = _sha256(file)
    listened = listen(file, vad_model, options, report, denoiser=denoiser)
    recording, parts = listened.recording, listened.parts
    source = Source(name=name, duration_ms=recording.duration_ms, sha256=sha256)
    heard: list[Heard] = []
    alignment = Alignment(aligner)

    def made() -> tuple[Transcript, tuple[Note, ...]]:
        notes = (*recording.notes, *([alignment.note] if alignment.note else []))
        return finished(source, notes, engine.describe(), heard, options), notes

    report(Progress("recognizing", 0, recording.duration_ms, recording.notes))
    try:
        for part in parts:
            done_ms = part.span.start_ms
            clips = [cut_out(recording, span, segmentation.inside(part.speech, span)) for span in part.clips]
            hints = options.hints(_spoken_of(heard[-NEAR_CLIPS:], options))
            for index, recognition in hear(engine, alignment, clips, hints):
                heard.append(Heard(clips[index].span, recognition))
                done_ms = max(done_ms, clips[index].span.end_ms)  # engines may answer in any order
                report(Progress("recognizing", done_ms, recording.duration_ms))
            report(Progress("recognizing", part.span.end_ms, recording.duration_ms))
    except (Exception, KeyboardInterrupt) as cause:  # a fault of our own must not take the text either
        raise Unfinished(made()[0]) from cause
    report(Progress("finishing", recording.duration_ms, recording.duration_ms))
    transcript, notes = made()
    report(Progress("done", recording.duration_ms, recording.duration_ms, notes))
    return transcript


# its steps: a worker's child takes the first three, its parent the others


@dataclass(frozen=True)
class Listened:
    """A recording that was read: to be recognised, cut into parts, and, where that was wanted, without its noise."""

    recording: Recording
    parts: list[Part]
    denoised: Pcm | None = None


def listen(
    file: BinaryIO,
    vad_model: Path,
    options: Options,
    report: Report = lambda _: None,
    room: Callable[[Sound, int], Room] = lambda _, n_samples: PcmBuffer(n_samples),
    denoiser: Path | None = None,
    threads: int = 1,
) -> Listened:
    """Decode the recording, clean it where that is wanted, and find its clips.

    `room` makes the place where PCM goes; it is told how many samples to expect, 0 when the header does not say. Where
    it has none for the denoised sound, it raises MemoryError: that is left out then, as when `denoiser` does not load.
    `threads`: for denoising.
    """
    decoder = Decoder(file, options.max_duration_s)
    pcm, speech = _decoded(decoder, room("pcm", decoder.expected_samples), vad_model, report)
    notes = [*decoder.notes]
    if options.loudness and (gain_db := _made_louder(pcm, report)):
        notes.append(Note("cleaning.amplified", {"gain": round(gain_db)}))
        speech = _speech(pcm, vad_model, report)  # a voice that was too quiet is found now
    denoised = None
    if options.denoise:
        try:
            denoised, more = _denoised(pcm, room("denoised", len(pcm)), denoiser, threads, vad_model, report)
            speech = np.maximum(speech, more)
        except MemoryError:
            notes.append(Note("cleaning.no_room", warning=True))
        except EngineError as error:
            reason = error.message(options.notes_language)
            notes.append(Note("cleaning.left_out", {"reason": reason}, warning=True))
    spans = segmentation.speech_spans(speech, len(pcm), options.cutting)
    return Listened(Recording(pcm, tuple(notes)), segmentation.cut(pcm, spans, options.cutting), denoised)


def _decoded(decoder: Decoder, buffer: Room, vad_model: Path, report: Report) -> tuple[Pcm, Probabilities]:
    """All PCM, and where speech is in it, voice detection running beside the decoder."""
    total_ms = round(decoder.claimed_s * 1000) if decoder.claimed_s else None
    detector = SpeechDetector(vad_model)
    waiting: list[Future[None]] = []
    done = 0
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="vad") as beside:
        for block in decoder:
            buffer.append(block)
            waiting.append(beside.submit(detector.feed, block))
            done += len(block)
            report(Progress("loading", to_ms(done), total_ms))
            if len(waiting) > 8:  # the decoder is faster: what waits for the detector stays bounded
                waiting.pop(0).result()
        for future in waiting:
            future.result()
    return buffer.pcm(), detector.finish()


def _made_louder(pcm: Pcm, report: Report) -> float:
    """dB that were added, in place; 0 where it is loud enough."""

    def tell(done: int) -> None:
        report(Progress("cleaning", to_ms(done), to_ms(len(pcm))))

    gain_db = cleaning.gain_for(cleaning.measure(pcm, tell))
    cleaning.amplify(pcm, gain_db, tell)
    return gain_db


def _speech(pcm: Pcm, vad_model: Path, report: Report) -> Probabilities:
    detector = SpeechDetector(vad_model)
    for start in range(0, len(pcm), _BLOCK):
        block = pcm[start : start + _BLOCK]
        detector.feed(block)
        report(Progress("cleaning", to_ms(start + len(block)), to_ms(len(pcm))))
    return detector.finish()


def _denoised(
    pcm: Pcm, buffer: Room, model: Path | None, threads: int, vad_model: Path, report: Report
) -> tuple[Pcm, Probabilities]:
    """The recording without its noise, and where speech is in that. Raises EngineError."""
    if model is None:
        raise EngineError("cleaning.missing")
    detector = SpeechDetector(vad_model)
    done = 0
    for piece in cleaning.Denoiser(model, threads).pieces(pcm):
        buffer.append(piece)
        detector.feed(piece)
        done += len(piece)
        report(Progress("cleaning", to_ms(done), to_ms(len(pcm))))
    return buffer.pcm(), detector.finish()


def cut_out(recording: Recording, span: Span, speech: tuple[Span, ...]) -> Clip:
    """The clip of this span, a copy; `speech` lies in it."""
    return Clip(recording.samples(span), span, speech)


def hear(
    engine: Engine, alignment: Alignment, clips: Sequence[Clip], hints: Hints
) -> Iterator[tuple[int, Recognition]]:
    """(index into `clips`, what is said there), every clip once, in the engine's order: believable or flagged, and
    with measured word times where `alignment` gives them. Raises EngineError; what was yielded before stays valid."""
    return alignment.timed(clips, guards.recognize(engine, clips, hints))


def segments(heard: Heard, options: Options) -> tuple[Segment, ...]:
    """What was heard in a clip as it is shown: in the wanted script, the user's terms put right."""
    return tuple(options.correct(segment) for segment in segments_of(heard, options.script))


def _spoken_of(heard: Sequence[Heard], options: Options) -> list[str]:
    """The terms in these clips, the last one's first."""
    terms = options.written_glossary
    texts = [segment for one in reversed(heard) for segment in segments(one, options)] if terms.terms else []
    return [term for segment in texts for term in mentions(terms, segment.text, propose(terms, segment))]


def finished(
    source: Source, notes: Sequence[Note], engine: EngineInfo, heard: Iterable[Heard], options: Options
) -> Transcript:
    """The transcript of all that was heard, whole or not. `notes` are said in it, in the language for remarks."""
    heard = list(heard)
    try:
        made = assemble(source, engine, heard, options.script, options.correct)
    except Exception:  # whatever it is: the text is not lost to what would better it
        made, notes = assemble(source, engine, heard, options.script), (*notes, LEFT_OUT)
    said = tuple(say(note.key, options.notes_language, **note.parameters) for note in notes)
    return replace(made, source=replace(source, notes=said))


def summed(notes: Iterable[Note]) -> tuple[Note, ...]:
    """The same remark from several stretches of a recording as one: counts added, the latest reason kept."""
    together: dict[str, Note] = {}
    for note in notes:
        earlier = together.get(note.key)
        if earlier is not None and "count" in note.parameters:
            count = int(str(earlier.parameters["count"])) + int(str(note.parameters["count"]))
            note = replace(note, parameters={**note.parameters, "count": count})
        together[note.key] = note
    return tuple(together.values())


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
