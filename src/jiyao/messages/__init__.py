"""Every sentence a person reads, in Chinese and English, from one table: the .toml files beside this one, together.

    main    the command line, errors, exports          web      the server's answers, the Streamlit sidebar
    desk    the desk: intake, queue, setup, dialogs     lines    the desk: transcript, find, review
    player  the desk: player, waveform, recorder        terms    terms, and the documents that they are taken from
    voices  the desk: who said it

A key that is missing in the table raises KeyError: `tests/test_messages.py` finds it before a user does.
"""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Language = Literal["zh", "en"]


@cache
def table() -> Mapping[str, Mapping[str, str]]:
    """key -> {"zh": sentence, "en": sentence}; `{name}` marks stand for parameters."""
    found: dict[str, Mapping[str, str]] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
            found |= {
                f"{group}.{key}": sentences for group, entries in raw.items() for key, sentences in entries.items()
            }
    return found


def say(key: str, language: Language, /, **parameters: object) -> str:
    """The sentence for `key` in `language`, with its parameters filled in; they may have any name."""
    return table()[key][language].format_map(parameters)


def language_of_computer() -> Language:
    """`zh` where the environment or the operating system speaks Chinese, else `en`."""
    # LANGUAGE may list several, most wanted first; LC_ALL beats LC_MESSAGES beats LANG (POSIX 8.2)
    for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    name = (locale.getlocale()[0] or "").lower()
    return "zh" if name.startswith(("zh", "chinese")) else "en"
