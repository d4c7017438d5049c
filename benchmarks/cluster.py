"""What a cluster gives, and what it costs: `make bench-small`.

One, two and three workers with four slots each, every one under an ADW_HOME of its own and with nothing but the hub's URL, on
agents that take time but no CPU; and a phase on a worker against the same phase on the host of the run. Everything is on
loopback of one machine, so the figures are of adw and Dask, not of a network. Exit status 1 if a limit is not met.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.small import Figure, repository

SECONDS = 8.0  # what each agent takes; the test takes none
ISSUES, SLOTS = 24, 4
PHASES = 4  # one after another on the way of an issue
HOST = "127.0.0.1"
AGENT = f'sleep {SECONDS}; [ "$ADW_PHASE" != build ] || echo x > "$ADW_ISSUE.txt"'


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody answers at a port."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"nobody answers at port {port}")


@contextmanager
def running(*argv: str, **env: str) -> "Iterator[subprocess.Popen[str]]":
    """A program, for the block."""
    with subprocess.Popen(argv, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def workers(number: int, scheduler: str, let_in: dict[str, str], folder: Path) -> Iterator[None]:
    """So many workers, connected."""
    with ExitStack() as stack:
        started = []
        for n in range(number):
            home = str(folder / f"worker-{n}")
            env = {"ADW_HOME": home, "PREFECT_HOME": f"{home}/prefect", **let_in}
            argv = (sys.executable, "-m", "adw", "worker", "--scheduler", scheduler, "--slots", str(SLOTS))
            started.append(stack.enter_context(running(*argv, **env)))
        for process in started:
            if process.stdout is None or "lends" not in process.stdout.readline():
                sys.exit("a worker did not start")
        yield


def deliver(home: Path, hub: Path, number: int, *flags: str) -> list[dict[str, Any]]:
    """Deliver so many new issues; what happened."""
    issues = hub.parent / f"issues-{time.monotonic_ns()}"
    issues.mkdir()
    for n in range(number):
        (issues / f"{issues.name}-{n}.md").write_text(f"# Add {issues.name} {n}\n\nplease\n")
    argv = [sys.executable, "-m", "adw", "run", str(issues), "--agent-command", AGENT, "--test-command", "test -f code.txt", *flags]
    done = subprocess.run(argv, cwd=hub, env={**os.environ, "ADW_HOME": str(home)}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"adw run failed with status {done.returncode}: {done.stdout[-2000:]}")
    newest = max(home.glob("repositories/*/runs/*/events.jsonl"), key=lambda path: path.stat().st_mtime)
    return [json.loads(line) for line in newest.read_text().splitlines()]


def wall(events: list[dict[str, Any]]) -> float:
    """Seconds from the start of the flow to the last issue's end, landing included."""
    began = next(e["timestamp"] for e in events if e["event"] == "flow started")
    return float(max(e["timestamp"] for e in events if e["event"] == "outcome") - began)


def path(events: list[dict[str, Any]]) -> float:
    """Seconds that the one issue of a run took: four phases one after another (plan, build, those at once, the test of what lands)."""
    began = next(e["timestamp"] for e in events if e["event"] == "phase" and e["phase"] == "plan")
    return float(next(e["timestamp"] for e in events if e["event"] == "outcome") - began)


def measure(folder: Path) -> Iterator[Figure]:
    """The figures."""
    hub, home = repository(folder / "hub", 10), folder / "home"
    daemon, dask = free_port(), free_port()
    with ExitStack() as stack:
        serve = ("git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", f"--base-path={hub}", f"--listen={HOST}", f"--port={daemon}")
        stack.enter_context(running(*serve, str(hub)))
        stack.enter_context(running(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", HOST, "--port", str(dask), "--no-dashboard"))
        for port in (daemon, dask):
            wait_for(port)
        (hub / "adw.toml").write_text(f'[cluster]\nhub = "git://{HOST}:{daemon}/.git"\n[pool]\nmemory_gb = 0\ndisk_floor = 0\nsize = {SLOTS}\n')
        deliver(home, hub, 1)  # the first time everything is made
        near = path(deliver(home, hub, 1))
        state = json.loads((home / "prefect" / "server.json").read_text())
        let_in = {"PREFECT_API_URL": state["api"], "PREFECT_API_AUTH_STRING": state["login"]}
        scheduler = f"tcp://{HOST}:{dask}"
        took = {}
        for number in (1, 2, 3):
            with workers(number, scheduler, let_in, folder):
                if number == 1:
                    deliver(home, hub, 1, "--scheduler", scheduler)
                    far = path(deliver(home, hub, 1, "--scheduler", scheduler))
                    yield Figure("what a phase takes longer on a worker than on the host of the run", (far - near) / PHASES, "s", 1)
                took[number] = wall(deliver(home, hub, ISSUES, "--scheduler", scheduler))
        yield Figure(f"{ISSUES} issues on two workers of {SLOTS} slots, against one", took[1] / took[2], "x", 1.9, at_least=True)
        yield Figure(f"{ISSUES} issues on three workers of {SLOTS} slots, against one", took[1] / took[3], "x", 2.8, at_least=True)
        print(f"   (one, two and three workers took {took[1]:.0f}, {took[2]:.0f} and {took[3]:.0f} s; agents of {SECONDS:g} s)", flush=True)
        subprocess.run([sys.executable, "-m", "adw", "clean", "--server"], cwd=hub, env={**os.environ, "ADW_HOME": str(home)}, check=True, capture_output=True)


def main() -> int:
    """Measure all and print it."""
    met = True
    with tempfile.TemporaryDirectory() as folder:
        for figure in measure(Path(folder)):
            print(figure, flush=True)
            met = met and figure.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
