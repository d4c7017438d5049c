"""Starts the process of a run and watches it: shows what happens, keeps the server up, ends all of it on Ctrl-C."""

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from adw import proc, server
from adw.cli.view import LineView, LiveView, summary
from adw.errors import AdwError
from adw.journal import Journal
from adw.mirror import Hub
from adw.progress import Progress
from adw.server import Server

TRY_AGAIN = 75  # the runner's word for: the infrastructure failed
RESTARTS = 3  # without progress between them
STUCK_MINUTES = 5.0  # nothing runs and nothing happens for so long: something waits for ever
LAST_CHANCE = 2.2  # seconds that the runner has to end by itself after Ctrl-C
INTERRUPTED = 130


class Interrupts:
    """Counts Ctrl-C (and TERM): the first one asks, the second one insists."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def heard(self) -> Iterator["Interrupts"]:
        """Count for the block."""

        def more(*_: object) -> None:
            self.count += 1

        before = [(number, signal.signal(number, more)) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            yield self
        finally:
            for number, handler in before:
                signal.signal(number, handler)


def new_run(hub: Hub, delivery: dict[str, Any]) -> Journal:
    """The folder of a new run, with what is asked for in it."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"
    journal = Journal(hub.place.runs / name)
    journal.keep({**delivery, "run": name})
    return journal


def supervise(journal: Journal, console: Console) -> int:
    """Run what a run's folder asks for to its end, and tell about it; returns adw's exit status."""
    progress, began = Progress(), time.monotonic()
    view = LiveView(console) if console.is_terminal else LineView(console)
    _, position = journal.events()
    with Interrupts().heard() as interrupts:
        with view.shown():
            view.tick(progress)
            with server.in_use(view.say) as prefect:
                view.say("starting the run")
                status = _watch(journal, prefect, progress, position, view, interrupts)
        if progress.ui:
            console.print(f"in the Prefect UI: {progress.ui}", soft_wrap=True)
        summary(console, progress, time.monotonic() - began)
    if status == INTERRUPTED:
        console.print(f"interrupted; what was done is kept: `adw resume {journal.folder.name}` goes on with it")
    return status


def _watch(journal: Journal, prefect: Server, progress: Progress, position: int, view: Any, interrupts: Interrupts) -> int:
    """The loop of a run; the exit status of its process, which is started again if it dies."""
    runner, restarts, checked = _start(journal, prefect), 0, time.monotonic()
    while True:
        status = runner.wait(0.1)
        events, position = journal.events(position)
        for event in events:
            progress.add(event)
            view.event(progress, event)
            restarts = 0 if event["event"] in {"phase", "outcome"} else restarts
        view.tick(progress)
        if interrupts.count:
            return _interrupted(runner, journal, view, interrupts)
        if status is not None:
            if status >= 0 and status != TRY_AGAIN:
                return status
            restarts += 1
            if restarts > RESTARTS:
                msg = f"the run's process ended {restarts} times without getting on; see {journal.folder / 'flow.log'}"
                journal.event("run ended", state="failed", reason=msg)
                raise AdwError(msg)
            view.say("the run's process died; starting it again")
            runner = _start(journal, prefect)
        if time.monotonic() - checked > 2:  # noqa: PLR2004
            checked = time.monotonic()
            if prefect.own and not server.kept():
                prefect = server.ensure(view.say)
            if progress.flow_run and not progress.busy and time.time() - progress.last > STUCK_MINUTES * 60:
                view.say("the run waits for something that does not come; starting it again")
                runner.signal(signal.SIGKILL)
                progress.last = time.time()


def _start(journal: Journal, prefect: Server) -> proc.Process:
    env = {**os.environ, **prefect.environment(), "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore", "PREFECT_CLIENT_MAX_RETRIES": "8"}
    return proc.spawn([sys.executable, "-m", "adw.cli.runner", str(journal.folder)], env=env, log=journal.folder / "flow.log", leash=True)


def _interrupted(runner: proc.Process, journal: Journal, view: Any, interrupts: Interrupts) -> int:
    """End the run's process, its agents first; by force when its time is up, or at a second Ctrl-C."""
    view.say("ending the agents (Ctrl-C again: at once)")
    runner.signal(signal.SIGTERM)
    until = time.monotonic() + LAST_CHANCE
    while runner.wait(0.05) is None and time.monotonic() < until and interrupts.count < 2:  # noqa: PLR2004
        pass
    if runner.poll() is None:
        runner.signal(signal.SIGKILL)  # its agents end with it: their keepers see it go
        runner.wait(1)
    if not journal.progress().ended:
        journal.event("run ended", state="interrupted", reason="")
    return INTERRUPTED
