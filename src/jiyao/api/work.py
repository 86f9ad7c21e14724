"""Routes for jobs: what there is, what shall happen to it, its text changed and taken away.

In:  requests. Out: JSON, files. Whatever waits for the jobs' lock for long, or for a worker, does so in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import cast, get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from jiyao import editing, exports
from jiyao.api import wire
from jiyao.api.answers import Door, Fields, answer, fields_of, in_thread, is_on, language_of
from jiyao.api.desk import Desk
from jiyao.editing import Correct, Decline, Merge, Rename, Revert, SetSpeaker, SetText, Settle, Split
from jiyao.errors import UsageError
from jiyao.exports import ExportOptions
from jiyao.glossary import learned
from jiyao.messages import Language
from jiyao.settings import EngineChoice


def routes(desk: Desk) -> list[BaseRoute]:
    return [*_states(desk), *_texts(desk), *_files(desk)]


def _job(request: Request) -> str:
    return str(request.path_params["job"])


def _states(desk: Desk) -> list[BaseRoute]:
    jobs = desk.jobs

    def whole(job: str, language: Language) -> wire.Json:
        view = jobs.get(job)  # first: lines may be newer than `seq`, never older
        return wire.detail(view, jobs.lines(job), language)

    async def show(request: Request) -> Response:
        return answer(await in_thread(whole, _job(request), language_of(request)))

    async def remove(request: Request) -> Response:
        return answer(wire.wiped(await in_thread(desk.remove, _job(request))))

    async def cancel(request: Request) -> Response:
        await in_thread(jobs.cancel, _job(request))
        return answer({})

    async def resume(request: Request) -> Response:
        await in_thread(jobs.resume, _job(request))
        return answer({})

    async def retry(request: Request) -> Response:
        asked, job = await fields_of(request), _job(request)
        options = desk.options_again(job, asked.maybe_text("language"), language_of(request))
        part = asked.number("part") if "part" in asked else None
        clips = asked.numbers("clips") if "clips" in asked else None
        engine = _engine(asked.maybe_text("engine"))

        def again() -> int:
            return jobs.retry(job, part=part, clips=clips, options=options, engine=engine)

        return answer({"version": await in_thread(again)})

    async def show_version(request: Request) -> Response:
        asked = await fields_of(request)
        await in_thread(jobs.show, _job(request), asked.number("clip"), asked.number("version"))
        return answer({})

    async def reorder(request: Request) -> Response:
        await in_thread(jobs.reorder, (await fields_of(request)).texts("order"))
        return answer({})

    return [
        Route("/api/jobs/{job}", Door(GET=show, DELETE=remove)),
        Route("/api/jobs/{job}/cancel", Door(POST=cancel)),
        Route("/api/jobs/{job}/resume", Door(POST=resume)),
        Route("/api/jobs/{job}/retry", Door(POST=retry)),
        Route("/api/jobs/{job}/show", Door(POST=show_version)),
        Route("/api/queue", Door(POST=reorder)),
    ]


def _texts(desk: Desk) -> list[BaseRoute]:
    jobs = desk.jobs

    def changed(job: str, asked: list[Fields]) -> wire.Json:
        texts = {line.id: line.segment.text for line in jobs.lines(job)}
        try:
            seq = jobs.edit(job, [_change(one, texts) for one in asked])
        except ValueError as cause:
            raise UsageError("web.cannot_split") from cause
        return {"seq": seq, "learned": taught(job, asked, texts)}

    def taught(job: str, asked: list[Fields], texts: Mapping[str, str]) -> wire.Json | None:
        """By a person who wrote one text. `from`: as it was when they began; the page saves while they write."""
        if len(asked) != 1 or asked[0].text("kind") != "text":
            return None
        old = asked[0].maybe_text("from") or texts.get(asked[0].text("line"), "")
        known = learned(old, " ".join(asked[0].text("text").split()))
        if known is None:
            return None
        return {"before": known.before, "after": known.after, "places": jobs.places(job, known.before)}

    async def edit(request: Request) -> Response:
        asked = (await fields_of(request)).objects("changes")
        return answer(await in_thread(changed, _job(request), asked))

    async def replace(request: Request) -> Response:
        asked = await fields_of(request)
        before, after = asked.text("before"), " ".join(asked.text("after").split())
        if not before.strip() or not after:
            raise UsageError("web.bad_field", name="before" if after else "after")
        return answer({"done": await in_thread(jobs.replace, _job(request), before, after)})

    async def undo(request: Request) -> Response:
        return answer({"done": await in_thread(jobs.undo, _job(request))})

    async def redo(request: Request) -> Response:
        return answer({"done": await in_thread(jobs.redo, _job(request))})

    return [
        Route("/api/jobs/{job}/edits", Door(POST=edit)),
        Route("/api/jobs/{job}/replace", Door(POST=replace)),
        Route("/api/jobs/{job}/undo", Door(POST=undo)),
        Route("/api/jobs/{job}/redo", Door(POST=redo)),
    ]


def _line(one: Fields) -> tuple[str, int]:
    return one.text("line"), one.number("version")


_Place = Callable[[str], int]  # the character in the line that a field names in UTF-16 units
_KINDS: Mapping[str, Callable[[Fields, _Place], editing.Change]] = {
    "text": lambda one, _: SetText(*_line(one), one.text("text")),
    "split": lambda one, place: Split(*_line(one), place("offset")),
    "merge": lambda one, _: Merge(*_line(one)),
    "speaker": lambda one, _: SetSpeaker(*_line(one), one.maybe_text("speaker")),
    "rename": lambda one, _: Rename(one.text("speaker"), one.text("name")),
    "settle": lambda one, _: Settle(*_line(one)),
    "correct": lambda one, place: Correct(*_line(one), place("start"), one.text("before"), one.text("after")),
    "decline": lambda one, _: Decline(*_line(one), one.text("before"), one.text("after")),
    "revert": lambda one, place: Revert(*_line(one), place("start")),
}


def _change(one: Fields, texts: Mapping[str, str]) -> editing.Change:
    """`texts`: of the lines, for an offset in UTF-16 units; another version than the one asked for is a conflict."""
    kind = one.text("kind")
    if kind not in _KINDS:
        raise UsageError("web.bad_field", name="kind")
    return _KINDS[kind](one, lambda name: wire.characters(texts.get(one.text("line"), ""), one.number(name)))


def _engine(name: str | None) -> EngineChoice | None:
    if name is not None and name not in get_args(EngineChoice):
        raise UsageError("web.bad_field", name="engine")
    return cast("EngineChoice | None", name)


def _files(desk: Desk) -> list[BaseRoute]:
    async def export(request: Request) -> Response:
        job, name = _job(request), request.path_params["format"]
        body = await in_thread(desk.transcript_bytes, job, name, export_options(request))
        return attachment(body, desk.jobs.get(job).name, name)

    async def text(request: Request) -> Response:
        body = await in_thread(desk.transcript_bytes, _job(request), "txt", export_options(request))
        return Response(body, headers={"Cache-Control": "no-store"}, media_type="text/plain; charset=utf-8")

    return [
        Route("/api/jobs/{job}/export/{format}", Door(GET=export)),
        Route("/api/jobs/{job}/text", Door(GET=text)),
    ]


def export_options(request: Request) -> ExportOptions:
    """The three choices, on where nothing is said, and the language of headings."""
    switches = {name: is_on(request, name) for name in ("times", "speakers", "merge")}
    return ExportOptions(**switches, language=language_of(request))


def attachment(body: bytes, recording: str, name: str) -> Response:
    """A file to be saved, called as the recording is (RFC 6266, RFC 5987)."""
    form = exports.FORMATS[name]
    called = (PurePath(recording).stem or "jiyao") + form.suffix
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_. ") else "_" for letter in called)
    encoded = quote(called, safe="", errors="replace")
    headers = {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}",
        "Cache-Control": "no-store",
    }
    return Response(body, headers=headers, media_type=form.media_type)
