"""One frozen Settings for a run: defaults < settings.toml < environment < flags.

Built once in a door (cli, later web) and handed down as an argument; nothing below reads the environment. Each field
says its unit, its range and why it has its default; wrong values name the place they came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
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
    default: Any, why: str, *, unit: str = "", allowed: tuple[Any, ...] = (), low: Any = None, high: Any = None
) -> Any:
    return field(default=default, metadata={"why": why, "unit": unit, "allowed": allowed, "low": low, "high": high})


def default_home() -> Path:
    """Where weights and settings live unless JIYAO_HOME says otherwise: the user's own data folder of this system."""
    return Path(platformdirs.user_data_path("jiyao", appauthor=False))


@dataclass(frozen=True)
class Settings:
    home: Path = field(default_factory=default_home, metadata={"why": "weights and settings.toml live here"})
    ui: Literal["auto", "zh", "en"] = _setting(
        "auto", "language of messages; auto: Chinese on a Chinese system, else English", allowed=("auto", "zh", "en")
    )
    engine: EngineChoice = _setting(
        "auto",
        "auto: the best engine whose weights are here",
        allowed=("auto", "qwen-torch", "qwen-cpu", "whisper-base"),
    )
    language: str = _setting("auto", "ISO 639 code to force; auto hears it clip by clip, as meetings mix languages")
    script: Script = _setting(
        "simplified",
        "Han characters of the transcript; engines write either, at random",
        allowed=("simplified", "traditional", "original"),
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

    @property
    def ui_language(self) -> Language:
        return language_of_computer() if self.ui == "auto" else self.ui


def load(flags: Mapping[str, object] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from all four places. A flag of None was not given.

    Raises UsageError for an unknown field, a wrong type, or a value out of range.
    """
    values: dict[str, Any] = {}
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    surroundings = {
        name.removeprefix("JIYAO_").lower(): value
        for name, value in environment.items()
        if name.startswith("JIYAO_") and value
    }
    # the home decides where the file is, so the file cannot move the home
    home = Path(str(given.get("home") or surroundings.get("home") or default_home())).expanduser()
    for origin, layer in (
        (str(home / FILE_NAME), _read_file(home / FILE_NAME)),
        ("JIYAO_*", surroundings),
        ("--", given),
    ):
        for name, raw in layer.items():
            setting = _FIELDS.get(name)
            if setting is not None:
                values[name] = _checked(name, raw, origin if origin != "JIYAO_*" else f"JIYAO_{name.upper()}")
            elif origin.endswith(FILE_NAME):
                # the environment may hold others' variables; a file with an unknown name is a slip
                raise UsageError("settings.unknown", name=name, origin=origin, known=", ".join(sorted(_FIELDS)))
    return Settings(**{**values, "home": home})


def _read_file(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as cause:
        raise UsageError("settings.unreadable", path=path, reason=cause) from cause


def _checked(name: str, raw: object, origin: str) -> Any:
    setting = _FIELDS[name]
    about = setting.metadata
    wanted: Callable[[Any], Any] = Path if name == "home" else type(setting.default)
    try:
        if isinstance(raw, bool) or not isinstance(raw, (str, int, float, Path)):
            raise ValueError
        value = wanted(raw)
        if isinstance(raw, float) and wanted is int and raw != value:
            raise ValueError
    except ValueError:
        value = None
    allowed, low, high = about.get("allowed"), about.get("low"), about.get("high")
    in_range = value is not None and (low is None or low <= value) and (high is None or value <= high)
    if not in_range or (allowed and value not in allowed):
        limits = ", ".join(map(str, allowed)) if allowed else f"{low}…{high} {about.get('unit', '')}".strip()
        raise UsageError("settings.bad_value", name=name, value=raw, origin=origin, limits=limits)
    return value


_FIELDS = {setting.name: setting for setting in fields(Settings)}
