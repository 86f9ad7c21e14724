"""Models for this computer: which there are, which one is recommended, and getting one, in a process of its own.

In:  a folder of weights. Out: the state of it all, in the asked language; a download that can be watched and ended.
The caller sees to it that nothing is fetched while audio is in memory.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from jiyao import cleaning, errors, speakers, weights
from jiyao.api import fetcher, wire
from jiyao.errors import JiyaoError, UsageError, WeightsError
from jiyao.messages import Language, say, table
from jiyao.settings import Settings

_APART = "import sys; from jiyao.api import fetcher; sys.exit(fetcher.run(sys.argv[1:]))"
_ANNOUNCE_EVERY_S = 0.2
_FAREWELL_S = 3.0
_PATIENCE_S = 0.3  # for the first look at this computer; where torch is installed it takes seconds
# what `weights` says of a download as it goes, in English; the rest (names of hosts, what pip said) stays as it is
_NOTES = {
    "checking what is already there": "web.note_checking",
    "unpacking": "web.note_unpacking",
    "asking pip": "web.note_asking_index",
    "another process is fetching this model: waiting for it": "web.note_waiting",
}


@dataclass
class _Fetch:
    """A download as it stands. `done`: bytes of each file."""

    model: str
    process: subprocess.Popen[str]
    cancelled: bool = False
    step: Mapping[str, Any] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    preparing: bool = False


class Setup:
    """`environ`: as it was before this process was sealed, for the child that may use the network; `changed`: called
    whenever the state is another, from any thread."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], changed: Callable[[], None]) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self._changed = changed
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._found: Mapping[str, Any] = {}
        self._fetch: _Fetch | None = None
        self._error: JiyaoError | None = None
        self._soon = False
        self._tells_apart = self._denoises = False

    def begin(self) -> None:
        """See what is on this computer; nothing is known before."""
        threading.Thread(target=self._look, name="setup", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether the other process is at work."""
        return self._fetch is not None

    @property
    def known(self) -> bool:
        """Whether this computer was looked at yet."""
        return self._known.is_set()

    @property
    def ready(self) -> bool:
        """Whether an engine has all it needs, as far as is known."""
        choice = self._found.get("choice")
        return choice is not None and choice["missing_model"] is None

    @property
    def engine(self) -> str:
        """What `auto` means on this computer, as it was seen last; "" before that."""
        return str((self._found.get("choice") or {}).get("name", ""))

    @property
    def tells_apart(self) -> bool:
        """Whether what tells speakers apart is here, as far as is known."""
        return self._tells_apart

    @property
    def denoises(self) -> bool:
        """Whether what takes noise out is here, as far as is known."""
        return self._denoises

    def fetch(self, model: str) -> None:
        """Begin to get a model. Raises WeightsError for an unknown one, UsageError where one is being fetched."""
        weights.find_model(model)
        with self._lock:
            if self._fetch is not None:
                raise UsageError("web.fetching")
            process = subprocess.Popen(
                [sys.executable, "-c", _APART, "get", model, str(self._settings.home)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=self._environ,
            )
            self._fetch, self._error = _Fetch(model, process), None
        threading.Thread(target=self._follow, args=(self._fetch,), name="fetch", daemon=True).start()
        self._changed()

    def cancel(self) -> None:
        """End the download; what is there already is gone on from next time."""
        with self._lock:
            fetch = self._fetch
        if fetch is not None:
            fetch.cancelled = True
            fetch.process.terminate()
            threading.Thread(target=_ended, args=(fetch.process,), daemon=True).start()

    def close(self) -> None:
        """Twice is fine."""
        with self._lock:
            fetch = self._fetch
        if fetch is not None:
            fetch.cancelled = True
            fetch.process.terminate()
            _ended(fetch.process)

    # what can be seen

    def state(self, wanted_engine: str, language: Language) -> wire.Json:
        """All of it. Waits a moment for the first look at this computer; `checking`: it is not over yet."""
        checking = not self._known.wait(_PATIENCE_S)
        needed = not checking and not self.ready
        found, fetch, error = self._found, self._fetch, self._error
        choice = found.get("choice") or {}
        recommended = choice.get("missing_model") or _better(found)
        return {
            "needed": needed,
            "checking": checking,
            "models": [self._offer(offer, recommended, language) for offer in found.get("offers", ())],
            "chosen": self._chosen(choice, wanted_engine, language),
            "rejected": [
                {"name": name, "title": wire.engine_title(name, language), "reason": say(reason, language)}
                for name, reason in choice.get("rejected", ())
            ],
            "speakers": {
                "ready": self._tells_apart,
                "model": speakers.MODELS[-1],
                "size_bytes": sum(weights.find_model(name).size_bytes for name in speakers.MODELS),
            },
            "denoiser": {
                "ready": self._denoises,
                "model": cleaning.DENOISER,
                "size_bytes": weights.find_model(cleaning.DENOISER).size_bytes,
            },
            "fetch": None if fetch is None else _told(fetch, language),
            "error": None if error is None else wire.error(error, language),
        }

    def _offer(self, offer: Mapping[str, Any], recommended: str | None, language: Language) -> wire.Json:
        known = offer["name"].replace("-", "_").replace(".", "_")
        title, says = f"web.model_{known}", f"web.says_{known}"
        size = (
            f"{offer['size_bytes'] / 1e9:.1f} GB"
            if offer["size_bytes"] >= 1e9
            else f"{offer['size_bytes'] // 10**6} MB"
        )
        return {
            **offer,
            "title": say(f"web.model_{known}", language) if title in table() else offer["title"],
            "says": say(f"web.says_{known}", language, size=size) if says in table() else "",
            "speed": round(1 / offer["speed"], 1) if offer["speed"] else None,
            "recommended": offer["name"] == recommended,
        }

    def _chosen(self, choice: Mapping[str, Any], wanted: str, language: Language) -> wire.Json:
        name = choice.get("name", "") if wanted == "auto" else wanted
        if not self.known:
            reason = say("web.chosen_looking", language)
        elif not self.ready:
            reason = say("web.chosen_none", language)
        elif wanted == "auto":
            reason = say("web.chosen_auto", language)
        else:
            reason = say("web.chosen_by_you", language)
        return {"engine": name, "title": wire.engine_title(name, language), "reason": reason}

    # the other process

    def _look(self) -> None:
        """See anew what is on this computer."""
        with contextlib.suppress(JiyaoError, OSError):  # whoever asks for speakers is told what is wrong
            if not speakers.ready(self._settings.home) and not speakers.missing(self._settings.home):
                speakers.prepare(self._settings.home)  # of models that were put there by hand
        self._tells_apart = speakers.ready(self._settings.home)
        self._denoises = weights.is_present(cleaning.DENOISER, self._settings.home)
        try:
            self._found = self._asked() if find_spec("torch") is not None else fetcher.found(self._settings)
        except JiyaoError as error:
            self._found, self._error = {}, self._error or error
        except Exception:  # a fault of ours must not leave everybody waiting
            self._found, self._error = {}, self._error or UsageError("web.look_failed")
        self._known.set()
        self._changed()

    def _asked(self) -> Mapping[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _APART, "state", self._settings.ui_language, str(self._settings.home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=self._environ,
            check=True,
        )
        told: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if "key" in told:
            raise _error(told)
        return told

    def _announce_soon(self) -> None:
        """What comes in quick succession is told together, and the last of it is never kept back."""
        with self._lock:
            if self._soon:
                return
            self._soon = True

        def now() -> None:
            self._soon = False
            self._changed()

        timer = threading.Timer(_ANNOUNCE_EVERY_S, now)
        timer.daemon = True
        timer.start()

    def _follow(self, fetch: _Fetch) -> None:
        """Read what the other process tells until it ends."""
        ended: Mapping[str, Any] = {}
        assert fetch.process.stdout is not None
        with fetch.process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    ended = _taken(fetch, json.loads(line))
                self._announce_soon()
        fetch.process.wait()
        error: JiyaoError | None = None
        if "key" in ended:
            error = _error(ended)
        elif "fed" not in ended and not fetch.cancelled:
            error = WeightsError("web.fetch_broke", name=fetch.model)
        with self._lock:
            self._fetch, self._error = None, None if fetch.cancelled else error
        self._look()


def _ended(process: subprocess.Popen[str]) -> None:
    """Of one that was asked to end: made to, where it does not (deep in a library)."""
    try:
        process.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _taken(fetch: _Fetch, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Note what the other process said; what it said in the end, if that was it."""
    if "step" in told:
        step = fetch.step = told["step"]
        if step["file"] and step["total_bytes"] is not None:
            # what is only checked counts as there: if it is not, it is fetched next
            is_check = step["note"] in _NOTES
            fetch.done[step["file"]] = step["total_bytes"] if is_check else step["done_bytes"]
        return {}
    if "preparing" in told:
        fetch.preparing = True
        return {}
    return told


def _better(found: Mapping[str, Any]) -> str | None:
    """What would feed the best engine that runs here, where a lesser one is ready."""
    rejected = (found.get("choice") or {}).get("rejected", ())
    best = next((name for name, reason in rejected if reason == "engine.reason_no_weights"), None)
    return next((offer["name"] for offer in found.get("offers", ()) if best in offer["engines"]), None)


def _told(fetch: _Fetch, language: Language) -> wire.Json:
    """Of the whole model where its files are told one by one, else of what is coming now."""
    step, model = fetch.step, weights.find_model(fetch.model)
    files = {file.path for file in model.files}
    done, total = step.get("done_bytes", 0), step.get("total_bytes")
    if step.get("file", "") in files:
        done, total = sum(count for file, count in fetch.done.items() if file in files), model.size_bytes
    elif total is None and done:  # packages do not say how large they are; weights hardly pack
        done, total = min(done, model.size_bytes), model.size_bytes
    note = step.get("note", "")
    if note in _NOTES:
        note = say(_NOTES[note], language)
    if fetch.preparing:
        note, done, total = say("web.note_preparing", language), 0, None
    return {
        "model": fetch.model,
        "file": step.get("file", ""),
        "done_bytes": done,
        "total_bytes": total,
        "source": step.get("source", ""),
        "note": note,
        "preparing": fetch.preparing,
    }


def _error(told: Mapping[str, Any]) -> JiyaoError:
    kind = getattr(errors, str(told["error"]), WeightsError)
    made: JiyaoError = kind(told["key"], **told["parameters"])
    return made
