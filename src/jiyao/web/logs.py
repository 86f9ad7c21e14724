"""What the server may say about itself: the kind and place of a fault, never its text, which may hold what was said.

In:  Python's logging, and whatever fell through. Out: one sentence on standard error; with JIYAO_DEBUG everything.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

from jiyao.api.answers import unexpected
from jiyao.messages import Language, say


def keep_quiet(language: Language) -> None:
    """From here on, for this process."""
    if os.environ.get("JIYAO_DEBUG"):
        return
    handler = _Discreet(language)
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger().setLevel(logging.ERROR)
    threading.excepthook = lambda given: handler.tell(given.exc_value)


def report(fault: BaseException) -> None:
    """Of a fault that somebody caught."""
    logging.getLogger(__name__).error("", exc_info=fault)


class _Discreet(logging.Handler):
    def __init__(self, language: Language) -> None:
        super().__init__(logging.ERROR)
        self._language = language

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.tell(record.exc_info[1])
        else:
            self._write(say("shell.trouble", self._language, place=record.name))

    def tell(self, fault: BaseException | None) -> None:
        if fault is not None and not isinstance(fault, SystemExit):
            self._write(unexpected(fault).message(self._language))

    def _write(self, sentence: str) -> None:
        sys.stderr.write(f"jiyao: {sentence}\n")
        sys.stderr.flush()
