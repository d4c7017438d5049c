"""`adw serve`: Prefect server, registration, worker and schedules in the foreground, each with a line on how it is."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from adw import proc, records, server
from adw.cli.api import ask, joined
from adw.cli.json_view import tell
from adw.cli.supervise import Interrupts
from adw.errors import AdwError
from adw.home import Place, places, writable_home
from adw.mirror import find_hub
from adw.model import digest
from adw.server import Server

EACH = 3.0  # seconds between two looks at what changes slowly
END_LIMIT = 15.0  # seconds that the worker has to end its runs
PATIENCE = 30.0  # seconds at most between two starts of a worker that dies again and again


def serve(host: str, port: int) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    writable_home()
    os.environ.update({"ADW_SERVER_HOST": host} if host else {}, **({"ADW_SERVER_PORT": str(port)} if port else {}))
    console = Console()
    with Interrupts().heard() as interrupts, shown(console) as lines:
        lines["server"] = "starting"
        with joined(lambda text: lines.__setitem__("server", text)) as prefect:
            Serving(prefect, lines).until(lambda: bool(interrupts.count))
    console.print("stopped; the server ends by itself when nobody uses it" if prefect.own else "stopped")
    return 0


class Lines(dict[str, str]):
    """A line for each part: on a terminal in place, elsewhere when it changes."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.live = Live(console=console, refresh_per_second=4) if console.is_terminal and not records.wanted() else None

    def __setitem__(self, part: str, text: str) -> None:
        """Say how a part is."""
        if self.get(part) == text:
            return
        super().__setitem__(part, text)
        if records.wanted():
            tell(self._console, event="serving", part=part, text=text, level="error" if text.startswith("✗") else "info")
            return
        if self.live:
            self.live.update(Group(*(self._line(*item) for item in self.items())))
        else:
            self._console.print(self._line(part, text), soft_wrap=True)

    def _line(self, part: str, text: str) -> Text:
        return Text.assemble((f"{part:<10} ", "bold"), (text, "red" if text.startswith("✗") else ""))


@contextmanager
def shown(console: Console) -> Iterator[Lines]:
    """The lines, drawn for the block."""
    lines = Lines(console)
    if lines.live is None:
        yield lines
        return
    with lines.live:
        yield lines


class Serving:
    """The parts, and what is done when one of them dies."""

    def __init__(self, prefect: Server, lines: Lines) -> None:
        self._prefect, self._lines = prefect, lines
        self._worker: proc.Process | None = None
        self._started, self._deaths = 0.0, 0
        self._answered = False  # a server that only just starts is no fault
        self._known: dict[str, str] = {}  # registered repositories, by what they were registered from

    def until(self, over: Callable[[], bool]) -> None:
        """Keep all parts up until it is over; then end the worker with its runs."""
        looked = 0.0
        try:
            while not over():
                self._keep_worker()
                if time.monotonic() - looked > EACH:
                    looked = time.monotonic()
                    self._look()
                time.sleep(0.1)
        finally:
            self._end()

    def _look(self) -> None:
        if self._prefect.own and not server.kept():
            self._lines["server"] = "died; starting it again"
            self._prefect = server.ensure()
        try:
            ask(self._prefect, "get", "/health")
            self._answered = True
            self._lines["server"] = f"{self._prefect.ui} ({'yours' if not self._prefect.own else server.database()})"
            if self._prefect.login:
                self._lines["login"] = "`adw ui` prints it"
            self._lines["worker"] = self._work()
            registered = [place for place in places() if place.registration() or place.root.name in self._known]
            self._lines["schedules"] = f"{len(registered)} registered" if registered else "nothing is registered yet: run `adw deploy` in a repository"
            for place in registered:
                self._tend(place)
        except (httpx.HTTPError, ValueError) as no:
            if self._answered:
                self._lines["server"] = f"✗ {self._prefect.ui} does not answer ({type(no).__name__}); waiting for it"

    def _tend(self, place: Place) -> None:
        """Register a repository again when its configuration changed, and tell when its next run is."""
        noted = place.registration()
        part = place.root.name
        if noted is None:
            if self._known.pop(part, None):
                self._lines[part] = "removed"
            return
        try:
            self._register(part, *noted)
            self._lines[part] = self._next(place.slug)
        except AdwError as no:
            self._lines[part] = f"✗ {no}"

    def _register(self, part: str, repository: Path, branch: str) -> None:
        from deployments.register import register  # noqa: PLC0415 - it reads the settings that serve() has set

        hub = find_hub(repository, branch)
        text = digest(hub.config_text())
        if self._known.get(part) != text:
            said = register(hub, branch)
            self._known[part] = text
            if said:
                self._lines[part] = "; ".join(said)

    def _next(self, slug: str) -> str:
        chosen = {"deployments": {"name": {"any_": [slug]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        runs = ask(self._prefect, "post", "/flow_runs/filter", json={**chosen, "sort": "EXPECTED_START_TIME_ASC", "limit": 1})
        return f"next run {runs[0]['expected_start_time'][:16].replace('T', ' ')} UTC" if runs else "no schedule; runs when asked to"

    def _work(self) -> str:
        if self._worker is None or self._worker.poll() is not None:
            return "✗ died; starting it again"
        pool = {"work_pools": {"name": {"any_": [server.WORK_POOL]}}}
        there = ask(self._prefect, "post", "/work_pools/filter", json=pool)  # not yet, the very first time
        workers = ask(self._prefect, "post", f"/work_pools/{server.WORK_POOL}/workers/filter", json={}) if there else []
        if not any(worker["name"].endswith(f", {self._worker.pid})") for worker in workers):
            return self._lines["worker"]  # it has yet to say that it is there
        at_work = {"state": {"type": {"any_": ["RUNNING", "PENDING", "PAUSED"]}}}
        runs = ask(self._prefect, "post", "/flow_runs/filter", json={**pool, "flow_runs": at_work})
        return f"at work on {', '.join(sorted(run['name'] for run in runs))}" if runs else "waits for runs"

    def _keep_worker(self) -> None:
        """Start the worker, and again when it dies: at once the first time, later with growing pauses."""
        if self._worker and self._worker.poll() is None:
            return
        lived = time.monotonic() - self._started
        if self._worker is None or lived > min(PATIENCE, 2.0**self._deaths):
            self._deaths = 0 if self._worker is None or lived > PATIENCE else self._deaths + 1
            env = {**os.environ, **self._prefect.environment(), **records.environment(), "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_CLIENT_MAX_RETRIES": "8"}
            log = server.folder() / "worker.log"
            self._worker = proc.spawn([sys.executable, "-P", "-m", "deployments.working"], env=env, log=log, leash=True)
            self._started = time.monotonic()
            self._lines["worker"] = f"starting (its log: {log})"

    def _end(self) -> None:
        if self._worker is None:
            return
        self._lines["worker"] = "ending the runs"
        self._worker.hang_up()
        if self._worker.wait(END_LIMIT) is None:
            self._worker.signal(signal.SIGKILL)
        self._lines["worker"] = "ended"
