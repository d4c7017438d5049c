"""Real repositories, real processes; nothing of ours is mocked."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adw.config import AgentConfig, ChecksConfig, Config, PoolConfig, SandboxConfig
from adw.mirror import Hub, find_hub, sync
from adw.model import Issue
from adw.phases import Site

os.environ["GIT_CONFIG_GLOBAL"] = os.devnull  # a developer's own settings decide no test
os.environ.pop("PREFECT_API_URL", None)


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


@pytest.fixture
def hub(repository: Repository, home: Path) -> Hub:  # noqa: ARG001 - it decides where the mirror is
    """The repository as adw sees it, mirrored."""
    found = find_hub(repository.path)
    sync(found)
    return found


@pytest.fixture
def site(hub: Hub) -> Site:
    """A run on the repository, whose agent writes the issue's id into a file of that name, and whose test wants code.txt."""
    (hub.place.runs / "r1").mkdir(parents=True)
    return make_site(hub, 'test "$ADW_PHASE" != build || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"; echo "$ADW_PHASE is done"')


def make_site(hub: Hub, agent: str, test: str = "test -f code.txt", **pool: object) -> Site:
    """A run on a repository with an agent that is a line for sh."""
    config = Config(
        agent=AgentConfig(name="command", command=agent),
        test=ChecksConfig(command=test),
        sandbox=SandboxConfig(mode="off"),  # these agents write where tests look; `test_sandbox.py` tries it
        pool=PoolConfig.model_validate({"size": 2, "memory_gb": 0, "disk_floor": 0, **pool}),
    )
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
