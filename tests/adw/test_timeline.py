import pytest

from adw.timeline import Timeline, timeline
from tests.adw import runs
from tests.adw.runs import begun, ended, ran, told, two_on_two_slots, waited


def names(run: Timeline) -> list[str]:
    return [bar.name for bar in run.critical]


def test_each_phase_is_a_bar_and_what_was_found_done_a_moment() -> None:
    run = timeline(two_on_two_slots())
    bars = {bar.name: bar for bar in run.bars}
    assert len(run.bars) == 14
    assert (bars["b-test-1"].state, bars["b-test-1"].ends) == ("no", 125)
    assert (bars["b-review-1"].state, bars["b-review-1"].begins) == ("cached", bars["b-review-1"].ends)
    assert run.titles == {"a": "Add a", "b": "Add b"}
    assert run.ends == {"a": "landed", "b": "landed"}
    assert run.wall == 71


def test_slots_are_taken_from_the_lowest_and_what_lands_or_was_found_takes_none() -> None:
    run = timeline(two_on_two_slots())
    lanes = {bar.name: lane for bar, (_, lane) in run.lanes.items()}
    assert set(lanes.values()) == {1, 2}
    assert (lanes["(base)-test-1"], lanes["a-plan-1"], lanes["b-plan-1"]) == (1, 2, 1)
    assert not {"a-land-1", "b-land-2", "b-review-1"} & lanes.keys()


def test_the_critical_path_leads_through_the_slot_that_was_waited_for_to_the_last_landing() -> None:
    assert names(timeline(two_on_two_slots())) == ["a-plan-1", "a-build-1", "a-review-1", "b-build-2", "b-test-2", "b-land-2"]


def test_what_begins_late_without_waiting_for_a_slot_was_behind_a_test_or_a_landing() -> None:
    events = told(
        begun(0, "a", "b"),
        ran("a", "plan", 0, 5),
        ran("a", "build", 5, 20),
        ran("c", "review", 5, 29.9),
        ran("a", "land", 20.1, 30),
        ran("b", "plan", 30.2, 40),
    )
    assert names(timeline(events)) == ["a-plan-1", "a-build-1", "a-land-1", "b-plan-1"]


def test_the_critical_path_of_issues_that_have_nothing_to_do_with_each_other_is_that_of_the_longer_one() -> None:
    assert names(timeline(told(begun(0, "a", "b"), ran("a", "plan", 0, 5), ran("b", "plan", 0, 9), ran("a", "build", 5, 8), ran("b", "build", 9, 30)))) == [
        "b-plan-1",
        "b-build-1",
    ]


def test_when_nobody_was_at_it_is_no_time_of_the_run() -> None:
    crash = {"event": "run ended", "timestamp": 5000.0, "state": "crashed", "reason": "its process was killed"}
    events = told(begun(0, "a"), ran("a", "plan", 0, 10), ran("a", "build", 10, 0, "cut"), crash, begun(5001, "a"), ran("a", "build", 5001, 5021), ended(5022))
    events.insert(6, {"event": "note", "timestamp": 15.0, "text": "the last that was heard"})
    run = timeline(sorted(events, key=lambda event: float(event["timestamp"])))
    assert run.pauses == [(15, 4986)]
    assert run.wall == 15 + 21
    assert run.elapsed(5011) == 25
    assert [(bar.name, bar.state, bar.ends) for bar in run.bars] == [("a-plan-1", "done", 10), ("a-build-1", "cut", 15), ("a-build-1", "done", 5021)]


def test_a_run_that_goes_on_is_told_as_far_as_it_is() -> None:
    run = timeline(told(begun(0, "a"), ran("a", "plan", 0, 4), ran("a", "build", 4, 0, "cut"), waited("b", "plan", 2, 6)))
    assert [(bar.phase, bar.begins, bar.ends) for bar in run.bars] == [("plan", 0, 4), ("build", 4, 6)]


def test_a_phase_in_pieces_is_its_pieces() -> None:
    run = timeline(told(begun(0, "a"), ran("a", "build", 0, 9, pieces=2), ran("a", "build-1", 0, 5), ran("a", "build-2", 0, 9)))
    assert [bar.phase for bar in run.bars] == ["build-1", "build-2"]


def test_the_slots_of_each_host_are_its_own() -> None:
    run = timeline(told(begun(0, "a", "b"), ran("a", "plan", 0, 5, host="red"), ran("b", "plan", 0, 5, host="blue"), ran("b", "build", 5, 6, host="blue")))
    assert sorted(run.lanes.values()) == [("blue", 1), ("blue", 1), ("red", 1)]


def test_slots_are_lent_as_the_run_says() -> None:
    fewer = {"event": "slots", "timestamp": 5.0, "now": 1, "size": 4, "reason": "it is crowded"}
    assert timeline(told(begun(0, "a", slots=4), fewer, ended(9))).lent == [(0, 4), (5, 1)]


def test_who_waits_for_a_person_waits_until_the_answer() -> None:
    asks = [{"event": "approval", "timestamp": at, "issue": "a", "gate": "plan", "state": state} for at, state in ((3.0, "wanted"), (8.0, "given"))]
    (wait,) = timeline(told(begun(0, "a"), asks, ended(9))).waits
    assert (wait.issue, wait.begins, wait.ends, wait.reason) == ("a", 3, 8, "person")


@pytest.mark.parametrize("events", [[], [{"event": "note", "timestamp": 1.0, "text": "hello"}], begun(0, "a")])
def test_a_run_in_which_nothing_was_done_has_no_path(events: list[runs.Event]) -> None:
    run = timeline(events)
    assert (run.bars, run.critical, run.wall) == ([], [], 0)


def test_a_thousand_issues_are_told_in_no_time() -> None:
    events = [*begun(0, *(f"i{n}" for n in range(1000)), slots=10)]
    for n in range(1000):
        at = n // 10 * 30.0
        events += ran(f"i{n}", "plan", at, at + 9.9) + ran(f"i{n}", "build", at + 10, at + 29.9)
    run = timeline(told(events))
    assert len(run.bars) == 2000
    assert len(run.critical) == 200
    assert max(lane for _, lane in run.lanes.values()) == 10
