"""The gateway as a program: `python -m adw.gateway.serve FD [RECORD]`.

FD is a socket that listens already: whoever started us keeps it, so that the port stays, and connections wait, when we die.
On standard input: a line of JSON with the settings, then one with all leases each time that they change. Keys come this way
alone: a command line and an environment are there for others to read. On standard output: a line of JSON for each event.
It ends when its standard input does, and so never outlives adw.
"""

import asyncio
import json
import logging
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

from adw.gateway.proxy import Proxy

LINE = 2**24  # bytes of one line at most
KEPT = 120  # seconds that a connection of an agent stays open for its next request


def tell(event: dict[str, Any]) -> None:
    """Tell the process that started us; if it is gone, nobody listens."""
    with suppress(OSError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def take(proxy: Proxy, line: bytes) -> None:
    """Have the leases of a line in force, and say so."""
    state = json.loads(line)
    proxy.lease(state["leases"])
    tell({"event": "ready", "version": state["version"]})


async def told() -> asyncio.StreamReader:
    """Our standard input."""
    reader = asyncio.StreamReader(LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def serve(listening: socket.socket, record: Path | None) -> None:
    """Serve until our standard input ends."""
    lines = await told()
    proxy = Proxy(json.loads(await lines.readline()), tell, record)
    take(proxy, await lines.readline())  # before the first request, which may have waited through the death of another
    config = uvicorn.Config(
        proxy, http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None, access_log=False, timeout_keep_alive=KEPT, timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    async for line in lines:
        take(proxy, line)
    server.should_exit = True
    await serving


def main() -> None:
    """Run it."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    fd, *record = sys.argv[1:]
    asyncio.run(serve(socket.socket(fileno=int(fd)), Path(record[0]) if record else None))


if __name__ == "__main__":
    main()
