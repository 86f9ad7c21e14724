"""The proof: a child is closed like the worker and tries what must not work → Receipt, for people and machines."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jiyao.messages import Language, say
from jiyao.seal.checks import Check
from jiyao.seal.environment import environment
from jiyao.seal.memory import swap_bytes
from jiyao.seal.policy import KINDS, Attempt, Attempts, Enforcement, Layer, Policy

VERSION = 1
_TIMEOUT_S = 60
# -I: nothing from the folder or the variables of whoever asks; -B: no cache files
_CHILD = "import json,sys; sys.path[:]=json.loads(sys.argv[1]); from jiyao.seal import checks; checks.main()"

Outcome = Literal["kernel", "python", "open"]


@dataclass(frozen=True)
class Row:
    """One line of the table, in the reader's language: what was tried, from where, what came of it."""

    what: str
    way: str
    verdict: str


@dataclass(frozen=True)
class Receipt:
    """What was proved, when and where. `planted`: what the child's own counters say about the planted attempts;
    `live`: refusals in the running program, where it was handed in; `trouble`: why there is no proof, else "".
    """

    at: float
    system: str
    python: str
    enforcement: Enforcement
    checks: tuple[Check, ...]
    planted: Attempts
    live: Attempts
    swap_total_bytes: int
    swap_used_bytes: int
    trouble: str = ""

    @property
    def outcome(self) -> Outcome:
        """`kernel`: everything was refused, to native code too · `python`: to Python code · `open`: not even that."""
        by_way = {way: [c.verdict == "refused" for c in self.checks if c.way == way] for way in ("python", "native")}
        if not by_way["python"] or not all(by_way["python"]):
            return "open"
        bound = all(self.enforcement.strength(kind) == "kernel" for kind in KINDS)
        return "kernel" if bound and by_way["native"] and all(by_way["native"]) else "python"

    def to_json(self) -> str:
        """Machine-readable, keys in English and stable within one `version`."""
        strengths = {kind: self.enforcement.strength(kind) for kind in KINDS}
        head = {"version": VERSION, "outcome": self.outcome, "strength": strengths}
        return json.dumps({**head, **asdict(self)}, ensure_ascii=False, indent=2)

    def rows(self, language: Language) -> list[Row]:
        """A table, a row for each check."""
        return [
            Row(
                say(f"seal.check_{check.what}", language),
                say(f"seal.way_{check.way}", language),
                _verdict(check, language),
            )
            for check in self.checks
        ]

    def lines(self, language: Language) -> list[str]:
        """Sentences round the table: the outcome first, then layers, threads, counters, swap."""
        lines = [say(f"seal.outcome_{self.outcome}", language)]
        if self.trouble:
            lines.append(say("seal.trouble", language, reason=self.trouble))
        for layer in self.enforcement.layers:
            name = say(f"seal.layer_{layer.name}", language)
            if layer.on:
                lines.append(say("seal.layer_is_on", language, layer=name, detail=layer.detail))
            else:
                reason = say(f"seal.why_{layer.reason}", language, detail=layer.detail)
                lines.append(say("seal.layer_is_off", language, layer=name, reason=reason))
        if self.enforcement.loose_threads:
            lines.append(say("seal.loose_threads", language, count=self.enforcement.loose_threads))
        for key, counted in (("seal.planted", self.planted), ("seal.live", self.live)):
            counts = {"network": counted.network, "write": counted.write, "program": counted.program}
            lines.append(say(key, language, **counts))
        if self.swap_total_bytes:
            lines.append(say("seal.swap", language, megabytes=self.swap_used_bytes // 1_000_000))
        return lines


def receipt(policy: Policy, live: Attempts | None = None) -> Receipt:
    """Prove the seal now. `policy`: the worker's; `live`: refusals of the running parent and worker, to be shown.

    Takes about a second. Raises nothing for a seal that fails: the receipt says so.
    """
    if policy.role != "worker":
        raise ValueError("the worker's policy is what is proved")
    asked = {"writable": [str(folder) for folder in policy.writable], "shared_memory": policy.shared_memory}
    found: Mapping[str, Any] = {}
    trouble = ""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", _CHILD, json.dumps([path for path in sys.path if path])],
            input=json.dumps(asked),
            capture_output=True,
            encoding="utf-8",
            env=environment(os.environ),
            timeout=_TIMEOUT_S,
            check=True,
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        trouble = type(error).__name__
    swap_total, swap_used = swap_bytes()
    return Receipt(
        at=time.time(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        enforcement=_enforcement(found.get("enforcement", {"role": "worker", "layers": ()})),
        checks=tuple(Check(**check) for check in found.get("checks", ())),
        planted=_attempts(found.get("planted", {})),
        live=live or Attempts(),
        swap_total_bytes=swap_total,
        swap_used_bytes=swap_used,
        trouble=trouble,
    )


def _verdict(check: Check, language: Language) -> str:
    by = say(f"seal.layer_{check.by}", language) if check.by else ""
    return say(f"seal.verdict_{check.verdict}", language, by=by, detail=check.detail or "–")


def _enforcement(found: Mapping[str, Any]) -> Enforcement:
    layers = tuple(Layer(**{**layer, "covers": tuple(layer["covers"])}) for layer in found["layers"])
    return Enforcement(found["role"], layers, found.get("loose_threads", 0))


def _attempts(found: Mapping[str, Any]) -> Attempts:
    return Attempts(**{**found, "latest": tuple(Attempt(**one) for one in found.get("latest", ()))})
