"""What every route shares: the asked language, fields of a request, answers, and errors that a person can read.

In:  requests. Out: JSON that no cache keeps. Whatever goes wrong becomes a status and `{"error": {"key", "message",
"remedy"}}`; a traceback, or anything that was said in a meeting, is never part of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from jiyao.api import wire
from jiyao.editing import Conflict
from jiyao.errors import AudioError, JiyaoError, MemoryLimitError, UsageError
from jiyao.messages import Language, language_of_computer

Handler = Callable[[Request], Awaitable[ASGIApp]]

_T = TypeVar("_T")
_MOST_JSON_BYTES = 32 << 20  # "replace all" in a long meeting is a few
_STATUS: Mapping[str, int] = {
    "jobs.unknown": 404,
    "jobs.no_audio": 404,
    "terms.unknown_set": 404,
    "vault.absent": 404,
    "vault.unknown_recording": 404,
    "web.not_found": 404,
    "web.no_recording": 404,
    "web.no_method": 405,
    "web.wrong_host": 403,
    "web.wrong_origin": 403,
    "web.no_key": 403,
    "web.held": 409,
    "web.fetching": 409,
    "web.gap": 409,
    "web.wiped_meanwhile": 409,
    "web.no_length": 411,
    "web.too_large": 413,
    "documents.too_large": 413,
    "web.unexpected": 500,
    "vault.wrong_passphrase": 400,
    "vault.empty_passphrase": 400,
    "vault.needs_passphrase": 400,
    "vault.needs_keyring": 400,
}


def language_in(query: Mapping[str, str], headers: Mapping[str, str]) -> Language:
    """`?lang=`, else the page's own header, else what the browser prefers, else the computer's."""
    for asked in (query.get("lang"), headers.get("x-jiyao-language")):
        if asked in ("zh", "en"):
            return "zh" if asked == "zh" else "en"
    wanted = []
    for place, item in enumerate(headers.get("accept-language", "").split(",")):
        tag, _, weight = item.strip().lower().partition(";q=")
        if tag[:2] in ("zh", "en"):
            wanted.append((-_number(weight), place, tag))
    if wanted:
        return "zh" if min(wanted)[2].startswith("zh") else "en"
    return language_of_computer()


def _number(weight: str) -> float:
    try:
        return float(weight) if weight else 1.0
    except ValueError:
        return 0.0


def language_of(request: Request) -> Language:
    return language_in(request.query_params, request.headers)


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, UTF-8; a lone surrogate, which a file's name may hold, must not lose the rest."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def refusal(error: JiyaoError, language: Language, headers: Mapping[str, str] | None = None) -> Response:
    return answer({"error": wire.error(error, language)}, status_of(error), headers)


def status_of(error: JiyaoError) -> int:
    if error.key in _STATUS:
        return _STATUS[error.key]
    if isinstance(error, MemoryLimitError):
        return 413
    return 400 if isinstance(error, UsageError | AudioError) else 500


def failure(fault: Exception, request: Request) -> Response:
    """The answer to whatever a handler raised."""
    language = language_of(request)
    if isinstance(fault, Conflict):
        lines = [None if line is None else wire.line(line) for line in fault.lines]
        told = wire.error(UsageError("web.conflict"), language)
        return answer({"conflict": lines, "error": told}, 409)
    if isinstance(fault, JiyaoError):
        return refusal(fault, language)
    if isinstance(fault, MemoryError):
        return answer({"error": wire.error(UsageError("web.no_memory"), language)}, 413)
    return refusal(unexpected(fault), language)


def unexpected(fault: BaseException) -> JiyaoError:
    """A fault of ours, by its kind and place: its own text might hold what was said."""
    place = "?"
    trace = fault.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if f"{os.sep}jiyao{os.sep}" in code.co_filename:
            place = f"{Path(code.co_filename).stem}:{trace.tb_lineno}"
        trace = trace.tb_next
    return UsageError("web.unexpected", kind=type(fault).__name__, place=place)


class Door:
    """One path: a handler for each method. HEAD is GET; uvicorn leaves the body out."""

    def __init__(self, **handlers: Handler) -> None:
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._handlers.get(method)
        response: ASGIApp
        try:
            if handler is None:
                allowed = ", ".join(sorted(self._handlers))
                response = refusal(UsageError("web.no_method", method=method), language_of(request), {"Allow": allowed})
            else:
                response = await handler(request)
        except ClientDisconnect:
            return  # nobody waits for an answer
        except Exception as fault:
            response = failure(fault, request)
        await response(scope, receive, send)


async def nowhere(request: Request) -> Response:
    raise UsageError("web.not_found", path=request.url.path)


async def in_thread(work: Callable[..., _T], *arguments: object) -> _T:
    """For calls that wait, or take more than a moment: the event loop goes on meanwhile."""
    return await anyio.to_thread.run_sync(work, *arguments)


class Fields:
    """The JSON object that a request carries; what is missing or of another kind raises UsageError."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise UsageError("web.bad_field", name=name)
        return value

    def maybe_text(self, name: str) -> str | None:
        return None if self._values.get(name) is None else self.text(name)

    def number(self, name: str) -> int:
        return _whole(self._values.get(name), name)

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if not isinstance(value, bool):
            raise UsageError("web.bad_field", name=name)
        return value

    def items(self, name: str) -> list[Any]:
        value = self._values.get(name)
        if not isinstance(value, list):
            raise UsageError("web.bad_field", name=name)
        return value

    def numbers(self, name: str) -> list[int]:
        return [_whole(value, name) for value in self.items(name)]

    def texts(self, name: str) -> list[str]:
        found = self.items(name)
        if not all(isinstance(value, str) for value in found):
            raise UsageError("web.bad_field", name=name)
        return found

    def objects(self, name: str) -> list[Fields]:
        found = self.items(name)
        if not all(isinstance(value, dict) for value in found):
            raise UsageError("web.bad_field", name=name)
        return [Fields(value) for value in found]


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError("web.bad_field", name=name)
    return value


async def fields_of(request: Request) -> Fields:
    """Nothing at all counts as an empty object."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > _MOST_JSON_BYTES:
            raise UsageError("web.too_large", megabytes=_MOST_JSON_BYTES >> 20)
    try:
        values = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as cause:
        raise UsageError("web.bad_json") from cause
    if not isinstance(values, dict):
        raise UsageError("web.bad_json")
    return Fields(values)


def content_length(request: Request) -> int:
    """Raises UsageError where the request does not say how much is coming."""
    raw = request.headers.get("content-length", "")
    if not raw.isascii() or not raw.isdigit() or "transfer-encoding" in request.headers:
        raise UsageError("web.no_length")
    return int(raw)


def is_on(request: Request, name: str, default: bool = True) -> bool:
    """A switch in the address: `?times=0`."""
    value = request.query_params.get(name)
    return default if value is None else value.lower() not in ("0", "false", "no", "off", "")
