"""The one desk of this process, for the script that Streamlit runs: it is given nothing, so it asks here.

In:  `use`, by `app`. Out: `desk`.
"""

from __future__ import annotations

from jiyao.api.desk import Desk

_desk: Desk | None = None


def use(desk: Desk | None) -> None:
    """`desk` is the process's from now on; None: there is none any more."""
    global _desk
    _desk = desk


def desk() -> Desk:
    """Raises RuntimeError outside a served page."""
    if _desk is None:
        raise RuntimeError("no desk: this script is run by `jiyao web`")
    return _desk
