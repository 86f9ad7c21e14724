"""The guard before everything that is served: only this computer's own page, opened with this start's key, gets in.

In:  any ASGI app. Out: the same app behind a check of Host (DNS rebinding), Origin and Sec-Fetch-Site (other pages),
and a cookie (other users of this computer); and security headers on every answer. From: OWASP's CSRF cheat sheet,
Fetch Metadata (W3C), CSP level 3. Pure ASGI: it also stands before websockets and before a framework's own routes.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from html import escape
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jiyao.api.answers import language_in, refusal
from jiyao.errors import JiyaoError, UsageError
from jiyao.messages import Language

_OPEN, _HEALTH = "/open", "/api/health"
_TARGETS = ("/", "/desk/")
_SAFE = ("GET", "HEAD", "OPTIONS")
_OURS = ("/desk/", "/api/")  # the rest is Streamlit's
_LANGUAGES: tuple[tuple[str, Language], ...] = (("zh-Hans", "zh"), ("en", "en"))

_COMMON = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'self' 'unsafe-inline'; "
)
_STRICT = _COMMON + "script-src 'self'; connect-src 'self'"
_STREAMLIT = _COMMON + "font-src 'self' data:; script-src 'self' 'unsafe-inline' blob:; connect-src 'self' ws://{host}"

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self)",
}


class Guard:
    """`key`: this start's secret, which `/open?key=…` turns into a cookie; `port`: where we are served on this
    computer; `extra_hosts`: further `name:port` that a person allowed by name."""

    def __init__(self, app: ASGIApp, *, key: str, port: int, extra_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._key = key.encode()
        self._port = port
        self._cookie = f"jiyao_{port}"
        names = {f"localhost:{port}", f"127.0.0.1:{port}", *(name.lower() for name in extra_hosts)}
        if port == 80:
            names |= {"localhost", "127.0.0.1"}
        self._hosts = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if scope["type"] == "websocket":
            if refused is None:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        hosts = headers.getlist("host")
        host = hosts[0].lower() if len(hosts) == 1 and hosts[0].lower() in self._hosts else f"localhost:{self._port}"

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _protect(MutableHeaders(scope=message), scope["path"], host)
            await send(message)

        if refused is not None:
            await self._refuse(refused, scope, headers)(scope, receive, guarded)
        elif scope["path"] == _OPEN:
            await self._opened(scope)(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _refused(self, scope: Scope, headers: Headers) -> JiyaoError | None:
        """Why this may not pass."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return UsageError("web.wrong_host", port=self._port)
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins) or (changes and not origins):
            return UsageError("web.wrong_origin", port=self._port)
        if any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
            return UsageError("web.wrong_origin", port=self._port)
        if scope["type"] == "http" and scope["path"] in (_OPEN, _HEALTH):
            return None
        return None if self._has_cookie(headers) else UsageError("web.no_key")

    def _has_cookie(self, headers: Headers) -> bool:
        """Any cookie of our name counts: pages on other ports of this computer can add wrong ones."""
        found = False
        for line in headers.getlist("cookie"):
            for pair in line.split(";"):
                name, _, value = pair.strip().partition("=")
                found |= name == self._cookie and self._is_key(value)
        return found

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._key)

    def _opened(self, scope: Scope) -> Response:
        """The cookie for whoever knows the key, and on to one of our pages."""
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        target = asked.get("to", ["/"])[0]
        if scope["method"] != "GET" or not self._is_key(asked.get("key", [""])[0]) or target not in _TARGETS:
            return _page(UsageError("web.no_key"))
        response = RedirectResponse(target, 303)
        response.set_cookie(self._cookie, self._key.decode(), path="/", httponly=True, samesite="strict")
        return response

    def _refuse(self, reason: JiyaoError, scope: Scope, headers: Headers) -> Response:
        if _is_page(scope, headers):
            return _page(reason)
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        return refusal(reason, language_in(query, headers))


def _is_page(scope: Scope, headers: Headers) -> bool:
    wants = scope["path"] in (*_TARGETS, _OPEN) or "text/html" in headers.get("accept", "")
    return scope["method"] in _SAFE and not scope["path"].startswith("/api/") and wants


def _page(reason: JiyaoError) -> Response:
    """A whole page in both languages: nothing is known of who reads it."""
    sections = "".join(
        f'<section lang="{tag}"><h1>{escape(reason.message(language))}</h1><p>{escape(reason.remedy(language))}</p>'
        "</section>"
        for tag, language in _LANGUAGES
    )
    style = "body{font:17px/1.75 system-ui,sans-serif;max-width:40em;margin:12vh auto;padding:0 16px}h1{font-size:20px}"
    head = '<!doctype html><html lang="zh-Hans" translate="no"><head><meta charset="utf-8"><title>jiyao</title>'
    about = '<meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width">'
    return HTMLResponse(f"{head}{about}<style>{style}</style></head><body>{sections}</body></html>", 403)


def _protect(headers: MutableHeaders, path: str, host: str) -> None:
    ours = path.startswith(_OURS) or path in (_OPEN, "/desk")
    headers["Content-Security-Policy"] = _STRICT if ours else _STREAMLIT.format(host=host)
    for name, value in _HEADERS.items():
        headers[name] = value
    if path.startswith("/desk/"):
        headers["Cache-Control"] = "no-cache"  # our own files: asked for again each time, sent only where they changed
    elif not path.startswith("/static/"):  # Streamlit's, named by their content
        headers["Cache-Control"] = "no-store"
