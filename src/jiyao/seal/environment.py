"""Variables that keep hub libraries offline and telemetry off, for this process and for children.

Libraries read them once, when they are imported, so they are set first. Engines set what concerns them as well; this
is the one place that has them all. From: the documentation of each library, and MODEL.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_PINNED = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "ORT_TELEMETRY_DISABLED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",  # a sealed process would try, be refused, and count it
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "TRANSFORMERS_OFFLINE": "1",
}
# numpy's OpenBLAS starts its threads when it is imported, before a worker can close: Landlock would not bind them.
# `forget_threads` gives the variable back for engines, which are loaded later; nothing heavy is computed in numpy
_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
# write to disk what must not stand there: tracebacks into core collectors, keys of connections, compiler's traces
_REMOVED = ("PYTHONFAULTHANDLER", "SSLKEYLOGFILE", "TORCH_TRACE")


def environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`base` with everything pinned, to start a child with. Not for the process that fetches weights."""
    return {**{name: value for name, value in base.items() if name not in _REMOVED}, **_PINNED, **_THREADS}


def pin() -> None:
    """The same for this process; what was imported before may have read the old ones."""
    os.environ.update({**_PINNED, **_THREADS})
    for name in _REMOVED:
        os.environ.pop(name, None)


def forget_threads() -> None:
    """In a worker that is closed: libraries loaded from now on take as many threads as they like."""
    for name in _THREADS:
        os.environ.pop(name, None)
