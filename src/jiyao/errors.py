"""Everything that can go wrong, as one tree. Each error says what happened and what to do about it.

    JiyaoError
    ├── UsageError      2  a flag, a setting or a file name makes no sense
    │   └── DocumentError     a document has no text that can be read
    ├── OutputError     2  a result cannot be written (it exists, the disk is full, no permission)
    ├── AudioError      3  the file cannot be read as audio
    │   └── MemoryLimitError  it would not fit into this computer's memory
    ├── WeightsError    4  a model file is missing, broken, or cannot be fetched
    ├── EngineError     5  recognition itself failed
    └── VaultError      6  kept texts cannot be opened, read or written

The number is the exit code of the command line (DESIGN section 7). Texts live in messages.toml under the
error's key: `<key>` says what happened, `<key>_remedy` what to do. Foreign exceptions are translated once, where
they arise, and kept as the cause.
"""

from __future__ import annotations

from typing import ClassVar

from jiyao.messages import Language, say


class JiyaoError(Exception):
    """An error a person can act on. `key` names its sentences; `parameters` fill them."""

    exit_code: ClassVar[int] = 1

    def __init__(self, key: str, /, **parameters: object) -> None:
        super().__init__(key, parameters)
        self.key = key
        self.parameters = parameters

    def message(self, language: Language = "en") -> str:
        return say(self.key, language, **self.parameters)

    def remedy(self, language: Language = "en") -> str:
        return say(f"{self.key}_remedy", language, **self.parameters)

    def __str__(self) -> str:
        return f"{self.message()} {self.remedy()}"


class UsageError(JiyaoError):
    exit_code = 2


class DocumentError(UsageError):
    pass


class OutputError(JiyaoError):
    exit_code = 2


class AudioError(JiyaoError):
    exit_code = 3


class MemoryLimitError(AudioError):
    pass


class WeightsError(JiyaoError):
    exit_code = 4


class EngineError(JiyaoError):
    exit_code = 5


class VaultError(JiyaoError):
    exit_code = 6
