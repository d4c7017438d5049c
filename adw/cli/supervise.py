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

from adw import proc, records, server
from adw.cli.json_view import chosen_view
from adw.cli.notify import teller
from adw.cli.question import Asker
from adw.cli.view import View, summary
from adw.errors import AdwError
from adw.journal import Journal
from adw.mirror import Hub
from adw.server import Server

TRY_AGAIN = 75  # the runner's word for: the infrastructure failed
RESTARTS = 3  # without progress between them
STUCK_MINUTES = 60.0  # nothing runs and nothing happens for so long: something waits for ever
SILENT_CHECKS = 30  # without a heartbeat: the process hangs as a whole
CHECK_EACH = 2.0  # seconds between looks at the server
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
    began = time.monotonic()
    view = chosen_view(console, journal.folder.name)
    with Interrupts().heard() as interrupts:
        with view.shown(), server.in_use(view.say) as prefect:
            supervisor = Supervisor(journal, prefect, view, interrupts)
            with teller(journal, console).at_work() as telling, Asker(console, view, supervisor.progress).at_work():
                status = supervisor.watch()
                telling.patience = 0.0 if status == INTERRUPTED else telling.patience
            supervisor.read()
        if not records.wanted():
            summary(console, supervisor.progress, time.monotonic() - began)
    if status == INTERRUPTED and not records.wanted():
        console.print(f"interrupted; what was done is kept: `adw resume {journal.folder.name}` goes on with it")
    return status


class Supervisor:
    """Watches the process of one run."""

    def __init__(self, journal: Journal, prefect: Server, view: View, interrupts: Interrupts) -> None:
        self._reader = journal.reader(from_now=True)  # what an earlier try at this run said is history
        self.progress = self._reader.progress
        self._journal, self._prefect, self._view, self._interrupts = journal, prefect, view, interrupts
        self._restarts = 0
        self._beat, self._silent = 0.0, 0

    def watch(self) -> int:
        """Start the process, and again if it dies; the exit status with which it ends for good."""
        self._view.say("starting the run")
        runner, checked = self._start(), time.monotonic()
        while True:
            status = runner.wait(0.1)
            self.read()
            if self._interrupts.count:
                return self._end(runner)
            if status is not None:
                if status >= 0 and status != TRY_AGAIN:
                    return status
                runner = self._again()
            if time.monotonic() - checked > CHECK_EACH:
                checked = time.monotonic()
                self._check(runner)

    def _start(self) -> proc.Process:
        env = {**os.environ, **self._prefect.environment(), **records.environment(), "PREFECT_CLIENT_MAX_RETRIES": "8"}
        # -P: it starts in the user's repository, whose `tasks` or `flows` would else be taken for ours
        argv = [sys.executable, "-P", "-m", "adw.cli.runner", str(self._journal.folder)]
        return proc.spawn(argv, env=env, log=self._journal.folder / "flow.log", leash=True)

    def read(self) -> None:
        """Take in what the journal says, and show it."""
        for event in self._reader.news():
            self._view.event(self.progress, event)
            self._restarts = 0 if event["event"] == "outcome" or event.get("state") == "done" else self._restarts
        self._view.tick(self.progress)

    def _again(self) -> proc.Process:
        """Start the process again; AdwError if that brings it no further."""
        self._restarts += 1
        if self._restarts > RESTARTS:
            msg = f"the run's process ended {self._restarts} times without getting on; see {self._journal.folder / 'flow.log'}"
            self._journal.event("run ended", state="failed", reason=msg)
            raise AdwError(msg)
        self._view.say("the run's process died; starting it again")
        return self._start()

    def _check(self, runner: proc.Process) -> None:
        """Keep the server up, and end a process that waits for what does not come."""
        if self._prefect.own and not server.kept():
            self._prefect = server.ensure(self._view.say)
        beat = self._journal.heart.stat().st_mtime if self._journal.heart.exists() else 0.0
        waits = self.progress.stuck(time.time(), STUCK_MINUTES)
        self._silent = 0 if beat != self._beat else self._silent + 1
        self._beat = beat
        if waits or self._silent > SILENT_CHECKS:
            self._view.say("the run does not get on; starting it again")
            runner.signal(signal.SIGKILL)
            self.progress.last, self._silent = time.time(), 0

    def _end(self, runner: proc.Process) -> int:
        """End the run's process, its agents first; by force when its time is up, or at a second Ctrl-C."""
        self._view.say("ending the agents (Ctrl-C again: at once)")
        runner.hang_up()
        until = time.monotonic() + LAST_CHANCE
        while runner.wait(0.05) is None and time.monotonic() < until and self._interrupts.count < 2:  # noqa: PLR2004
            pass
        if runner.poll() is None:
            runner.signal(signal.SIGKILL)  # its agents end with it: their keepers see it go
            runner.wait(1)
        self.read()
        if not self.progress.ended:
            self._journal.event("run ended", state="interrupted", reason="")
        return INTERRUPTED
