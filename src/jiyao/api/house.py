"""Routes for the desk as a whole: its state, sentences, settings, models, keeping, the seal and the wipe."""

from __future__ import annotations

from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from jiyao import exports
from jiyao.api import wire
from jiyao.api.answers import Door, answer, fields_of, in_thread, language_of, nowhere
from jiyao.api.desk import Desk
from jiyao.api.work import attachment, export_options
from jiyao.messages import table

_GROUPS = ("desk", "lines", "player", "termsdesk", "voices")


def routes(desk: Desk) -> list[BaseRoute]:
    return [*_views(desk), *_orders(desk), *_kept(desk)]


def nothing_else() -> list[BaseRoute]:
    """Behind all others: other paths below /api have an answer of our own."""
    return [Route("/api/{rest:path}", Door(**dict.fromkeys(("GET", "POST", "PUT", "DELETE", "PATCH"), nowhere)))]


@cache
def sentences() -> dict[str, dict[str, str]]:
    """language -> key -> sentence, of the groups that a page says itself."""
    keys = [key for key in table() if key.partition(".")[0] in _GROUPS]
    return {language: {key: table()[key][language] for key in keys} for language in ("zh", "en")}


def _views(desk: Desk) -> list[BaseRoute]:
    async def health(request: Request) -> Response:
        return answer({"ok": True})

    async def state(request: Request) -> Response:
        return answer(await in_thread(desk.state, language_of(request)))

    async def messages(request: Request) -> Response:
        return answer(sentences())

    async def seal(request: Request) -> Response:
        receipt = await in_thread(desk.prove)
        language, live = language_of(request), desk.jobs.sealed()[1]
        rows = [{"what": row.what, "way": row.way, "verdict": row.verdict} for row in receipt.rows(language)]
        return answer(
            {
                "outcome": receipt.outcome,
                "lines": receipt.lines(language),
                "rows": rows,
                "json": receipt.to_json(),
                "live": {"network": live.network, "write": live.write, "program": live.program},
            }
        )

    return [
        Route("/api/health", Door(GET=health)),
        Route("/api/state", Door(GET=state)),
        Route("/api/messages", Door(GET=messages)),
        Route("/api/seal", Door(GET=seal)),
    ]


def _orders(desk: Desk) -> list[BaseRoute]:
    async def wipe(request: Request) -> Response:
        return answer(wire.wiped(await in_thread(desk.wipe)))

    async def settings(request: Request) -> Response:
        return answer(desk.settings(language_of(request)))

    async def set_settings(request: Request) -> Response:
        await in_thread(desk.set, await fields_of(request))
        return answer(desk.settings(language_of(request)))

    async def fetch(request: Request) -> Response:
        model = (await fields_of(request)).text("model")
        await in_thread(desk.intake.while_empty, lambda: desk.setup.fetch(model))
        return answer(await in_thread(desk.topic, "setup", language_of(request)), 202)

    async def cancel(request: Request) -> Response:
        await in_thread(desk.setup.cancel)
        return answer({}, 202)

    return [
        Route("/api/wipe", Door(POST=wipe)),
        Route("/api/settings", Door(GET=settings, PUT=set_settings)),
        Route("/api/setup/fetch", Door(POST=fetch)),
        Route("/api/setup/cancel", Door(POST=cancel)),
    ]


def _kept(desk: Desk) -> list[BaseRoute]:
    async def keep(request: Request) -> Response:
        asked = await fields_of(request)
        return answer(await in_thread(desk.set_keep, asked.flag("on"), asked.maybe_text("passphrase")))

    async def kept(request: Request) -> Response:
        return answer(await in_thread(desk.keep.recordings))

    async def export(request: Request) -> Response:
        name, options = request.path_params["format"], export_options(request)

        def made() -> tuple[bytes, str]:
            transcript = desk.keep.vault().transcript(request.path_params["kept"], desk.script, options.language)
            return exports.export(transcript, name, options), transcript.source.name

        body, recording = await in_thread(made)
        return attachment(body, recording, name)

    async def delete(request: Request) -> Response:
        def done() -> str:
            deleted = desk.keep.vault().delete(request.path_params["kept"])
            return deleted.message(language_of(request))

        return answer({"message": await in_thread(done)})

    return [
        Route("/api/keep", Door(POST=keep)),
        Route("/api/kept", Door(GET=kept)),
        Route("/api/kept/{kept}", Door(DELETE=delete)),
        Route("/api/kept/{kept}/export/{format}", Door(GET=export)),
    ]
