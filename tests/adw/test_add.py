"""`adw add` and a run that is under way: this process plays the run's."""

import os
import threading
from pathlib import Path

import pytest

from adw import proc
from adw.cli.add import add, under_way
from adw.errors import AdwError, Misuse
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import Issue
from tests.adw.tools import until
from tests.conftest import Repository


@pytest.fixture
def run(hub: Hub) -> Journal:
    """A run of one issue that lives."""
    journal = Journal(hub.place.runs / "r1")
    issue = {"id": "a", "title": "Add a", "body": "", "depends_on": [], "priority": 0}
    journal.keep({"run": "r1", "issues": [issue]})
    journal.event("process started", pid=os.getpid(), birth=proc.born(os.getpid()))
    return journal


@pytest.fixture
def hot(tmp_path: Path) -> str:
    """The file of an urgent issue."""
    path = tmp_path / "hot.md"
    path.write_text("---\npriority: urgent\n---\n# Mend it\n\nat once\n")
    return str(path)


def answered(run: Journal, hot: str, repository: Repository, event: str, **fields: object) -> list[AdwError]:
    """Add an issue, with what the run says to it; what was raised."""
    raised: list[AdwError] = []

    def ask() -> None:
        try:
            add([hot], "", repository.path)
        except AdwError as no:
            raised.append(no)

    asking = threading.Thread(target=ask)
    asking.start()
    note = until(lambda: list(run.notes()))[0]
    run.event(event, **({"note": note} if event.endswith("added") else {}), **fields)
    asking.join(20)
    return raised


def test_an_issue_that_is_added_is_noted_for_this_run_and_for_when_it_is_resumed(
    run: Journal, hot: str, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answered(run, hot, repository, "added", issues=[{"id": "hot", "title": "Mend it"}]) == []
    assert capsys.readouterr().out == "added to run r1: hot\n"
    assert [issue.id for issue in run.issues()] == ["a", "hot"]
    assert next(iter(run.notes().values()))[0] == Issue(id="hot", title="Mend it", body="at once", priority=100_000)
    assert run.progress().rows["hot"].title == "Mend it"


def test_what_the_run_has_already_is_said(run: Journal, hot: str, repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    answered(run, hot, repository, "added", issues=[])
    assert capsys.readouterr().out == "run r1 has them already\n"


def test_what_does_not_fit_is_wrong_use_with_the_reason(run: Journal, hot: str, repository: Repository) -> None:
    raised = answered(run, hot, repository, "not added", reason="a cycle")
    assert [(type(no), str(no)) for no in raised] == [(Misuse, "a cycle")]


def test_a_run_that_ends_meanwhile_has_it_when_it_is_resumed(run: Journal, hot: str, repository: Repository) -> None:
    raised = answered(run, hot, repository, "run ended", state="done", reason="")
    assert str(raised[0]) == "run r1 ended before it took them up: `adw resume r1` does"


def test_a_run_that_waits_for_its_beginning_takes_it_up_then(run: Journal, hot: str, repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    run.event("handed over", flow_run="", ui="")
    add([hot], "", repository.path)
    assert capsys.readouterr().out == "noted in run r1: it takes them up when it begins its work\n"
    assert [issue.id for issue in run.issues()] == ["a", "hot"]


def test_without_a_run_under_way_nothing_is_noted_and_adw_run_is_named(run: Journal, repository: Repository) -> None:
    assert under_way("r1", repository.path) == run
    with pytest.raises(Misuse, match=r"run r2 is not under way on this host: `adw run ISSUE…` begins one"):
        under_way("r2", repository.path)
    run.event("run ended", state="done", reason="")
    with pytest.raises(Misuse, match=r"no run of .* is under way on this host"):
        under_way("", repository.path)


def test_a_run_that_only_plans_takes_nothing_up(hub: Hub, hot: str, repository: Repository) -> None:
    journal = Journal(hub.place.runs / "r1")
    journal.keep({"run": "r1", "only": "plan"})
    journal.event("process started", pid=os.getpid(), birth=proc.born(os.getpid()))
    with pytest.raises(Misuse, match="run r1 only plans"):
        add([hot], "", repository.path)
    assert journal.notes() == {}
