"""Whole runs: the `adw` command in a process of its own, one Prefect server for the session."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from adw.home import Place
from adw.login import credentials
from tests import fake_github
from tests.conftest import Repository, make_origin, make_repository
from tests.fake_github import TOKEN

LIMIT = 240  # seconds for anything


def until(what: Callable[[], Any], seconds: float = LIMIT) -> Any:
    """Wait for something to become true; fails if it does not."""
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        if found := what():
            return found
        time.sleep(max(0.02, 3 * (time.monotonic() - began)))  # a look at all processes costs: it is to leave the machine to them
    pytest.fail(f"{getattr(what, '__name__', what)} did not become true in {seconds} s")


def api(home: Path) -> str:
    """The address of the session's Prefect server."""
    return str(json.loads((home / "prefect" / "server.json").read_text())["api"])


def login(home: Path) -> str:
    """Its login."""
    return (home / "prefect" / "login").read_text()


def let_in(home: Path) -> dict[str, str]:
    """What a program needs in its environment to use it."""
    return {"PREFECT_API_URL": api(home), "PREFECT_API_AUTH_STRING": login(home)}


def request(home: Path, path: str, body: Any = None) -> Any:
    """The answer of the session's Prefect server, which is asked as who has its login."""
    headers = {"content-type": "application/json", **credentials(login(home))}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{api(home)}/{path}", data, headers)) as answer:
        return json.load(answer)


def ask(home: Path, path: str, **body: Any) -> Any:
    """Ask the session's Prefect server."""
    return request(home, path, body)


def active_slots(home: Path) -> int:
    """How many slots of the tag limit are taken."""
    return sum(limit["active_slots"] for limit in ask(home, "v2/concurrency_limits/filter"))


@dataclass
class Adw:
    """The `adw` command on one repository, with a home that the session's tests share (for its server)."""

    home: Path
    repository: Repository
    issues: Path
    env: dict[str, str] = field(default_factory=dict)
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "ADW_HOME": str(self.home), "ADW_SERVER_IDLE_MINUTES": "5", "ADW_MEMORY": "off", "PYTHONUNBUFFERED": "1", **self.env}

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """Start a command in a session of its own; SIGINT reaches it, as from a terminal."""
        command = [sys.executable, "-P", "-m", "adw", *args]  # as the script, which does not look for modules in the current folder
        process = subprocess.Popen(
            command,
            cwd=self.repository.path,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def call(self, *args: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; output and errors in one."""
        process = self.start(*args)
        out, _ = process.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(args, process.returncode, out, "")

    def issue(self, name: str, title: str = "", **front: str) -> None:
        self.issues.mkdir(exist_ok=True)
        lines = "".join(f"{key}: {value}\n" for key, value in front.items())
        (self.issues / f"{name}.md").write_text(f"---\n{lines}---\n# {title or f'Add {name}'}\n\nplease\n")

    def agent(self, script: str) -> Path:
        """A line for sh per phase, as a file; `$ADW_PHASE`, `$ADW_ISSUE` and `$ADW_TRY` tell it where it is."""
        path = self.issues.parent / "agent.sh"
        path.write_text(script)
        return path

    def run_args(self, agent: str = "", test: str = "test -f code.txt") -> list[str]:
        """What `adw run` needs on a repository without adw.toml. These agents write where tests look: they have no sandbox."""
        script = self.agent(agent or WRITES)
        return ["run", str(self.issues), "--agent-command", f"sh '{script}'", "--test-command", test, "--sandbox", "off"]

    @property
    def runs(self) -> list[Path]:
        """The folders of this repository's runs, oldest first."""
        return [file.parent for file in sorted(self.place.glob("runs/*/run.json"), key=lambda file: file.stat().st_mtime_ns)]

    @property
    def place(self) -> Path:
        # By the whole path: two tests may call a repository the same.
        return self.home / "repositories" / Place.of(self.repository.path / ".git").root.name

    def events(self, run: Path | None = None) -> list[dict[str, Any]]:
        """What a run said so far, by default the newest."""
        file = (run or (self.runs[-1] if self.runs else self.place)) / "events.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")] if file.exists() else []

    def phase(self, issue: str, phase: str, state: str = "running") -> bool:
        return any(e["event"] == "phase" and (e["issue"], e["phase"], e["state"]) == (issue, phase, state) for e in self.events())

    def flow(self) -> psutil.Process:
        """The process of the newest run."""
        started = until(lambda: [e for e in self.events() if e["event"] == "process started"])
        return psutil.Process(started[-1]["pid"])

    def leased(self, name: str = "") -> list[psutil.Process]:
        """Processes that work in one of this repository's slots; only those of a program, if it is named."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.place) in process.environ().get("HOME", "") and process.status() != psutil.STATUS_ZOMBIE and name in {"", process.name()}:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def assert_whole(self, *landed: str) -> None:
        """All issues landed, each once, on a repository that is sound, and nothing is left over."""
        until(lambda: not self.leased())
        ids = self.repository.git("log", "--format=%(trailers:key=Adw-Issue,valueonly,separator=)", "main").split()
        assert sorted(ids) == sorted(landed)
        assert "error" not in self.repository.git("fsck", "--no-dangling")
        assert self.repository.git("status", "--porcelain") == ""
        assert not list((self.repository.path / ".git").rglob("*.lock"))
        assert not list((self.place / "mirror.git").rglob("*.lock"))


WRITES = """
echo "$ADW_PHASE of $ADW_ISSUE"
[ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"
"""


FINAL = {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"}
STUBBORN = "trap '' TERM; while :; do sleep 600; done"


def do_not_trace(patch: pytest.MonkeyPatch) -> None:
    """Have processes that are started from now on run without coverage."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        patch.delenv(name)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """For runs that go no new ways through adw, or are killed: traced, each costs half as much again, as Prefect and Dask are traced along."""
    do_not_trace(monkeypatch)


@pytest.fixture(scope="session")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An ADW_HOME whose Prefect server serves all whole runs of the session."""
    home = tmp_path_factory.mktemp("adw")
    with pytest.MonkeyPatch.context() as patch:
        do_not_trace(patch)  # it is Prefect's code, of which coverage tells nothing
        env = {**os.environ, "ADW_HOME": str(home), "ADW_SERVER_IDLE_MINUTES": "5"}
    start, stop = (f"from adw import server; server.{what}()" for what in ("ensure", "stop"))
    subprocess.run([sys.executable, "-c", start], env=env, check=True, timeout=LIMIT)
    yield home
    subprocess.run([sys.executable, "-c", stop], env=env, check=True, timeout=60)
    until(lambda: not [p for p in psutil.process_iter() if _belongs(p, home)], 30)


def _belongs(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get("ADW_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
    except (psutil.Error, OSError):
        return False


@pytest.fixture
def adw(server_home: Path, tmp_path: Path) -> Iterator[Adw]:
    repository = make_repository(tmp_path / f"repo-{tmp_path.name[-20:]}")
    made = Adw(server_home, repository, tmp_path / "issues")
    yield made
    for process in made.started:  # what a failed test left
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def origin(adw: Adw) -> Repository:
    """The remote of the repository."""
    return make_origin(adw.repository, adw.issues.parent)


@pytest.fixture
def github(origin: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_github.GitHub]:
    """GitHub, where the remote is."""
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with fake_github.serving(origin.path) as made:
        yield made


def slug(adw: Adw) -> str:
    """The repository's name in Prefect."""
    return adw.place.name.lower().replace("_", "-")


def read(home: Path, path: str) -> Any:
    """What the session's Prefect server says; None if it knows no such thing."""
    try:
        return request(home, path)
    except urllib.error.HTTPError as no:
        if no.code == 404:
            return None
        raise


def set_state(home: Path, flow_run: str, kind: str) -> None:
    """What the UI's button does."""
    ask(home, f"flow_runs/{flow_run}/set_state", state={"type": kind, "name": kind.capitalize()})


@dataclass
class Serving:
    """An `adw serve` that runs."""

    home: Path
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def ui(self) -> str:
        return api(self.home).removesuffix("/api")

    def said(self, part: str) -> str:
        """What was last said of a part."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith(f"{part} ")]
        return lines[-1].removeprefix(part).strip() if lines else ""

    def worker(self) -> psutil.Process:
        """Its worker's process."""
        return until(lambda: next((p for p in psutil.Process(self.process.pid).children() if works(p)), None))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(LIMIT)


def works(process: psutil.Process) -> bool:
    """Whether a process is a worker that runs."""
    try:
        return "deployments.working" in process.cmdline()
    except psutil.Error:
        return False


def serve(home: Path, log: Path, *args: str, **env: str) -> Serving:
    """Start `adw serve`, and wait until it is ready. Untraced, as all of its runs would be traced along."""
    with log.open("wb") as out:
        command = [sys.executable, "-m", "adw", "serve", *args]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        given = {**environment, "ADW_HOME": str(home), "ADW_SERVER_IDLE_MINUTES": "5", "PYTHONUNBUFFERED": "1", **env}
        serving = Serving(home, subprocess.Popen(command, env=given, stdin=subprocess.DEVNULL, stdout=out, stderr=out), log)
    until(lambda: serving.said("worker") == "waits for runs" or serving.process.poll() is not None)
    assert serving.process.poll() is None, log.read_text()
    return serving


@pytest.fixture(scope="module")
def serving(server_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An `adw serve` for the tests of a file."""
    made = serve(server_home, tmp_path_factory.mktemp("serving") / "serve.log")
    yield made
    if made.process.poll() is None:
        assert made.stop() == 0, made.log.read_text()


@pytest.fixture
def deployed(adw: Adw) -> Iterator[Adw]:
    """A repository that is registered, with an agent that writes a file."""
    configure(adw)
    done = adw.call("deploy")
    assert done.returncode == 0, done.stdout
    yield adw
    adw.call("deploy", "--remove")


def configure(adw: Adw, agent: str = "", more: str = "", top: str = "") -> None:
    """Commit an adw.toml."""
    script = adw.agent(agent or WRITES)
    text = f'{top}[test]\ncommand = "test -f code.txt"\n[agent]\ncommand = "sh {script}"\n[sandbox]\nmode = "off"\n{more}'
    adw.repository.commit("configure", **{"adw.toml": text})


def hand_over(adw: Adw, *args: str) -> str:
    """Start a run detached; returns its id in Prefect."""
    done = adw.call("run", str(adw.issues), "--detach", *args)
    assert done.returncode == 0, done.stdout
    return done.stdout.split("/flow-run/")[1].split()[0]


def ended(adw: Adw, run: str) -> Any:
    """The final state of a flow run."""
    return until(lambda: (s := read(adw.home, f"flow_runs/{run}")["state"]) and s["type"] in FINAL and s)
