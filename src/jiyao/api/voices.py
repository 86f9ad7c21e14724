"""Routes for who said it: telling speakers apart anew, names that can be offered, voices that are to be known again.

A name is offered, with what speaks for it: words of the speaker, or the likeness to a voice in the vault. Nothing is
put in until a person takes it.
"""

from __future__ import annotations

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from jiyao.api import wire
from jiyao.api.answers import Door, answer, fields_of, in_thread
from jiyao.api.desk import Desk
from jiyao.errors import UsageError
from jiyao.messages import Language, say
from jiyao.speakers import MOST_VOICES
from jiyao.speakers.known import resembles
from jiyao.speakers.naming import suggestions
from jiyao.transcript import span_ms

# what speakers are called until somebody names them
_NUMBERED = {
    say("speakers.numbered", tongue, number=n + 1) for tongue in get_args(Language) for n in range(MOST_VOICES)
}
_LONGEST_NAME = 130  # characters: a name, a bar, a role


def routes(desk: Desk) -> list[BaseRoute]:
    def offered(job: str) -> wire.Json:
        known = desk.keep.voices()
        alike = [
            {"speaker": speaker, "name": one.name, "percent": round(100 * one.score)}
            for speaker, likeness in desk.jobs.likenesses(job).items()
            for one in resembles(likeness, known)[:1]
        ]
        named = [name for name in desk.jobs.likenesses(job) if name not in _NUMBERED]
        return {"suggested": _suggested(desk, job), "alike": alike, "known": sorted(known), "named": named}

    async def names(request: Request) -> Response:
        return answer(await in_thread(offered, request.path_params["job"]))

    async def tell_apart(request: Request) -> Response:
        asked = await fields_of(request)
        count = asked.number("count") if "count" in asked else None
        if count is not None and not 1 <= count <= MOST_VOICES:
            raise UsageError("web.bad_field", name="count")
        if not desk.setup.tells_apart:
            raise UsageError("web.no_speakers")
        await in_thread(desk.jobs.tell_apart, request.path_params["job"], count)
        return answer({}, 202)

    def remembered(job: str, name: str) -> None:
        likeness = desk.jobs.likenesses(job).get(name)
        if likeness is None:
            raise UsageError("voices.not_heard", name=name[:_LONGEST_NAME])
        desk.keep.keep_voice(name, likeness)

    async def remember(request: Request) -> Response:
        name = request.path_params["name"]
        await in_thread(remembered, (await fields_of(request)).text("job"), name)
        return answer({})

    async def forget(request: Request) -> Response:
        await in_thread(desk.keep.delete_voice, request.path_params["name"])
        return answer({})

    return [
        Route("/api/jobs/{job}/speakers", Door(GET=names, POST=tell_apart)),
        Route("/api/voices/{name:path}", Door(PUT=remember, DELETE=forget)),
    ]


def _suggested(desk: Desk, job: str) -> list[wire.Json]:
    lines = desk.jobs.lines(job)
    found = []
    for one in suggestions(line.segment for line in lines):
        line = lines[one.segment]
        start_ms, end_ms = span_ms(line.segment, one.start, one.end)
        found.append(
            {
                "speaker": one.speaker,
                "name": one.name,
                "start_ms": start_ms,
                "end_ms": end_ms,
                "quote": line.segment.text[one.start : one.end],
            }
        )
    return found
