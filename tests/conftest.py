"""Real repositories, real processes; nothing of ours is mocked."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adw.config import AgentConfig, ChecksConfig, Config, PoolConfig, SandboxConfig
from adw.mirror import Hub, find_hub, sync
from adw.model import Issue
from adw.phases import Site
from tests import fake_anthropic

os.environ["GIT_CONFIG_GLOBAL"] = os.devnull  # a developer's own settings decide no test
os.environ.pop("PREFECT_API_URL", None)


THOROUGH = pytest.mark.skip(reason="thorough: `make thorough` runs it")
ALONE = pytest.mark.skip(reason="alone: `make ratios` runs it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first, which take most of the time: the many small tests then fill what is left of it, in all workers."""
    for name, skipped in (("thorough", THOROUGH), ("alone", ALONE)):
        for item in items if not os.environ.get(f"ADW_{name.upper()}") else ():
            if item.get_closest_marker(name):
                item.add_marker(skipped)
    items.sort(key=lambda item: "e2e" not in item.path.parts and item.path.stem != "test_many")


@dataclass(frozen=True)
class Repository:
    """A user's repository, driven by plain git."""

    path: Path

    def git(self, *args: str) -> str:
        return subprocess.run(["git", "-C", str(self.path), *args], check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, subject: str, **files: str) -> str:
        """Write files (a `__` in a name is a slash) and commit them; returns the SHA."""
        for name, text in files.items():
            path = self.path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    @property
    def tip(self) -> str:
        return self.git("rev-parse", "refs/heads/main")

    @property
    def subjects(self) -> list[str]:
        return self.git("log", "--format=%s", "refs/heads/main").splitlines()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ADW_HOME of the test's own."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("ADW_HOME", str(path))
    return path


def make_repository(path: Path) -> Repository:
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "--quiet", "-b", "main")
    repository.git("config", "user.name", "Ada")
    repository.git("config", "user.email", "ada@example.invalid")
    repository.commit("first", **{"code.txt": "one\n", "README.md": "about\n", ".gitignore": ".venv\n.env\n"})
    return repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit on `main`, checked out."""
    return make_repository(tmp_path / "repo")


def make_origin(repository: Repository, folder: Path) -> Repository:
    """A bare repository `ada/code.git` in a folder, as the remote `origin` of another."""
    origin = Repository(folder / "ada" / "code.git")
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(origin.path))
    repository.git("remote", "add", "origin", str(origin.path))
    repository.git("fetch", "--quiet", "origin")
    return origin


def push_by_another(origin: Repository, folder: Path, subject: str, **files: str) -> str:
    """What somebody else pushes to `main`, from a clone of their own in a folder; returns the SHA."""
    origin.git("clone", "--quiet", str(origin.path), str(folder))
    other = Repository(folder)
    other.git("config", "user.name", "Bob")
    other.git("config", "user.email", "bob@example.invalid")
    sha = other.commit(subject, **files)
    other.git("push", "--quiet", "origin", "HEAD:main")
    return sha


@pytest.fixture
def origin(repository: Repository, tmp_path: Path) -> Repository:
    """The remote of the repository."""
    return make_origin(repository, tmp_path)


@pytest.fixture
def hub(repository: Repository, home: Path) -> Hub:  # noqa: ARG001 - it decides where the mirror is
    """The repository as adw sees it, mirrored."""
    found = find_hub(repository.path)
    sync(found)
    return found


@pytest.fixture
def site(hub: Hub) -> Site:
    """A run on the repository, whose agent writes the issue's id into a file of that name, and whose test wants code.txt."""
    return make_site(hub, 'test "$ADW_PHASE" != build || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"; echo "$ADW_PHASE is done"')


def make_site(hub: Hub, agent: str, test: str = "test -f code.txt", **pool: object) -> Site:
    """A run on a repository with an agent that is a line for sh."""
    config = Config(
        agent=AgentConfig(name="command", command=agent),
        test=ChecksConfig(command=test),
        sandbox=SandboxConfig(mode="off"),  # these agents write where tests look; `test_sandbox.py` tries it
        pool=PoolConfig.model_validate({"size": 2, "memory_gb": 0, "disk_floor": 0, **pool}),
    )
    (hub.place.runs / "r1").mkdir(parents=True, exist_ok=True)
    return Site(run="r1", repository=str(hub.path), branch=hub.branch, config=config)


@pytest.fixture
def issue() -> Issue:
    return Issue(id="i1", title="Add i1", body="please")


@pytest.fixture(autouse=True)
def no_process_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test, nothing that carries a lease's marker of this test run is alive."""
    yield
    if "e2e" in request.node.nodeid:
        return
    import psutil  # noqa: PLC0415

    left = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and "ADW_LEASE" in process.environ():
                left.append(process.cmdline())
        except (psutil.Error, OSError):
            continue
    assert left == []


def claude_cli() -> Path | None:
    """The folder of the real CLI that `make clis` installs; None if it is not there."""
    found = next((Path(__file__).parent.parent / ".clis").glob("node_modules/@anthropic-ai/claude-code-linux-*/claude"), None)
    return found.parent if found else None


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real CLI on the PATH. Without it a test fails in CI, and is skipped elsewhere."""
    folder = claude_cli()
    if folder is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("it needs the real Claude Code CLI: make clis")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


Rules = list[dict[str, Any]]


@contextmanager
def model(rules: Rules, log: Path | None = None) -> Iterator[fake_anthropic.Server]:
    """A model's API on loopback that answers by a script, for the block."""
    with fake_anthropic.serving(rules, log=str(log) if log else None) as api:
        yield api
