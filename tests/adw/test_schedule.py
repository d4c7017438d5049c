import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adw.cli.main import app
from adw.errors import Misuse
from adw.home import Place
from adw.journal import Journal
from adw.mirror import find_hub
from adw.model import Order
from tests.conftest import Repository

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def issues(repository: Repository, tmp_path: Path) -> Path:
    """Three issues, and a repository with five slots."""
    repository.commit("configure", **{"adw.toml": "[pool]\nsize = 5\nmemory_gb = 0\n"})
    write(tmp_path / "issues", export="priority: urgent", find="estimate: 5m", read="depends_on: export")
    return tmp_path / "issues"


def write(folder: Path, **front: str) -> None:
    folder.mkdir()
    for name, lines in front.items():
        (folder / f"{name}.md").write_text(f"---\n{lines}\n---\n# Add {name}\n")


def dry(repository: Repository, issues: Path, *flags: str) -> str:
    """What a dry run prints."""
    before = repository.git("for-each-ref")
    done = CliRunner().invoke(app, ["run", str(issues), "--repo", str(repository.path), "--dry", *flags], env={"COLUMNS": "110"}, catch_exceptions=False)
    assert (done.exit_code, repository.git("for-each-ref")) == (0, before)
    return done.output


def read(repository: Repository, issues: Path, *flags: str) -> Any:
    return json.loads(dry(repository, issues, "--json", *flags))


def binding(repository: Repository, issues: Path) -> dict[int, str]:
    """Which limit binds with how many agents."""
    return {one["agents"]: one["binds"] for one in read(repository, issues)["expected"]}


def test_a_dry_run_prints_order_critical_path_and_times_and_starts_nothing(repository: Repository, issues: Path, home: Path) -> None:
    lines = [" ".join(line.split()) for line in dry(repository, issues).splitlines()]
    assert lines[0] == "with 5 agents, if all pass at the first try"
    assert lines[2:5] == ["export urgent 19m01s 0.0s 14m01s", "find 0 5m00s (estimate) 0.0s 3m41s", "read export 0 19m01s 14m01s 28m02s"]
    assert lines[6:9] == [
        "critical path 28m02s",
        "export: plan 3m00s → build 7m00s → test 4m00s → land 1.0s",
        "read: plan 3m00s → build 7m00s → test 4m00s → land 1.0s",
    ]
    assert "1 43m00s 42m59s the slots 1.0× 100%" in lines
    assert "5 28m02s 28m02s the critical path 1.5× 31%" in lines
    assert "one after another: 43m02s" in lines
    assert lines[-1].startswith("a guess, as no run of this repository has told yet: plan 3m00s, build 7m00s,")
    assert list(home.iterdir()) == []  # no server, no mirror, no run


def test_scripts_are_told_the_same_in_seconds(repository: Repository, issues: Path) -> None:
    told = read(repository, issues, "--agents", "9")
    assert [(one["id"], one["depends_on"], one["begins"], one["lands"]) for one in told["issues"]][::2] == [
        ("export", [], 0, 841),
        ("read", ["export"], 841, 1682),
    ]
    assert [(step["issue"], step["phase"]) for step in told["critical_path"]] == [
        (issue, phase) for issue in ("export", "read") for phase in ("plan", "build", "test", "land")
    ]
    assert [one["agents"] for one in told["expected"]] == [1, 2, 4, 6, 8, 9, 10]
    assert told["durations"]["build"] == {"seconds": 420, "median_of": 0}


def test_past_runs_tell_how_long_phases_take(repository: Repository, issues: Path) -> None:
    journal = Journal(Place.of(find_hub(repository.path).git.directory).runs / "r1")
    journal.keep({})
    journal.phase(Order(run="r1", issue="a", issue_key="a-1", phase="test"), "done", seconds=60.0)
    printed = dry(repository, issues)
    assert "from past runs: test 60.0s (median of 1)" in printed
    assert "has told yet: plan 3m00s, build 7m00s, review 3m00s" in printed


def test_what_has_landed_is_no_work(repository: Repository, issues: Path) -> None:
    repository.commit("Add export\n\nAdw-Issue: export")
    assert [one["id"] for one in read(repository, issues)["issues"]] == ["find", "read"]
    assert "already landed Add export  (export)" in dry(repository, issues)
    for name in ("find", "read"):
        repository.commit(f"Add {name}\n\nAdw-Issue: {name}")
    assert "there is nothing left to do" in dry(repository, issues)
    assert read(repository, issues)["critical_path"] == []


def test_the_limit_that_binds_is_named(repository: Repository, tmp_path: Path) -> None:
    write(tmp_path / "many", **dict.fromkeys("abcdefgh", ""))
    assert binding(repository, tmp_path / "many") == {1: "slots", 2: "slots", 4: "slots", 5: "slots", 6: "slots", 8: "slots", 10: "slots"}
    repository.commit("limit", **{"adw.toml": "[agent]\nrequests = 2\n[pool]\nmemory_gb = 0\n"})
    assert binding(repository, tmp_path / "many") == {1: "slots", 2: "slots", **dict.fromkeys((4, 5, 6, 8, 10), "API limit")}
    assert "the API limit (2)" in dry(repository, tmp_path / "many")


def test_a_cycle_is_refused(repository: Repository, tmp_path: Path) -> None:
    write(tmp_path / "bad", a="depends_on: b", b="depends_on: a")
    with pytest.raises(Misuse, match="in a cycle: "):
        dry(repository, tmp_path / "bad")
