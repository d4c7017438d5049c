"""How many slots are lent: given what was seen when."""

import pytest

from adw.bearing import CALM, HEAVY, Bearing, Seen

PLENTY = Seen(memory=99.0, load=0.0, busy=0)


def bearing(size: int = 5, memory_gb: float = 1.0, max_load: float = 4.0) -> Bearing:
    """One that has looked once, at second 0, and saw nothing that speaks against its size."""
    made = Bearing(size, memory_gb, max_load)
    assert made.look(PLENTY, 0.0) == ""
    assert made.now == size
    return made


def memory(gb: float) -> Seen:
    return Seen(memory=gb, load=0.0, busy=0)


def load(each: float, busy: int = 5) -> Seen:
    return Seen(memory=99.0, load=each, busy=busy)


@pytest.mark.parametrize(("gb", "slots"), [(0.0, 1), (0.9, 1), (3.9, 3), (5.0, 5), (50.0, 5)])
def test_at_first_as_many_are_lent_as_there_is_memory_for_and_at_least_one(gb: float, slots: int) -> None:
    made = Bearing(5, 1.0, 4.0)
    assert bool(made.look(memory(gb), 0.0)) is (slots < 5)
    assert made.now == slots


def test_fewer_are_lent_at_once_when_memory_gets_short_with_the_reason() -> None:
    made = bearing()
    assert made.look(memory(2.5), 1.0) == "there are 2.5 GB of memory for them, and each may take 1"
    assert made.now == 2


def test_memory_that_is_free_again_is_lent_slot_by_slot_each_when_it_was_calm_for_a_while() -> None:
    made = bearing()
    made.look(memory(2.0), 10.0)
    seen = [(bool(made.look(PLENTY, 10.0 + after)), made.now) for after in (1, CALM - 0.1, CALM, CALM + 1, 2 * CALM, 3 * CALM, 9 * CALM)]
    assert seen == [(False, 2), (False, 2), (True, 3), (False, 3), (True, 4), (True, 5), (False, 5)]


def test_memory_that_comes_and_goes_changes_nothing_meanwhile() -> None:
    made = bearing()
    made.look(memory(3.0), 0.0)
    changes = [made.look(memory(4.5 if second % 10 else 3.5), float(second)) for second in range(1, 100)]
    assert (set(changes), made.now) == ({""}, 3)


def test_too_much_load_takes_one_slot_away_only_when_it_lasts() -> None:
    made = bearing()
    made.look(load(9.0), 1.0)
    made.look(load(3.0), HEAVY)
    assert made.look(load(9.0), HEAVY + 1) == ""
    assert made.look(load(9.0), 2 * HEAVY) == "9.0 processes want to run on each core, and 4 may"
    assert made.now == 4


def test_load_takes_no_further_slot_before_the_last_one_shows() -> None:
    made = bearing()
    made.look(load(9.0), HEAVY)
    assert (made.look(load(9.0, busy=5), 3 * HEAVY), made.now) == ("", 4)
    assert made.look(load(9.0, busy=4), 3 * HEAVY)
    assert made.now == 3


def test_load_leaves_one_slot_and_slots_come_back_only_when_it_is_well_below() -> None:
    made = bearing(size=2)
    for step in range(1, 9):
        made.look(load(9.0, busy=0), step * HEAVY)
    assert made.now == 1
    since = 9 * HEAVY
    assert [made.look(load(3.5), since + step * CALM) for step in range(5)] == [""] * 5
    assert made.look(load(2.9), since + 5 * CALM)
    assert made.now == 2


def test_who_sets_no_limits_lends_all_whatever_is_seen() -> None:
    made = Bearing(5, 0.0, 0.0)
    assert [made.look(Seen(memory=0.0, load=99.0, busy=0), second * HEAVY) for second in range(9)] == [""] * 9
    assert made.now == 5
