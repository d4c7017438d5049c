import pytest

from adw.errors import Misuse
from adw.graph import in_order
from adw.model import Issue


def issue(name: str, *depends_on: str, priority: int = 0) -> Issue:
    return Issue(id=name, title=f"Add {name}", body="", depends_on=depends_on, priority=priority)


def ids(*issues: Issue) -> str:
    return " ".join(one.id for one in in_order(issues))


def test_issues_come_behind_those_they_depend_on() -> None:
    assert ids(issue("a", "b", "c"), issue("b", "c"), issue("c")) == "c b a"


def test_issues_come_by_priority_and_then_as_given() -> None:
    assert ids(issue("z"), issue("a"), issue("p", priority=2), issue("q", priority=-1)) == "p z a q"


def test_a_dependency_weighs_more_than_a_priority() -> None:
    assert ids(issue("urgent", "slow", priority=9), issue("slow")) == "slow urgent"


def test_an_urgent_issue_comes_as_soon_as_it_is_free() -> None:
    assert ids(issue("base", priority=1), issue("idle"), issue("urgent", "base", priority=9)) == "base urgent idle"


def test_a_cycle_is_named() -> None:
    with pytest.raises(Misuse, match=r"a → b → c → a|b → c → a → b|c → a → b → c"):
        ids(issue("a", "b"), issue("b", "c"), issue("c", "a"), issue("d"))


def test_an_issue_that_depends_on_itself_is_a_cycle() -> None:
    with pytest.raises(Misuse, match="a → a"):
        ids(issue("a", "a"))


def test_two_issues_with_one_id_are_refused_with_both_titles() -> None:
    with pytest.raises(Misuse, match=r"'a'.*'Add a' and 'Other'"):
        in_order([issue("a"), Issue(id="a", title="Other", body="")])


def test_an_unknown_dependency_is_named() -> None:
    with pytest.raises(Misuse, match="'a' depends on 'b'"):
        ids(issue("a", "b"))


def test_a_dependency_that_landed_need_not_be_given() -> None:
    assert in_order([issue("a", "b")], frozenset({"b"})) == [issue("a", "b")]


def test_no_issues_are_in_order() -> None:
    assert in_order([]) == []
