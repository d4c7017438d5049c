from pathlib import Path

import pytest

from adw import trace
from adw.journal import Journal
from adw.model import Order

BUILD = Order(run="r1", issue="a", issue_key="a-1", phase="build", attempt=2)
FLOW = "http://prefect.example/flow-runs/flow-run/f-1"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "r1")
    made.keep({})
    made.event("flow started", flow_run="f-1", ui=FLOW, issues=[])
    with made.timed(BUILD, task_run="t-1") as mark:
        made.event("leased", **BUILD.fields, lease="l-1", slot="3")
        made.log(BUILD).write_text("printed")
        mark.more["sha"] = "0123456789abcdef"
    made.event("tracked", **BUILD.fields, task="task-7")
    made.event("tracked", issue="a", phase="build", task="task-6")
    made.event("tracked", issue="a", task="task-5")
    made.event("tracked", issue="a", phase="plan", task="task-4")
    made.event("outcome", id="r1/a-1", issue="a", state="landed", sha="fedcba9876543210")
    made.phase(Order(run="r1", issue="b", issue_key="b-1", phase="plan"), "cached")
    return made


@pytest.mark.parametrize("name", ["r1/a-1/build/2", "r1/a-1/build", "r1/a-1", "f-1", "t-1", "l-1", "01234567", "fedcba9876", "task-7", "task-6", "task-5"])
def test_each_name_of_a_piece_of_work_leads_to_all_others(journal: Journal, name: str) -> None:
    found = {piece.id: piece for piece in trace.find([journal], name)}
    piece = found["r1/a-1/build/2"]
    assert (piece.state, piece.issue, piece.leases, piece.task_runs, piece.flow_runs) == ("done", "a", [("l-1", "3")], ["t-1"], {"f-1": FLOW})
    assert (piece.commits, piece.landed, piece.tasks) == (["0123456789abcdef"], "fedcba9876543210", ["task-7", "task-6", "task-5"])
    assert piece.logs == [str(journal.folder / "logs" / "a-1" / "2-build.log")]
    assert list(piece.task_run_pages()) == ["http://prefect.example/runs/task-run/t-1"]
    assert [event["event"] for event in piece.events] == ["phase", "leased", "phase", "tracked"]
    assert ("r1/b-1/plan/1" in found) is (name == "f-1")


@pytest.mark.parametrize("name", ["r", "r1/a", "012345", "t", "task-4", "a-1/build/2", ""])
def test_a_part_of_a_name_is_none(journal: Journal, name: str) -> None:
    assert trace.find([journal], name) == []


def test_a_run_has_all_its_pieces_and_the_newest_that_knows_a_name_is_asked(journal: Journal, tmp_path: Path) -> None:
    assert [piece.id for piece in trace.find([journal], "r1")] == ["r1/a-1/build/2", "r1/b-1/plan/1"]
    newer = Journal(tmp_path / "r2")
    newer.keep({})
    newer.phase(Order(run="r2", issue="a", issue_key="a-1", phase="build", attempt=2), "cached", task_run="t-2", sha="0123456789abcdef")
    assert [piece.run for piece in trace.find([newer, journal], "0123456789")] == ["r2"]
    assert [piece.run for piece in trace.of_issue([newer, journal], "b")] == ["r1"]


def test_a_log_belongs_to_the_piece_of_work_that_printed_it(journal: Journal) -> None:
    orders = [Order(run="r1", issue="a", issue_key="a-1", phase=phase) for phase in ("test", "build", "build-2", "test-unit-1")]
    for order in orders:
        journal.phase(order, "running")
    for name in ("1-test", "1-test-again", "1-test-2", "1-test-again-2", "1-build", "1-build-2", "1-test-unit-1", "2-test"):
        (journal.folder / "logs" / "a-1" / f"{name}.log").write_text("")
    logs = {piece.phase: [log.rpartition("/")[2] for log in piece.logs] for piece in trace.pieces(journal) if piece.attempt == 1}
    assert logs == {
        "test": ["1-test-2.log", "1-test-again-2.log", "1-test-again.log", "1-test.log"],
        "build": ["1-build.log"],
        "build-2": ["1-build-2.log"],
        "test-unit-1": ["1-test-unit-1.log"],
        "plan": [],
    }


def test_what_another_host_ran_is_found_there(journal: Journal) -> None:
    journal.take({"event": "phase", **BUILD.fields, "state": "done", "seconds": 1.0, "host": "far", "folder": "/its/r1", "timestamp": 1.0})
    (piece,) = trace.find([journal], BUILD.id)
    assert (piece.host, piece.logs) == ("far", ["far:/its/r1/logs/a-1/2-build.log"])
