"""Text as it is found, up to a number of characters and a moment."""

from __future__ import annotations

import time


class Full(Exception):
    """Enough characters, or no more time."""


class Text:
    """Pieces of text in their order. `deadline`: by time.monotonic()."""

    def __init__(self, most: int, deadline: float) -> None:
        self._left = most
        self._deadline = deadline
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        """Raises Full where this is more than fits; what fits is taken."""
        self._pieces.append(piece[: self._left])
        self._left -= len(piece)
        if self._left < 0:
            raise Full

    def check_time(self) -> None:
        """Raises Full after the deadline."""
        if time.monotonic() > self._deadline:
            raise Full

    def whole(self) -> str:
        return "".join(self._pieces)
