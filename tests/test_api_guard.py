"""The guard: who may come in. Every refusal is made for real, over HTTP and over a websocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from jiyao.api import Guard

KEY, PORT = "the-key", 8501
HOST = f"localhost:{PORT}"
COOKIE = {"Cookie": f"jiyao_{PORT}={KEY}"}
ORIGIN = {"Origin": f"http://{HOST}"}
SOCKET = f"ws://{HOST}/stream"


async def anything(request: Request) -> PlainTextResponse:
    return PlainTextResponse("inside")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("inside")
    await socket.close()


@pytest.fixture
def client() -> Iterator[TestClient]:
    everything = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    app = Starlette(
        routes=[WebSocketRoute("/stream", talk), Route("/{rest:path}", anything, methods=everything)],
        middleware=[Middleware(Guard, key=KEY, port=PORT, extra_hosts=["meeting.lan:8501"])],
    )
    with TestClient(app, base_url=f"http://{HOST}", follow_redirects=False) as made:
        yield made


def test_with_key_and_cookie_everything_is_open(client: TestClient) -> None:
    for host in (HOST, f"127.0.0.1:{PORT}", "meeting.lan:8501", "LOCALHOST:8501"):
        assert client.get("/api/state", headers={**COOKIE, "Host": host}).text == "inside"
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            sent = {**COOKIE, "Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
            assert client.request(method, "/api/x", headers=sent).text == "inside"


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:8501", "localhost", "localhost:80", "127.0.0.1", "0.0.0.0:8501", "[::1]:8501", ""]
)
@pytest.mark.parametrize("path", ["/", "/desk/", "/api/state", "/api/health", f"/open?key={KEY}", "/_stcore/health"])
def test_another_host_is_refused_everywhere(client: TestClient, host: str, path: str) -> None:
    answer = client.get(path, headers={**COOKIE, "Host": host})
    assert answer.status_code == 403
    assert "inside" not in answer.text and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["http://evil.test", "https://localhost:8501", "http://localhost:3000", "null", f"http://127.0.0.1:{PORT}", ""],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_another_origin_is_refused(client: TestClient, origin: str, method: str) -> None:
    assert client.request(method, "/api/x", headers={**COOKIE, "Origin": origin}).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_changes_must_say_where_they_come_from(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/wipe", headers=COOKIE)
    assert answer.status_code == 403
    assert answer.json()["error"]["key"] == "web.wrong_origin"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
@pytest.mark.parametrize("path", ["/", "/api/state", f"/open?key={KEY}"])
def test_other_sites_may_not_even_read(client: TestClient, site: str, path: str) -> None:
    assert client.get(path, headers={**COOKIE, "Sec-Fetch-Site": site}).status_code == 403
    for fine in ("none", "same-origin"):
        assert client.get(path, headers={**COOKIE, "Sec-Fetch-Site": fine}).status_code in (200, 303)


@pytest.mark.parametrize(
    "cookie",
    [
        None,
        f"jiyao_{PORT}=wrong",
        f"jiyao_{PORT}=",
        f"jiyao_{PORT + 1}={KEY}",
        f"jiyao_{PORT}={KEY}x",
        KEY,
        f'jiyao_{PORT}="{KEY}"',
        f"jiyao_{PORT}=käy",
    ],
)
def test_without_the_right_cookie_nothing_is_open(client: TestClient, cookie: str | None) -> None:
    sent: Any = {} if cookie is None else {"Cookie": cookie.encode()}
    page = client.get("/", headers={**sent, "Accept": "text/html"})
    assert page.status_code == 403 and page.headers["content-type"].startswith("text/html")
    assert "重新启动 jiyao" in page.text and "Start jiyao again" in page.text
    data = client.get("/api/state", headers={**sent, "Accept": "text/html", "X-Jiyao-Language": "en"})
    assert data.status_code == 403
    assert data.json()["error"]["key"] == "web.no_key"
    assert data.json()["error"]["remedy"].startswith("Start jiyao again")
    assert client.get("/static/x.js", headers=sent).status_code == 403
    assert client.get("/api/health", headers=sent).text == "inside"


def test_a_wrong_cookie_beside_the_right_one_locks_nobody_out(client: TestClient) -> None:
    sent = {"Cookie": f"a=b; jiyao_{PORT}=tossed; jiyao_{PORT}={KEY}"}
    assert client.get("/", headers=sent).text == "inside"


@pytest.mark.parametrize(("to", "target"), [("", "/"), ("&to=/desk/", "/desk/"), ("&to=%2F", "/")])
def test_the_key_becomes_a_cookie(client: TestClient, to: str, target: str) -> None:
    answer = client.get(f"/open?key={KEY}{to}")
    assert answer.status_code == 303 and answer.headers["location"] == target
    given = answer.headers["set-cookie"]
    assert given.startswith(f"jiyao_{PORT}={KEY};")
    assert all(word in given for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert KEY not in answer.headers["location"]


@pytest.mark.parametrize("to", ["//evil.test/", "https://evil.test", "/api/state", "/desk", "/desk/../x"])
def test_it_leads_nowhere_else(client: TestClient, to: str) -> None:
    answer = client.get("/open", params={"key": KEY, "to": to})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_a_wrong_key_opens_nothing(client: TestClient) -> None:
    for address in ("/open", "/open?key=", "/open?key=wrong", f"/open?key={KEY}1"):
        answer = client.get(address)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers
    assert client.post(f"/open?key={KEY}", headers=ORIGIN).status_code == 403


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path, sent in (("/", COOKIE), ("/api/x", COOKIE), ("/desk/", COOKIE), ("/", {}), ("/api/x", {})):
        headers = client.get(path, headers=sent).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["permissions-policy"] == "microphone=(self)"
        assert headers["cache-control"] == ("no-cache" if path == "/desk/" else "no-store")
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'self'" and policy["object-src"] == "'none'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        if path == "/":
            assert policy["connect-src"] == f"'self' ws://{HOST}"
            assert "'unsafe-eval'" not in policy["script-src"]
        else:
            assert policy["script-src"] == policy["connect-src"] == "'self'"


def test_the_policy_never_repeats_a_foreign_host(client: TestClient) -> None:
    headers = client.get("/", headers={"Host": "evil.test; script-src *"}).headers
    assert "evil" not in headers["content-security-policy"]


@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "http://evil.test", **COOKIE},
        {"Origin": "null", **COOKIE},
        COOKIE,  # browsers always say where a socket comes from
        ORIGIN,  # no cookie
        {**ORIGIN, "Cookie": f"jiyao_{PORT}=wrong"},
        {**ORIGIN, **COOKIE, "Host": "evil.test:8501"},
        {"Origin": "http://evil.test:8501", **COOKIE, "Host": "evil.test:8501"},
        {**ORIGIN, **COOKIE, "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_foreign_socket_is_refused_before_it_opens(client: TestClient, sent: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=sent) as socket:
        socket.receive_text()


def test_our_own_socket_opens(client: TestClient) -> None:
    with client.websocket_connect(SOCKET, headers={**ORIGIN, **COOKIE}) as socket:
        assert socket.receive_text() == "inside"
