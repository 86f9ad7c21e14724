"""The side of the child that reads a document: its bytes come in, its text or an error's key goes out, as JSON."""

from __future__ import annotations

import json
import logging
from multiprocessing.connection import Connection

from jiyao import documents
from jiyao.errors import DocumentError


def serve(connection: Connection) -> None:
    """Answer once."""
    logging.disable()  # pypdf tells standard error what it thinks of a file
    try:
        document = documents.read(connection.recv_bytes())
        answer: dict[str, object] = {"text": document.text, "gaps": document.gaps}
    except DocumentError as error:
        answer = {"key": error.key, "parameters": error.parameters}
    except MemoryError:
        answer = {"key": "documents.too_hungry", "parameters": {}}
    connection.send_bytes(json.dumps(answer).encode())
