from typing import Any

import pytest

from adw.progress import Progress


def phase(state: str, phase: str = "build", number: int = 1, at: float = 10.0, **more: Any) -> dict[str, Any]:
    seconds = {} if state in {"running", "cached"} else {"seconds": 2.0}
    return {"event": "phase", "timestamp": at, "issue": "a", "phase": phase, "try": number, "state": state, **seconds, **more}


def started(at: float = 1.0, pid: int = 7) -> dict[str, Any]:
    issues = [{"id": "a", "title": "Add a"}, {"id": "b", "title": "Add b"}]
    return {"event": "flow started", "timestamp": at, "flow_run": f"run-{pid}", "ui": "", "pid": pid, "birth": 0.5, "issues": issues}


def folded(*events: dict[str, Any]) -> Progress:
    progress = Progress()
    for event in (started(), *events):
        progress.add(event)
    return progress


def test_a_cell_is_the_newest_state_of_its_phase() -> None:
    progress = folded(phase("running"), phase("done"), phase("running", "test"))
    cells = progress.rows["a"].cells
    assert {name: cell.state for name, cell in cells.items()} == {"build": "done", "test": "running"}
    assert (progress.busy, cells["build"].seconds, progress.rows["b"].cells) == (1, 2.0, {})


def test_a_cell_is_that_of_the_newest_try() -> None:
    progress = folded(phase("done"), phase("running", number=2))
    assert (progress.rows["a"].cells["build"].attempt, progress.rows["a"].tries) == (2, 2)


@pytest.mark.parametrize("state", ["done", "no"])
def test_what_this_run_made_is_not_shown_as_found(state: str) -> None:
    progress = folded(phase(state), phase("cached"))
    assert (progress.rows["a"].cells["build"].state, progress.ran, progress.cached) == (state, 1, 1)


def test_what_an_earlier_run_made_is_shown_as_found() -> None:
    assert folded(phase("cached")).rows["a"].cells["build"].state == "cached"
    assert folded(phase("done"), phase("cached", number=2)).rows["a"].cells["build"].state == "cached"


def test_work_is_the_sum_of_all_phases() -> None:
    assert folded(phase("done", "plan"), phase("done"), phase("no", "test"), phase("done", number=2)).work == 8.0


def test_work_leaves_out_a_try_that_was_overtaken() -> None:
    overtaken = {"event": "overtaken", "timestamp": 11.0, "issue": "a", "try": 1}
    assert folded(phase("done"), phase("done", "test"), phase("done", number=2), overtaken).work == 2.0


def test_a_phase_that_ran_again_counts_once() -> None:
    assert folded(phase("done", "test"), phase("done", "test")).work == 2.0


def test_the_test_of_the_branch_belongs_to_no_issue() -> None:
    progress = folded(phase("running", "test", issue="(base)"), phase("done", "test", issue="(base)"))
    assert set(progress.rows) == {"a", "b"}
    assert (progress.ran, progress.work) == (1, 2.0)


def test_a_run_that_goes_on_shows_what_was_cut() -> None:
    progress = folded(phase("running"), phase("done", "plan"), {"event": "run ended", "timestamp": 20.0, "state": "crashed"}, started(30.0, pid=8))
    assert (progress.rows["a"].cells["build"].state, progress.rows["a"].cells["plan"].state) == ("cut", "done")
    assert (progress.ended, progress.state, progress.pid, progress.began) == (0.0, "", 8, 1.0)


def test_an_outcome_ends_an_issue_and_another_start_takes_it_up_again() -> None:
    outcome = {"event": "outcome", "timestamp": 12.0, "issue": "a", "title": "Add a", "state": "blocked", "reason": "edits", "sha": ""}
    assert folded(outcome).rows["a"].state == "blocked"
    assert folded(outcome, started(20.0)).rows["a"].state == ""


def test_a_run_ends_with_its_reason() -> None:
    progress = folded({"event": "run ended", "timestamp": 20.0, "state": "crashed", "reason": "killed"})
    assert (progress.ended, progress.state, progress.reason, progress.last) == (20.0, "crashed", "killed", 20.0)


def test_an_event_of_a_later_version_is_passed_over() -> None:
    assert folded({"event": "new kind", "timestamp": 40.0}).last == 40.0


def test_a_run_that_waits_for_a_person_is_not_stuck_and_one_that_waits_for_nothing_is() -> None:
    progress = Progress()
    progress.flow_run, progress.last = "r", 1000.0
    assert progress.stuck(1000.0 + 61 * 60, minutes=60)
    progress.add({"event": "approval", "issue": "a", "state": "wanted", "timestamp": 1000.0})
    assert not progress.stuck(1000.0 + 600 * 60, minutes=60)
    progress.add({"event": "approval", "issue": "a", "state": "given", "timestamp": 1000.0})
    assert progress.stuck(1000.0 + 61 * 60, minutes=60)
