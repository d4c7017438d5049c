from itertools import pairwise

from adw.model import URGENT, Issue
from adw.rank import Rank


def of(phase: str, way: float = 0.0, priority: int = 0, place: int = 0, *, front: bool = False) -> Rank:
    return Rank.of(Issue(id="a", title="Add a", body="", priority=priority), phase, way, place, front=front)


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
