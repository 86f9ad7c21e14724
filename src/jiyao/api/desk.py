"""The desk: what the process as a whole has besides its jobs: settings that can change, arrivals, keeping, models.

In:  Settings, and what handlers ask for. Out: jobs, and the state that every page begins with. One for a process; any
thread may call anything. Make it before the process is sealed: the child that fetches models needs its environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from dataclasses import replace
from types import TracebackType
from typing import cast, get_args

import psutil

from jiyao import __version__, exports, glossary, seal
from jiyao.api import wire
from jiyao.api.answers import Fields
from jiyao.api.intake import Arrival, Intake
from jiyao.api.keep import Keep
from jiyao.api.setup import Setup
from jiyao.api.sound import Peaks
from jiyao.errors import JiyaoError, UsageError, VaultError
from jiyao.glossary import Glossary
from jiyao.jobs import Jobs, JobView, Wiped
from jiyao.jobs.crew import OpenWorker
from jiyao.memory import available_bytes
from jiyao.messages import Language
from jiyao.pipeline import Options
from jiyao.recognition import EngineInfo
from jiyao.seal.policy import KINDS
from jiyao.settings import EngineChoice, Settings
from jiyao.text import Script
from jiyao.worker.parent import Worker

_LANGUAGE = re.compile(r"[a-z]{2,8}")
_LONGEST_TERMS = 200_000  # characters


class Desk:
    """Use it in a `with`, or `close` it. `options`: of new jobs, where a person cannot set them; it and `open_worker`
    are for tests."""

    def __init__(self, settings: Settings, *, options: Options = Options(), open_worker: OpenWorker = Worker) -> None:
        self.process = secrets.token_hex(8)  # tells a page that this is another start
        self._settings = settings
        self._options = options
        self._terms = ""
        self._glossary = Glossary()
        self._terms_error: JiyaoError | None = None
        self._languages: dict[str, str | None] = {}  # job -> as it was asked for
        self._enforcement: seal.Enforcement | None = None  # the last one known
        self.jobs = Jobs(settings, open_worker=open_worker)
        self.keep = Keep(settings.home, self.jobs)
        self.setup = Setup(settings, os.environ, self._setup_changed)
        self.intake = Intake(self.jobs, lambda: self.setup.busy)
        self.peaks = Peaks(self.jobs)
        self.setup.begin()
        if settings.keep == "on":
            threading.Thread(target=self._keep_as_set, name="keep", daemon=True).start()

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Everything in memory is wiped, every listener and child ends. Twice is fine."""
        self.setup.close()
        self.intake.drop_all()
        self.jobs.close()
        self.keep.close()

    def _setup_changed(self) -> None:
        """An engine that has become ready is loaded at once: the first recording need not wait for it."""
        if self.setup.known and self.setup.ready and not self.setup.busy:
            waiting = self.jobs.engine
            better = waiting is not None and self._settings.engine == "auto" and waiting.name != self.setup.engine
            self.jobs.warm(self._settings.engine, anew=better)
        self.jobs.announce("setup", {})

    # the seal

    def guard(self) -> None:
        """Seal this process: from here on nothing leaves this computer, and nothing is written but kept texts. Once."""
        self._enforcement = seal.guard(seal.Policy("parent", loopback=True))
        threading.Thread(target=self.prove, name="proof", daemon=True).start()

    def prove(self) -> seal.Receipt:
        """Try what must not work, in a child sealed as the worker is; about a second."""
        receipt = seal.receipt(seal.Policy("worker"), self.jobs.sealed()[1])
        if not receipt.trouble and self.jobs.sealed()[0] is None:
            self._enforcement = receipt.enforcement
        return receipt

    def sealed(self) -> wire.Json:
        """`outcome`: what binds the worker, or would bind the next one."""
        enforcement, attempts = self.jobs.sealed()
        self._enforcement = enforcement or self._enforcement
        strengths = {self._enforcement.strength(kind) for kind in KINDS} if self._enforcement else {"none"}
        outcome = next(strength for strength in ("none", "python", "kernel") if strength in strengths)
        return {"outcome": outcome, "refused": attempts.total}

    # jobs

    def options(self, language: str | None, notes_language: Language) -> Options:
        """For a new job, or to hear one again. `language`: an ISO 639 code or `auto`; None: as it is set."""
        wanted = self._settings.language if language is None else _language(language)
        return replace(
            self._options,
            language=None if wanted == "auto" else wanted,
            glossary=self._glossary,
            script=self._settings.script,
            speakers=self._settings.speakers if self.setup.tells_apart else "off",
            denoise=self._settings.denoise == "on" and self.setup.denoises,
            loudness=self._settings.loudness == "on",
            max_duration_s=self._settings.max_duration_h * 3600,
            notes_language=notes_language,
        )

    def options_again(self, job: str, language: str | None, notes_language: Language) -> Options:
        """To hear a job once more: in its own language where no other is asked for."""
        return self.options(language or self._languages.get(job) or "auto", notes_language)

    def accept(self, arrival: Arrival, options: Options) -> str:
        """Queue what has arrived; the job's id. Raises AudioError where nothing did, UsageError where it was wiped."""
        job = self.jobs.accept(arrival.take(), options, self._settings.engine)
        self._languages[job] = options.language
        return job

    def remove(self, job: str) -> Wiped:
        """A job's audio, its text and what its worker still knows of it."""
        done = self.jobs.wipe(job)
        self._forget([job])
        return done

    def wipe(self) -> Wiped:
        """Everything; what is kept in the vault stays there."""
        self.jobs.announce("wiping", {})  # takes a second or more: no page shall ask for what goes meanwhile
        self.intake.drop_all()
        self._forget(list(self._languages))
        return self.jobs.wipe()

    def _forget(self, jobs: list[str]) -> None:
        for job in jobs:
            self._languages.pop(job, None)
            self.peaks.forget(job)

    def transcript_bytes(self, job: str, name: str, options: exports.ExportOptions) -> bytes:
        return exports.export(self.jobs.transcript(job), name, options)

    # what can be set

    def settings(self, language: Language) -> wire.Json:
        error = self._terms_error
        return {
            "engine": self._settings.engine,
            "language": self._settings.language,
            "script": self._settings.script,
            "speakers": self._settings.speakers,
            "denoise": self._settings.denoise,
            "loudness": self._settings.loudness,
            "terms": self._terms,
            "terms_count": len(self._glossary.terms),
            "terms_error": None if error is None else wire.error(error, language),
        }

    @property
    def script(self) -> Script:
        return self._settings.script

    def set(self, wanted: Fields) -> None:
        """Some of the settings, for jobs that begin later. Raises UsageError, and sets nothing then. Terms with a
        mistake are shown as they are, and those before it stay in force."""
        changes: dict[str, str] = {}
        if "engine" in wanted:
            changes["engine"] = _engine(wanted.text("engine"))
        if "language" in wanted:
            changes["language"] = _language(wanted.text("language"))
        if "script" in wanted:
            changes["script"] = _one_of(wanted.text("script"), get_args(Script), "script")
        if "speakers" in wanted:
            changes["speakers"] = _one_of(wanted.text("speakers"), ("off", "auto"), "speakers")
        for name in ("denoise", "loudness"):
            if name in wanted:
                changes[name] = _one_of(wanted.text(name), ("off", "on"), name)
        terms = wanted.maybe_text("terms")
        if terms is not None and len(terms) > _LONGEST_TERMS:
            raise UsageError("web.terms_too_long", most=_LONGEST_TERMS)
        self._settings = replace(self._settings, **changes)  # type: ignore[arg-type]
        if terms is not None:
            self._set_terms(terms)
        self.jobs.announce("settings", {})

    def _set_terms(self, terms: str) -> None:
        self._terms, self._terms_error = terms, None
        try:
            self._glossary = glossary.parse(terms)
            self._propose()
            self.keep.keep_terms(terms)
        except (UsageError, VaultError) as error:
            self._terms_error = error

    def _propose(self) -> None:
        """By the terms as they are now, in all texts: pages hear of it line by line."""

        def look() -> None:
            self.jobs.use_terms(self._glossary)  # the newest, whichever thread comes last

        threading.Thread(target=look, name="terms", daemon=True).start()

    def set_keep(self, on: bool, passphrase: str | None) -> wire.Json:
        """Raises VaultError."""
        answer = self.keep.switch(on, passphrase)
        if answer["on"]:
            self._terms_from_vault()
        self.jobs.announce("keep", {})
        return answer

    def _terms_from_vault(self) -> None:
        """What was kept fills an empty box; what stands there is kept from now on."""
        kept = self.keep.terms()
        if self._terms:
            self._set_terms(self._terms)
        elif kept:
            self._terms, self._glossary = kept, glossary.parse(kept)
            self._propose()
            self.jobs.announce("settings", {})

    def _keep_as_set(self) -> None:
        """As settings.toml wants it; where a passphrase is needed, the page asks for it."""
        with contextlib.suppress(VaultError):
            self.set_keep(True, None)

    # what can be seen

    def state(self, language: Language) -> wire.Json:
        """What a page begins with; events with a higher `seq` come after it."""
        seq = self.jobs.seq
        views = self.jobs.list()
        return {
            "seq": views[0].seq if views else seq,
            "app": {"version": __version__, "process": self.process},
            **self.host(views, language),
            "settings": self.settings(language),
            "keep": self.keep.state(),
            "setup": self.setup.state(self._settings.engine, language),
            "jobs": [wire.job(view, language) for view in views],
            "recordings": self.intake.recordings(),
            "formats": list(exports.FORMATS),
        }

    def host(self, views: list[JobView] | None, language: Language) -> wire.Json:
        """What changes without anybody doing anything."""
        info = self.jobs.engine or _engine_of(self.jobs.list() if views is None else views)
        device = wire.device_kind(info)
        gpu = None
        if info is not None and device == "cuda":
            gpu = {"name": info.device, "memory_bytes": None, "used_bytes": info.memory_bytes}
        return {
            "host": {
                "memory_bytes": int(psutil.virtual_memory().total),
                "memory_free_bytes": available_bytes(),
                "gpu": gpu,
                "device": device,
            },
            "engine": wire.engine(info, language),
            "engine_loading": self.jobs.loading,
            "sealed": self.sealed(),
            "memory_used_bytes": sum(entry.size_bytes for entry in self.jobs.memory()),
        }

    def topic(self, name: str, language: Language) -> wire.Json | None:
        """What is announced under this name, as it is now; None: the announcement itself says it."""
        if name == "settings":
            return self.settings(language)
        if name == "setup":
            return self.setup.state(self._settings.engine, language)
        return self.keep.state() if name == "keep" else None


def _engine_of(views: list[JobView]) -> EngineInfo | None:
    """What ran last."""
    return next((view.engine for view in reversed(views) if view.engine is not None), None)


def _one_of(value: str, allowed: tuple[str, ...], name: str) -> str:
    if value not in allowed:
        raise UsageError("web.bad_value", name=name, value=value, allowed=", ".join(allowed))
    return value


def _engine(value: str) -> EngineChoice:
    return cast(EngineChoice, _one_of(value, get_args(EngineChoice), "engine"))


def _language(value: str) -> str:
    """Which languages there are, only the engine knows; it says so before anything is read."""
    if _LANGUAGE.fullmatch(value) is None:
        raise UsageError("web.bad_value", name="language", value=value, allowed="auto, zh, yue, en, …")
    return value
