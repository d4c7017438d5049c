import pytest

from adw.errors import Misuse
from adw.model import Issue
from flows.adding import fitting


def issue(name: str, *depends_on: str, body: str = "") -> Issue:
    return Issue(id=name, title=f"Add {name}", body=body, depends_on=depends_on)


THERE = [issue("b"), issue("a")]


def test_what_is_new_comes_behind_what_it_depends_on_there_among_them_or_landed() -> None:
    new = [issue("d", "c", "a", "old"), issue("c", "b")]
    assert [one.id for one in fitting(THERE, new, frozenset({"old"}))] == ["c", "d"]


def test_what_is_there_already_is_passed_over() -> None:
    assert fitting(THERE, [issue("a"), issue("c")], frozenset()) == [issue("c")]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ([issue("a", body="more")], r"the run has an issue 'a' already, with another text \('Add a'\)"),
        ([issue("c", "d"), issue("d", "c")], "in a cycle: c → d → c"),
        ([issue("c", "gone")], "depends on 'gone', which is neither among the issues nor landed"),
        ([issue("c"), issue("c", body="more")], "two issues have the id 'c'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(added: list[Issue], said: str) -> None:
    with pytest.raises(Misuse, match=said):
        fitting(THERE, added, frozenset())
