import os
from pathlib import Path

import pytest

from adw.durations import ENOUGH, GUESS, LOOKED_AT, NEWEST, Learned, expected, learned
from adw.home import Place
from adw.journal import Journal
from adw.model import Issue, Order


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def run(place: Place, number: int, *phases: tuple[str, str, float]) -> Journal:
    """A run that began after those of lower numbers, with phases, how they ended, and their seconds."""
    journal = Journal(place.runs / f"r{number}")
    journal.keep({})
    os.utime(journal.order_file, (number, number))
    for phase, state, seconds in phases:
        order = Order(run="r", issue="a", issue_key="a-1", phase=phase)
        journal.phase(order, "running")
        journal.phase(order, state, seconds=seconds)
    return journal


def test_a_phase_takes_the_median_of_those_that_came_to_an_end(place: Place) -> None:
    run(place, 1, ("build", "done", 60), ("build", "failed", 1), ("review", "no", 5))
    run(place, 2, ("build", "done", 80), ("build", "done", 900), ("review", "cached", 0))
    found = learned(place)
    assert (found["build"], found["review"]) == (Learned(80, 3), Learned(5, 1))


def test_a_test_that_said_no_or_is_flaky_was_run_twice_and_is_not_learned_from(place: Place) -> None:
    run(place, 1, ("test", "no", 10), ("test", "flaky", 12), ("test", "done", 5))
    assert learned(place)["test"] == Learned(5, 1)


def test_what_no_run_has_told_is_a_guess_and_says_so(place: Place) -> None:
    assert learned(place) == {phase: Learned(seconds, 0) for phase, seconds in GUESS.items()}
    run(place, 1, ("test", "done", 5))
    assert learned(place) == {phase: Learned(seconds, 0) for phase, seconds in GUESS.items()} | {"test": Learned(5, 1)}


def test_only_the_newest_runs_in_which_something_ran_are_heard(place: Place) -> None:
    for number in range(2 * NEWEST):
        run(place, 2 * number, ("test", "done", 100 - number))
        run(place, 2 * number + 1, ("test", "cached", 0))
    assert learned(place)["test"] == Learned(100 - 1.5 * NEWEST + 0.5, NEWEST)


def test_no_more_runs_are_read_than_is_quick(place: Place) -> None:
    run(place, 0, ("test", "done", 5))
    for number in range(1, LOOKED_AT + 1):
        run(place, number)
    assert learned(place)["test"].of == 0


def test_older_runs_are_not_read_when_the_newest_tell_enough(place: Place) -> None:
    run(place, 0, ("test", "done", 5))
    run(place, 1, *[("test", "done", 9)] * ENOUGH)
    assert learned(place)["test"] == Learned(9, ENOUGH)


def test_a_run_that_is_cut_off_in_the_middle_of_a_line_is_heard_all_the_same(place: Place) -> None:
    with run(place, 1, ("test", "done", 5)).file.open("a") as file:
        file.write('{"event": "phase", "sta')
    assert learned(place)["test"] == Learned(5, 1)


def test_an_estimate_is_shared_among_the_phases_as_they_usually_are() -> None:
    usual = {phase: Learned(seconds, 0) for phase, seconds in GUESS.items()}
    issues = [Issue(id="a", title="a", body=""), Issue(id="b", title="b", body="", estimate=2 * sum(GUESS.values()))]
    assert expected(issues, usual) == {"a": GUESS, "b": {phase: pytest.approx(2 * seconds) for phase, seconds in GUESS.items()}}
