import pytest

from adw.money import Spent, Tokens
from adw.progress import Progress
from tests.adw.events import checked, doing, folded, outcome, paid, phase, red, started


def test_a_cell_is_the_newest_state_of_its_phase() -> None:
    progress = folded(phase("running"), phase("done"), phase("running", "test"))
    cells = progress.rows["a"].cells
    assert {name: cell.state for name, cell in cells.items()} == {"build": "done", "test": "running"}
    assert (progress.busy, cells["build"].seconds, progress.rows["b"].cells) == (1, 2.0, {})


def test_a_cell_is_that_of_the_newest_try() -> None:
    progress = folded(phase("done"), phase("running", number=2))
    assert (progress.rows["a"].cells["build"].attempt, progress.rows["a"].tries) == (2, 2)


@pytest.mark.parametrize("state", ["done", "no", "flaky"])
def test_what_this_run_made_is_not_shown_as_found(state: str) -> None:
    progress = folded(phase(state), phase("cached"))
    assert (progress.rows["a"].cells["build"].state, progress.ran, progress.cached) == (state, 1, 1)


def test_what_an_earlier_run_made_is_shown_as_found() -> None:
    assert folded(phase("cached")).rows["a"].cells["build"].state == "cached"
    assert folded(phase("done"), phase("cached", number=2)).rows["a"].cells["build"].state == "cached"


def test_work_is_the_sum_of_all_phases() -> None:
    assert folded(phase("done", "plan"), phase("done"), phase("no", "test"), phase("done", number=2)).work == 8.0


def test_work_leaves_out_what_was_cut_as_nobody_wanted_it_any_more() -> None:
    progress = folded(phase("running", "test"), phase("cut", "test"), phase("done"))
    assert (progress.work, progress.ran, progress.busy, progress.rows["a"].cells["test"].state) == (2.0, 1, 0, "cut")


def test_issues_that_are_added_have_rows_and_keep_them() -> None:
    added = {"event": "added", "note": "n", "issues": [{"id": "c", "title": "Add c"}]}
    progress = folded(added, {**phase("done"), "issue": "c"}, added)
    assert (progress.rows["c"].title, list(progress.rows["c"].cells)) == ("Add c", ["build"])


def test_fewer_slots_are_a_hindrance_until_all_are_lent_again() -> None:
    fewer = {"event": "slots", "now": 2, "size": 5, "reason": "no memory"}
    assert folded(fewer).hindrances == ["2 of 5 slots are lent: no memory"]
    assert folded(fewer, {**fewer, "now": 5}).hindrances == []


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
    assert folded(outcome("blocked")).rows["a"].state == "blocked"
    assert folded(outcome("blocked"), started(20.0)).rows["a"].state == ""


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


def test_what_an_agent_does_is_told_while_its_phase_runs_and_forgotten_with_the_phase() -> None:
    progress = folded(phase("running"), doing("Read x"), doing("Edit y"), doing("Read z", "review"))
    assert (progress.rows["a"].cells["build"].doing, "review" in progress.rows["a"].cells) == ("Edit y", False)
    assert folded(phase("running"), doing("Edit y"), phase("done"), doing("Read z")).rows["a"].cells["build"].doing == ""


def test_what_is_spent_adds_up_by_issue_by_try_and_phase_by_phase_and_in_all() -> None:
    progress = folded(paid(), paid(), paid(number=2), paid("plan"), paid("plan", issue="b"))
    assert {issue: spent.usd for issue, spent in progress.spent.items()} == pytest.approx({"a": 4.2, "b": 1.05})
    assert progress.spent_in["a", 1, "build"] == Spent(tokens=Tokens(calls=2, input=24_000, output=690), usd=2.1)
    assert [(phase, spent.tokens.calls) for phase, spent in progress.spent_by_phase.items()] == [("plan", 2), ("build", 3)]
    assert progress.money.usd == pytest.approx(5.25)


def test_what_keeps_agents_from_the_model_is_told_until_it_is_over() -> None:
    breaker = {"event": "breaker", "state": "open", "reason": "away\nagain"}
    limit = {"event": "limit", "now": 1, "configured": 4}
    throttled = {"event": "throttled"}
    assert folded(breaker, limit, throttled, throttled).hindrances == [
        "breaker open: away again",
        "at most 1 agent at the model for now",
        "the model's API had too much to do 2 times",
    ]
    assert folded(breaker, {**breaker, "state": "closed", "reason": ""}, limit, {**limit, "now": 4}).hindrances == []


def test_a_new_process_of_a_run_begins_without_breaker_and_limit() -> None:
    progress = folded({"event": "breaker", "state": "halted", "reason": "key"}, {"event": "limit", "now": 1, "configured": 4}, started(30.0, pid=8))
    assert progress.hindrances == []


def test_a_check_counts_if_it_is_required_and_was_not_red_before() -> None:
    progress = folded(checked(lint=True, words=False, old=True, shy=False), red("old"), red("shy"))
    assert [progress.counts(name) for name in ("lint", "words", "old", "shy", "unknown")] == [True, False, False, False, False]
    assert [progress.standing(name) for name in progress.checks] == [
        "required",
        "advisory",
        "red at the base: not required in this run",
        "advisory, red at the base",
    ]
    assert progress.doubts == ["the check old is red at the base: not required in this run", "the check shy is advisory, red at the base"]


def test_a_run_that_goes_on_looks_at_the_branch_anew() -> None:
    assert folded(checked(old=True), red("old"), checked(20.0, old=True)).red == {}


def test_what_is_flaky_is_told_once_with_its_issue_and_try() -> None:
    progress = folded(
        phase("flaky", "test"), phase("flaky", "test"), phase("flaky", "lint", 2), phase("done", "test", 2), phase("flaky", "test", issue="(base)")
    )
    said = "is flaky: it failed, and passed on the same tree"
    assert progress.flakes == [f"test of a {said}", f"lint of a (try 2) {said}", f"test of (base) {said}"]


def test_checks_are_part_of_the_work() -> None:
    progress = folded(checked(lint=True, words=False), phase("done", "lint"), phase("flaky", "test"), phase("running", "words"))
    assert progress.percent == 100 * 2 / (2 * 8)
    assert folded(checked(lint=True), phase("done", "lint"), outcome("landed"), outcome("refused", "b")).percent == 100


def test_a_phase_in_pieces_has_one_cell_that_counts_them_and_they_are_the_work() -> None:
    begun = [phase("running", pieces=3), phase("running", "build-1"), phase("running", "build-2"), phase("done", "build-1"), doing("Edit y", "build-2")]
    progress = folded(*begun)
    cell = progress.rows["a"].cells["build"]
    assert (set(progress.rows["a"].cells), cell.of, sum(cell.pieces.values()), cell.doing, progress.busy) == ({"build"}, 3, 1, "Edit y", 1)
    ended = folded(*begun, phase("done", "build-2"), phase("cached", "build-3"), phase("done", pieces=3, seconds=9.0))
    assert (ended.rows["a"].cells["build"].state, ended.work, ended.ran, ended.cached, ended.builds) == ("done", 4.0, 2, 1, [9.0])


def test_what_pieces_spend_is_theirs_in_an_issue_and_their_phases_in_a_run() -> None:
    progress = folded(paid("build-1"), paid("build-2"), paid("plan"), paid("test-x"))
    assert list(progress.spent_on("a")) == ["plan", "build-1", "build-2", "test-x"]
    assert {name: spent.tokens.calls for name, spent in progress.spent_by_phase.items()} == {"plan": 1, "build": 2, "test": 1}
