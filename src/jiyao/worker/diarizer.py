"""The side of the child that tells voices apart: PCM in shared memory, JSON with numbers out."""

from __future__ import annotations

import contextlib
import json
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

from jiyao.errors import JiyaoError
from jiyao.memory import Attached, pcm_in
from jiyao.speakers import Diarizer

_REPORT_EVERY_S = 0.2
_NICENESS = 5  # the text comes first


def serve(connection: Connection) -> None:
    """Answer once, reporting meanwhile."""
    home, handle, n_samples, count = connection.recv()
    reported = time.monotonic()

    def report(share: float) -> None:
        nonlocal reported
        if time.monotonic() - reported >= _REPORT_EVERY_S:
            reported = time.monotonic()
            _send(connection, {"share": share})

    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    with Attached(connection, handle) as segment:
        try:
            heard = Diarizer(Path(home)).heard(pcm_in(segment.view)[:n_samples], count, report)
        except JiyaoError as error:
            _send(connection, {"key": error.key, "parameters": {k: str(v) for k, v in error.parameters.items()}})
        else:
            turns = [(turn.span.start, turn.span.end, turn.voice) for turn in heard.turns]
            _send(connection, {"turns": turns, "likenesses": list(heard.likenesses.items())})


def _send(connection: Connection, reply: object) -> None:
    with contextlib.suppress(OSError):  # nobody waits any more: we are about to be ended
        connection.send_bytes(json.dumps(reply).encode())
