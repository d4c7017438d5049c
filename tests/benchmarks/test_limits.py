import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.levels import tables
from benchmarks.limits import Limits, Piece
from benchmarks.workflow import Switches, by_phase


def test_the_longest_way_goes_first_where_that_is_shorter() -> None:
    pieces = [Piece("short", 2), Piece("other", 2), Piece("long", 1), Piece("after", 3, ("long",))]
    limits = Limits(pieces, 2)
    assert (limits.alone, limits.path, limits.bound, limits.best) == (8, 4, 4, 4)


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(0, 9), max_size=3)), min_size=1, max_size=10))
@settings(max_examples=80, deadline=None)
def test_the_best_schedule_lies_between_the_bound_and_one_after_another(slots: int, given: list[tuple[int, list[int]]]) -> None:
    pieces = [Piece(str(n), seconds, tuple(str(before) for before in set(needs) if before < n)) for n, (seconds, needs) in enumerate(given)]
    limits = Limits(pieces, slots)
    assert limits.bound - 1e-9 <= limits.best <= limits.alone + 1e-9
    if slots == 1:
        assert limits.best == pytest.approx(limits.alone)


def test_a_workflow_takes_the_minutes_of_the_analysis_one_after_another() -> None:
    assert {phase: seconds / 60 for phase, seconds in by_phase().items()} == {"plan": 3, "build": 7, "test": 4, "review": 3, "document": 2}
    alone = Switches(skills=False, pieces=False, document=True)
    assert alone.limits.best == alone.alone == 19 * 60


def test_five_features_on_five_slots_cannot_be_faster_than_six_point_eight_times() -> None:
    switches = Switches(features=5, slots=5)
    assert switches.alone == 85 * 60
    assert switches.alone / switches.limits.best == pytest.approx(6.8)


def test_the_best_schedule_of_plain_phases_is_one_that_there_is() -> None:
    level = next(level for level in tables()["agents"].levels if level.name == "8 agents")
    assert [seconds / 60 for seconds in level.limits(60.0)] == [170, 21.25, 22]


def test_every_aim_can_be_reached() -> None:
    for table in tables().values():
        for level in table.levels:
            alone, bound, best = level.limits(6.0)
            assert bound <= best * 1.000001 <= alone * 1.000002, level.name
            assert alone / best >= level.aim, level.name
