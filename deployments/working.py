"""The worker of `adw serve` (`python -m deployments.working`): takes up what is scheduled in the work pool, each run in a process of its own."""

import asyncio
import os
import threading

from prefect.workers.process import ProcessWorker

from adw import proc
from adw.server import WORK_POOL

END_LIMIT = 10.0  # seconds that runs have to end their agents and to say so


def mind_the_leash() -> None:
    """When our standard input closes, whoever serves wants an end or is gone: end the runs in good order, then ourselves."""
    while os.read(0, 1024):
        pass
    proc.end_children(END_LIMIT)
    os._exit(0)


def main() -> None:
    """Work until the leash is let go."""
    threading.Thread(target=mind_the_leash, daemon=True).start()
    worker = ProcessWorker(work_pool_name=WORK_POOL, name=f"adw serve ({os.uname().nodename}, {os.getpid()})")
    asyncio.run(worker.start())


if __name__ == "__main__":
    main()
