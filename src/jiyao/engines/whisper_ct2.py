"""Whisper base on CTranslate2, int8: the starter, where no model hub can be reached.

In:  clips of up to 30 s, any language; several are encoded and decoded together.
Out: text in Simplified Chinese or the clip's own language, word times and probabilities from cross-attention.
From: faster-whisper 1.2 (MIT) for features, tokenizer, prompt and alignment. Its transcribe() is not used: it knows one
     language a file, and falls back by random sampling; here each clip has its own language and every run gives the
     same text. The checks for a failed decoding are those of the Whisper paper (Radford et al. 2022, section 4.5).
Traps: MODEL.md.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jiyao import weights
from jiyao.errors import EngineError, UsageError
from jiyao.recognition import Clip, EngineInfo, Flag, Hints, Recognition, Word
from jiyao.settings import Settings
from jiyao.text import convert, convert_words, is_han, is_loop, join, punctuate_like, tidy
from jiyao.timeline import SAMPLE_RATE, SAMPLES_PER_MS, Span, seconds_to_ms, to_ms

NAME = MODEL = "whisper-base"

_MAX_TOKENS = 448  # Whisper's text context: prompt and output together. 28 s of fast Mandarin need 300 and more
_BATCHES = (1, 2, 4, 8)  # the first text soon, then full speed
_BEAM = 5
# Whisper continues a style: this asks for Simplified characters and punctuation. It costs accuracy now and then, so
# Chinese is read once with and once without it: the likelier words, the prompted reading's punctuation (LOG.md)
_PROMPT_ZH = "以下是普通话的句子。"
_HINT_TOKENS = 100  # terms beyond this crowd out the text: half the context is the prompt's at most
_HOP = 160  # samples per mel frame
_LOW_CONFIDENCE = -1.0  # mean log-probability per token under which Whisper's paper calls a decoding failed
_NO_SPEECH = 0.6  # probability of <|nospeech|> above which a failed decoding is silence
_HOLE_MS = 2_500  # clips hold no pause longer than 2 s (segmentation.Cutting.max_gap_s): here words are missing
_MAX_MS_PER_CHARACTER = 700  # alignment stretches a word over the pause that follows; speech is never this slow
# A failed decoding is done again without the prompt (it may be the cause), first mildly, then with no room for a loop
_LADDER: tuple[dict[str, float], ...] = (
    {"repetition_penalty": 1.1, "no_repeat_ngram_size": 6},
    {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3},
)
_CLOSING = re.compile(r"^[\s,.;:?!%)\]}>”’，。；：？！、）》」』…—]+$")
_LATIN = re.compile(r"[^\W_]", re.UNICODE)


@dataclass(frozen=True)
class _Try:
    """One decoding of one clip."""

    tokens: tuple[int, ...]
    text: str
    log_probability: float  # mean per token
    no_speech: float
    flags: tuple[Flag, ...]
    punctuation: str = ""  # another reading of the same clip whose punctuation to take over

    @property
    def rank(self) -> tuple[bool, float]:
        """Sound text first, then the likelier one."""
        return not self.flags, self.log_probability

    @property
    def failed(self) -> bool:
        return bool(self.flags) or self.log_probability < _LOW_CONFIDENCE


class WhisperCt2:
    def __init__(self, folder: str, revision: str, threads: int) -> None:
        # set before the import: these libraries read them once
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        import faster_whisper
        from faster_whisper import tokenizer

        self._revision = revision
        self._make_tokenizer = tokenizer.Tokenizer
        try:
            self._whisper: Any = faster_whisper.WhisperModel(
                folder, device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as cause:
            raise EngineError("engine.load", name=NAME, reason=cause) from cause
        self._tokenizers: dict[str, Any] = {}

    def describe(self) -> EngineInfo:
        model = self._whisper.model
        return EngineInfo(NAME, MODEL, self._revision, model.device, model.compute_type)

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        forced = self._forced_language(hints.language)
        start = 0
        for step in range(len(clips)):
            size = _BATCHES[min(step, len(_BATCHES) - 1)]
            batch = clips[start : start + size]
            if not batch:
                return
            try:
                results = self._filled(batch, self._recognize_batch(batch, hints, forced), hints, forced)
            except (RuntimeError, ValueError) as cause:
                raise EngineError("engine.failed", name=NAME, reason=cause) from cause
            yield from enumerate(results, start)
            start += size

    def _forced_language(self, language: str | None) -> str | None:
        if language == "yue":
            return "zh"  # this model has one token for all Chinese; the caller's word is kept in the result
        known = self._whisper.supported_languages
        if language is not None and language not in known:
            raise UsageError("engine.language", language=language, known=", ".join(sorted(known)))
        return language

    def _filled(
        self, clips: Sequence[Clip], results: list[Recognition], hints: Hints, forced: str | None
    ) -> list[Recognition]:
        """Whisper may end a clip early or leap over a sentence at a pause: what no word covers is heard again."""
        holes = [(i, hole) for i, heard in enumerate(results) for hole in _holes(heard.words, clips[i])]
        if holes:
            again = self._recognize_batch([hole for _, hole in holes], hints, forced)
            for (index, hole), found in zip(holes, again, strict=True):
                # only a sound result may add text: a hole may also be noise
                if found.words and not found.flags:
                    results[index] = _merged(results[index], found, to_ms(hole.span.start - clips[index].span.start))
        return results

    def _recognize_batch(self, clips: Sequence[Clip], hints: Hints, forced: str | None) -> list[Recognition]:
        from faster_whisper.audio import pad_or_trim

        extract = self._whisper.feature_extractor
        features = np.stack([pad_or_trim(extract(clip.samples)) for clip in clips])
        encoded = self._whisper.encode(features)
        if forced is None:
            # tokens look like <|zh|>
            languages = [ranked[0][0][2:-2] for ranked in self._whisper.model.detect_language(encoded)]
        else:
            languages = [forced] * len(clips)
        values = np.asarray(encoded)
        results: dict[int, Recognition] = {}
        for language in dict.fromkeys(languages):
            members = [i for i, other in enumerate(languages) if other == language]
            group = encoded if len(members) == len(clips) else self._storage(values[members])
            tries = self._decode(group, values[members], language, hints)
            frames = [max(1, len(clips[i].samples) // _HOP) for i in members]
            spoken = hints.language or language
            results.update(zip(members, self._results(group, language, spoken, tries, frames), strict=True))
        return [results[index] for index in range(len(clips))]

    def _decode(self, group: Any, values: npt.NDArray[np.float32], language: str, hints: Hints) -> list[_Try]:
        """The best reading of each clip. Chinese is read twice: see `_PROMPT_ZH`."""
        if hints.cautious:
            return self._decode_once(group, len(values), language, None, _LADDER[0])
        best = self._decode_once(group, len(values), language, hints, {})
        if language == "zh":
            plain = self._decode_once(group, len(values), language, None, {})
            best = [_likelier(prompted, bare) for prompted, bare in zip(best, plain, strict=True)]
        for penalties in _LADDER:
            pending = [i for i, reading in enumerate(best) if reading.failed]
            if not pending:
                break
            again = self._decode_once(self._storage(values[pending]), len(pending), language, None, penalties)
            for index, reading in zip(pending, again, strict=True):
                best[index] = max(best[index], reading, key=lambda r: r.rank)
        return best

    def _decode_once(
        self, encoded: Any, count: int, language: str, hints: Hints | None, penalties: dict[str, float]
    ) -> list[_Try]:
        tokenizer = self._tokenizer(language)
        prompt = self._whisper.get_prompt(tokenizer, self._style(tokenizer, language, hints), without_timestamps=True)
        outputs = self._whisper.model.generate(
            encoded,
            [prompt] * count,
            beam_size=_BEAM,
            max_length=_MAX_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=[-1],  # CTranslate2's name for the model's own list of non-speech tokens
            **penalties,
        )
        tries = []
        for output in outputs:
            ids = output.sequences_ids[0]
            tokens = tuple(token for token in ids if token < tokenizer.eot)
            text = tokenizer.decode(list(tokens)).strip()
            # CTranslate2 gives the mean over the tokens without the end mark; Whisper counts it in
            log_probability = output.scores[0] * len(ids) / (len(ids) + 1)
            cut_off = len(prompt) + len(ids) >= _MAX_TOKENS
            tries.append(
                _Try(tokens, text, log_probability, output.no_speech_prob, _flags(text, cut_off, hints is not None))
            )
        return tries

    def _style(self, tokenizer: Any, language: str, hints: Hints | None) -> list[int]:
        """What stands before the text: a sentence in the wanted style, then the terms, most wanted first."""
        if hints is None:
            return []
        style: list[int] = tokenizer.encode(_PROMPT_ZH) if language == "zh" else []
        terms: list[int] = []
        for term in hints.terms:
            more = tokenizer.encode(f"{term}、" if language == "zh" else f" {term},")
            if len(terms) + len(more) > _HINT_TOKENS:
                break
            terms += more
        return terms + style

    def _results(
        self, encoded: Any, language: str, spoken: str, tries: Sequence[_Try], frames: list[int]
    ) -> Iterator[Recognition]:
        tokenizer = self._tokenizer(language)
        aligned = self._whisper.find_alignment(tokenizer, [list(t.tokens) for t in tries], encoded, frames)
        for attempt, alignment, n_frames in zip(tries, aligned, frames, strict=True):
            silent = attempt.no_speech > _NO_SPEECH and attempt.log_probability < _LOW_CONFIDENCE
            if silent or not attempt.text:
                yield Recognition("", None, flags=("silence",) if attempt.text else ())
                continue
            words = _words(alignment, n_frames * _HOP / SAMPLE_RATE)
            if language == "zh":
                simplified = convert_words([word.text for word in words], "simplified")
                if attempt.punctuation:
                    simplified = punctuate_like(simplified, convert(attempt.punctuation, "simplified"))
                words = tuple(replace(word, text=text) for word, text in zip(words, simplified, strict=True))
            flags = attempt.flags + (("unsure",) if attempt.failed else ())
            text = join(word.text for word in words) if words else tidy(attempt.text)
            yield Recognition(text, spoken, words, round(math.exp(min(0.0, attempt.log_probability)), 3), flags)

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            self._tokenizers[language] = self._make_tokenizer(
                self._whisper.hf_tokenizer, True, task="transcribe", language=language
            )
        return self._tokenizers[language]

    @staticmethod
    def _storage(values: npt.NDArray[np.float32]) -> Any:
        import ctranslate2

        return ctranslate2.StorageView.from_array(np.ascontiguousarray(values))


def open_engine(settings: Settings) -> WhisperCt2:
    """Raises WeightsError when the weights are not complete here, EngineError when they do not load."""
    folder = weights.locate(MODEL, settings.home)
    return WhisperCt2(str(folder), weights.find_model(MODEL).revision, settings.cores)


def _likelier(prompted: _Try, bare: _Try) -> _Try:
    if prompted.rank >= bare.rank:
        return prompted
    return bare if prompted.flags else replace(bare, punctuation=prompted.text)


def _holes(words: Sequence[Word], clip: Clip) -> list[Clip]:
    """Stretches of the clip, `_HOLE_MS` or longer, in which no word stands; none if there are no words at all."""
    if not words:
        return []
    end_ms = to_ms(len(clip.samples))
    edges = [0, *(ms for word in words for ms in (word.start_ms, word.end_ms)), end_ms]
    holes = []
    for left_ms, right_ms in zip(edges[::2], edges[1::2], strict=True):
        if right_ms - left_ms >= _HOLE_MS:
            left, right = left_ms * SAMPLES_PER_MS, min(right_ms * SAMPLES_PER_MS, len(clip.samples))
            holes.append(Clip(clip.samples[left:right], Span(clip.span.start + left, clip.span.start + right)))
    return holes


def _merged(heard: Recognition, found: Recognition, offset_ms: int) -> Recognition:
    """`heard` with the words `found` in one of its holes, `offset_ms` after its start."""
    moved = [replace(w, start_ms=w.start_ms + offset_ms, end_ms=w.end_ms + offset_ms) for w in found.words]
    words = tuple(sorted((*heard.words, *moved), key=lambda word: word.start_ms))
    shares = [(r.confidence, len(r.words)) for r in (heard, found) if r.confidence is not None]
    confidence = sum(value * count for value, count in shares) / max(1, sum(count for _, count in shares))
    return replace(heard, text=join(word.text for word in words), words=words, confidence=round(confidence, 3))


def _flags(text: str, cut_off: bool, prompted: bool) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    if is_loop(text):
        flags.append("loop")
    if prompted and _PROMPT_ZH.rstrip("。") in text:
        flags.append("leak")
    if cut_off:
        flags.append("truncated")
    return tuple(flags)


def _words(alignment: Sequence[dict[str, Any]], duration_s: float) -> tuple[Word, ...]:
    """Whisper's token groups to words: Latin pieces joined, punctuation with the word before it, times in order."""
    words: list[Word] = []
    weights_: list[int] = []  # tokens behind each word, for the mean of the probabilities
    clock_ms = 0
    glue = False  # the next Latin piece belongs to the word before
    for piece in alignment:
        raw: str = piece["word"]
        text = raw.strip()
        if not text:
            glue = False
            continue
        count = len(piece["tokens"])
        start_ms = max(clock_ms, seconds_to_ms(min(float(piece["start"]), duration_s)))
        end_ms = max(start_ms, seconds_to_ms(min(float(piece["end"]), duration_s)))
        closes = _CLOSING.match(text) is not None
        clock_ms = end_ms
        joins = closes or (glue and not raw[0].isspace() and not is_han(text[0]))
        if joins and words:
            last, n = words[-1], weights_[-1]
            if closes:
                words[-1] = Word(last.text + text, last.start_ms, last.end_ms, last.confidence)
            else:
                mean = ((last.confidence or 0.0) * n + float(piece["probability"]) * count) / (n + count)
                words[-1] = Word(last.text + text, last.start_ms, end_ms, mean)
                weights_[-1] = n + count
        else:
            words.append(Word(text, start_ms, end_ms, float(piece["probability"])))
            weights_.append(count)
        glue = not is_han(text[-1]) and _LATIN.search(text[-1]) is not None or text[-1] in "-.'’&/+"
    return tuple(_unstretched(word) for word in words)


def _unstretched(word: Word) -> Word:
    letters = sum(1 if is_han(c) else 0.3 for c in word.text if c.isalnum())
    limit_ms = round(_MAX_MS_PER_CHARACTER * max(1.0, letters))
    confidence = None if word.confidence is None else round(word.confidence, 3)
    return Word(word.text, word.start_ms, min(word.end_ms, word.start_ms + limit_ms), confidence)
