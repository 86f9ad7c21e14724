"""One frozen Settings for a run: defaults < settings.toml < environment < flags.

Built once in a door (cli, later web) and handed down as an argument; nothing below reads the environment but
`weights`, for the addresses of hubs. Each field
says its unit, its range and why it has its default; wrong values name the place they came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import platformdirs

from jiyao.errors import UsageError
from jiyao.messages import Language, language_of_computer
from jiyao.text import Script

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "settings.toml"
EngineChoice = Literal["auto", "qwen-torch", "qwen-cpu", "whisper-base"]


def _setting(
    default: Any,
    why: str,
    *,
    unit: str = "",
    allowed: tuple[Any, ...] = (),
    low: Any = None,
    high: Any = None,
    example: str = "",
) -> Any:
    about = {"why": why, "unit": unit, "allowed": allowed, "low": low, "high": high, "example": example}
    return field(default=default, metadata=about)


def default_home() -> Path:
    """Where weights and settings live unless JIYAO_HOME says otherwise: the user's own data folder of this system."""
    return Path(platformdirs.user_data_path("jiyao", appauthor=False))


@dataclass(frozen=True)
class Settings:
    home: Path = field(
        default_factory=default_home, metadata={"why": "weights and settings.toml live here", "example": "a folder"}
    )
    ui: Literal["auto", "zh", "en"] = _setting(
        "auto", "language of messages; auto: Chinese on a Chinese system, else English", allowed=("auto", "zh", "en")
    )
    engine: EngineChoice = _setting(
        "auto",
        "auto: the best engine whose weights are here",
        allowed=("auto", "qwen-torch", "qwen-cpu", "whisper-base"),
    )
    language: str = _setting(
        "auto",
        "ISO 639 code to force; auto hears it clip by clip, as meetings mix languages",
        example="auto, zh, yue, en, …",
    )
    script: Script = _setting(
        "simplified",
        "Han characters of the transcript; engines write either, at random",
        allowed=("simplified", "traditional", "original"),
    )
    speakers: Literal["off", "auto"] = _setting(
        "auto", "auto: tell speakers apart where the models for it are here", allowed=("off", "auto")
    )
    denoise: Literal["off", "on"] = _setting(
        "off",
        "take noise out for listening and for finding speech; recognition hears the original, which it needs (LOG.md)",
        allowed=("off", "on"),
    )
    loudness: Literal["off", "on"] = _setting(
        "off", "make quiet recordings louder (EBU R128), for listening and recognition", allowed=("off", "on")
    )
    threads: int = _setting(
        0, "threads of a CPU engine; 0: all cores this process may use", unit="threads", low=0, high=256
    )
    max_duration_h: float = _setting(
        12.0,
        "longest recording: PCM takes 115 MB an hour, and a small file may unpack to days",
        unit="hours",
        low=0.01,
        high=48.0,
    )

    idle_release_min: float = _setting(
        15.0,
        "how long an engine with nothing to do stays in memory; 0: until the program ends",
        unit="minutes",
        low=0.0,
        high=10_000.0,
    )
    memory_limit_mb: int = _setting(
        0, "most memory for all recordings together; 0: what the computer has free", unit="MB", low=0, high=10_000_000
    )
    keep: Literal["off", "on"] = _setting(
        "off",
        "keep texts on the disk, encrypted, so that a broken run goes on where it stopped; audio is never kept",
        allowed=("off", "on"),
    )

    progress_every_s: float = _setting(
        10.0, "between lines of progress where there is no terminal to draw on", unit="seconds", low=0.0, high=3600.0
    )

    @property
    def ui_language(self) -> Language:
        return language_of_computer() if self.ui == "auto" else self.ui

    @property
    def cores(self) -> int:
        """So many threads may work at once: as set, else all that this process may run on; containers and taskset often
        give fewer than the machine has."""
        if self.threads:
            return self.threads
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @property
    def forced_language(self) -> str | None:
        """The ISO 639 code that engines are told; None: each clip is heard in its own language."""
        return None if self.language == "auto" else self.language


def load(flags: Mapping[str, object] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from all four places. A flag of None was not given.

    Raises UsageError for an unknown field, a wrong type, or a value out of range.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    surroundings = {
        name.removeprefix("JIYAO_").lower(): value
        for name, value in environment.items()
        if name.startswith("JIYAO_") and value
    }
    values: dict[str, Any] = {}
    if "home" in surroundings:
        values["home"] = _checked("home", surroundings["home"], "JIYAO_HOME")
    if "home" in given:
        values["home"] = _checked("home", given["home"], "--home")
    home = values.setdefault("home", default_home())
    file = home / FILE_NAME
    for name, raw in _read_file(file).items():
        # the home decides where the file is, so the file cannot move the home
        _require_known(name, str(file), but=("home",))
        values[name] = _checked(name, raw, str(file))
    for name, text in surroundings.items():
        if name in _FIELDS:  # others' variables, and those that are no settings (JIYAO_DEBUG), are left alone
            values[name] = _checked(name, text, f"JIYAO_{name.upper()}")
    for name, raw in given.items():
        origin = f"--{name.replace('_', '-')}"
        _require_known(name, origin)
        values[name] = _checked(name, raw, origin)
    return Settings(**{**values, "home": home})


def _read_file(path: Path) -> Mapping[str, object]:
    try:
        # with or without a byte order mark: Windows editors write one, TOML knows none
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as cause:
        raise UsageError("settings.unreadable", path=path, reason=cause) from cause


def _require_known(name: str, origin: str, but: tuple[str, ...] = ()) -> None:
    known = sorted(set(_FIELDS) - set(but))
    if name not in known:
        raise UsageError("settings.unknown", name=name, origin=origin, known=", ".join(known))


def _checked(name: str, raw: object, origin: str) -> Any:
    """The value of the field `name`, converted and in range. Raises UsageError naming `origin`."""
    about = _FIELDS[name].metadata
    allowed, low, high = about.get("allowed"), about.get("low"), about.get("high")
    try:
        value = _converted(name, raw)
        # written so that a NaN fails
        fits = (low is None or low <= value) and (high is None or value <= high) and (not allowed or value in allowed)
    except (ValueError, OverflowError, RuntimeError):  # Path.expanduser: RuntimeError when there is no such user
        fits = False
    if not fits:
        limits = ", ".join(allowed) if allowed else about["example"] or f"{low}…{high} {about['unit']}"
        raise UsageError("settings.bad_value", name=name, value=raw, origin=origin, limits=limits)
    return value


def _converted(name: str, raw: object) -> Any:
    """`raw` in the field's own type: text of the environment may be a number, a number in the file is never a text."""
    if name == "home" and isinstance(raw, (str, Path)):
        return Path(raw).expanduser().absolute()  # a child process may work in another folder
    wanted: Any = type(_FIELDS[name].default)
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)) or (wanted is str and not isinstance(raw, str)):
        raise ValueError
    value = wanted(raw)
    if wanted is int and isinstance(raw, float) and raw != value:
        raise ValueError
    return value


_FIELDS = {setting.name: setting for setting in fields(Settings)}
