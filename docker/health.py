"""Is jiyao answering? For Docker: exit 0 or 1."""

from __future__ import annotations

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("JIYAO_PORT") or 8501), timeout=4)
try:
    connection.request("GET", "/api/health")
    sys.exit(0 if connection.getresponse().status == 200 else 1)
except (OSError, http.client.HTTPException):
    sys.exit(1)
