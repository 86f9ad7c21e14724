"""The one way into a container without a network: what comes in on a port goes to one fixed address, and back.

    python door.py HOST:PORT [PORT]     listens on the second one, or on 8501

A network that is `internal` in Docker publishes no port. This stands in that network and in another that does; it reads
nothing of what passes, opens no connection but to HOST:PORT, and only when somebody came in. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

LISTEN = 8501
PIECE = 1 << 16
PATIENCE_S = 5


async def main(host: str, port: int, listen: int = LISTEN) -> None:
    async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.wait_for(asyncio.open_connection(host, port), PATIENCE_S)
        except (OSError, asyncio.TimeoutError):
            writer.close()
            return
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    async with await asyncio.start_server(come_in, "0.0.0.0", listen) as server:
        await server.serve_forever()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()  # one side has said all, or is gone: a page's connection is of no use half open
    with contextlib.suppress(OSError):
        await writer.wait_closed()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    name, _, number = sys.argv[1].partition(":")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(name, int(number), *map(int, sys.argv[2:3])))
