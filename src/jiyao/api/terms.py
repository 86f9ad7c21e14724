"""Routes for terms: named sets in the vault, tables that become terms, candidates from documents. The terms in force
are a setting (`house`).

A document comes in as its bytes are, is read by a sealed child (`worker.reading`), and zeroed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from jiyao import glossary, seal
from jiyao.api import wire
from jiyao.api.answers import Door, Handler, answer, content_length, failure, fields_of, in_thread, language_of
from jiyao.api.desk import Desk
from jiyao.api.receiving import Early
from jiyao.documents import MAX_BYTES, plain
from jiyao.errors import DocumentError, JiyaoError, UsageError
from jiyao.glossary.harvest import harvest
from jiyao.glossary.tables import terms_text
from jiyao.messages import Language, say
from jiyao.worker.reading import read_document

_LONGEST_TERMS = 200_000  # characters, as in the box
_MOST_TABLE_BYTES = 4 * _LONGEST_TERMS
_TABLES = (".csv", ".tsv")

Work = Callable[[bytearray, Request], wire.Json]


def routes(desk: Desk) -> list[BaseRoute]:
    return [*_sets(desk), *_files()]


def _sets(desk: Desk) -> list[BaseRoute]:
    async def sets(request: Request) -> Response:
        if not desk.keep.has_sets:
            return answer({"available": False, "sets": []})
        found = await in_thread(desk.keep.sets)
        told = [{"name": name, "count": len(glossary.parse(text).terms)} for name, text in found.items()]
        return answer({"available": True, "sets": told})

    async def one(request: Request) -> Response:
        name = request.path_params["name"]
        found = await in_thread(desk.keep.sets)
        if name not in found:
            raise UsageError("terms.unknown_set", name=name)
        return answer({"name": name, "terms": found[name]})

    async def keep(request: Request) -> Response:
        name, text = request.path_params["name"], (await fields_of(request)).text("terms")
        _require_short(text)
        terms = await in_thread(desk.keep.keep_set, name, text)
        return answer({"name": name, "count": len(terms.terms)})

    async def delete(request: Request) -> Response:
        await in_thread(desk.keep.delete_set, request.path_params["name"])
        return answer({})

    return [
        Route("/api/terms/sets", Door(GET=sets)),
        Route("/api/terms/sets/{name:path}", Door(GET=one, PUT=keep, DELETE=delete)),
    ]


def _files() -> list[BaseRoute]:
    def imported(data: bytearray, request: Request) -> wire.Json:
        text = plain.decoded(bytes(data))
        if request.query_params.get("name", "").lower().endswith(_TABLES):
            text = terms_text(text)
        _require_short(text)
        return {"terms": text, "count": len(glossary.parse(text).terms)}

    def extracted(data: bytearray, request: Request) -> wire.Json:
        document = read_document(data)
        language: Language = language_of(request)
        notes = [say(f"documents.gap_{gap}", language) for gap in document.gaps]
        return {"candidates": [asdict(one) for one in harvest([document.text])], "notes": notes}

    return [
        Route("/api/terms/import", Door(PUT=_taking(_MOST_TABLE_BYTES, imported))),
        Route("/api/terms/extract", Door(PUT=_taking(MAX_BYTES, extracted))),
    ]


def _taking(most_bytes: int, work: Work) -> Handler:
    """A handler for the bytes of one file: in memory, zeroed afterwards."""

    async def take(request: Request) -> ASGIApp:
        data = bytearray()
        try:
            if content_length(request) > most_bytes:
                raise DocumentError("documents.too_large", megabytes=round(most_bytes / (1 << 20), 1))
            async for piece in request.stream():
                data += piece
            return answer(await in_thread(work, data, request))
        except JiyaoError as refused:
            return Early(failure(refused, request))
        finally:
            seal.wipe(data)

    return take


def _require_short(terms: str) -> None:
    if len(terms) > _LONGEST_TERMS:
        raise UsageError("web.terms_too_long", most=_LONGEST_TERMS)
