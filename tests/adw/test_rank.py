from itertools import pairwise
from math import inf

from adw.model import URGENT, Issue
from adw.rank import Rank


def of(phase: str, way: float = 0.0, priority: int = 0, place: int = 0, *, front: bool = False, left: float = inf) -> Rank:  # noqa: PLR0913 - as of a rank
    return Rank.of(Issue(id="a", title="Add a", body="", priority=priority), phase, way, place, front=front, left=left)


def test_what_the_next_landing_waits_for_goes_first_then_priority_then_what_is_built_then_the_longest_way_then_the_order() -> None:
    order = [
        of("review", front=True),
        of("plan", priority=URGENT),
        of("test", priority=3),
        of("build", way=1, priority=3),
        of("plan", way=99, priority=3),
        of("test", way=2),
        of("document", way=1),
        of("build", way=8),
        of("build", way=7),
        of("plan", way=9),
        of("plan", way=9, place=1),
        of("test", priority=-1),
    ]
    assert all(first < second for first, second in pairwise(order))
    assert order[-1] < order[0]._replace(aside=True)  # what nobody waits for is last, whatever else it is


def test_test_review_and_documentation_of_equal_issues_are_equals() -> None:
    assert of("test") == of("review") == of("document")


def test_the_longest_way_is_begun_before_it_is_all_that_is_left_and_before_the_train_and_what_is_more_urgent_once_it_is() -> None:
    left = 60.0
    order = [
        of("plan", way=70, left=left),
        of("test", way=20, front=True, left=left),
        of("test", way=20, priority=1, left=left),
        of("build", way=50, left=left),
        of("test", way=20, left=left),
        of("build", way=25, left=left),
    ]
    assert all(first < second for first, second in pairwise(order))
