"""`adw worker`: lends this host's slots to runs that were started elsewhere, until it is told to end or its scheduler is gone."""

import asyncio
import os
import signal
import sys
from typing import Any, NoReturn

from adw import guard, server
from adw.config import PoolConfig
from adw.errors import AdwError, Misuse
from adw.home import writable_home
from adw.login import users_setting

CONNECT_LIMIT = 5  # seconds
EACH_CORE = 4  # slots for each core at most: agents wait for a model most of the time, but their tests do not


def work(scheduler: str, slots: int | None) -> NoReturn:
    """Work until the end, which is this process's."""
    folder = writable_home() / "worker"
    _check_server()
    os.environ.update({**server.UNUSED, "PREFECT_CLIENT_MAX_RETRIES": "8"})  # before Prefect is imported

    import dask.config  # noqa: PLC0415

    from flows.cluster import QUIET  # noqa: PLC0415
    from tasks.remote import preload  # noqa: PLC0415

    preload()
    dask.config.set(QUIET)
    lent = slots or guard.slots(PoolConfig(size=EACH_CORE * (os.cpu_count() or 1)))
    asyncio.run(_serve(scheduler, lent, str(folder)))
    raise AssertionError  # `_serve` ends the process


def _check_server() -> None:
    """Misuse if the Prefect server of the runs cannot be reached from here."""
    api = users_setting("PREFECT_API_URL")
    if not api:
        msg = "a worker needs the Prefect server of the runs that it works for: set PREFECT_API_URL=http://HOST:PORT/api (there, `adw ui` prints it, with the login)"
        raise Misuse(msg)
    server.check_version(api, "set PREFECT_API_URL to the server of the runs")


async def _serve(scheduler: str, slots: int, folder: str) -> NoReturn:
    leaving = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leaving.set)
    worker = await _connected(scheduler, slots, folder)
    _say(f"lends {slots} slots to {scheduler} as {worker.address}")
    lost = asyncio.create_task(worker.finished())
    told = asyncio.create_task(leaving.wait())
    await asyncio.wait({lost, told}, return_when=asyncio.FIRST_COMPLETED)
    if lost.done():
        _end(f"the scheduler at {scheduler} is gone, and what was under way was ended: start the worker again when it is back", 1)
    # At once, before any task can report that its agent was ended: then the scheduler gives them all to others.
    _end("left; what was under way is done by others", 0)


async def _connected(scheduler: str, slots: int, folder: str) -> Any:
    """A Dask worker that is known to the scheduler; AdwError if that does not answer."""
    from distributed import Worker  # noqa: PLC0415

    from flows.threads import SPARE_THREADS  # noqa: PLC0415

    try:
        worker = Worker(
            scheduler,
            nthreads=slots + SPARE_THREADS,
            resources={"agent": slots, "memory": max(guard.memory(), slots * PoolConfig().memory_gb)},  # so that no slot that was asked for is idle
            memory_limit=0,
            dashboard=False,
            local_directory=folder,
            death_timeout=CONNECT_LIMIT,
        )
        return await worker
    except (TimeoutError, OSError, ValueError, RuntimeError) as no:
        msg = f"the scheduler at {scheduler} does not answer ({type(no).__name__}): start it with `dask scheduler`, and name its address as tcp://HOST:PORT"
        raise AdwError(msg) from no


def _say(text: str) -> None:
    sys.stdout.write(f"adw worker: {text}\n")
    sys.stdout.flush()


def _end(text: str, status: int) -> NoReturn:
    """End this process at once: its agents end with it, as their keepers see it go."""
    _say(text)
    os._exit(status)
