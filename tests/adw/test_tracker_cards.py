"""What the state of a run is as tasks, and what people's changes of these mean."""

from dataclasses import replace
from typing import Any

import pytest

from adw.errors import Skipped
from adw.model import URGENT, Issue
from adw.tracker.cards import of_issue, touched, worker
from adw.tracker.model import Card, Task
from adw.tracker.people import People, priorities, wanted
from tests.adw.events import folded, outcome, phase

A = Issue(id="a", title="Add a", body="please")
B = Issue(id="b", title="Add b", body="", depends_on=("a",))
ENDED = {"event": "outcome", "timestamp": 12.0, "issue": "a", "title": "Add a", "reason": "the tests say no", "sha": "c0ffee", "place": "adw/a"}


def cards(issue: Issue, *events: dict[str, Any]) -> dict[str, Card]:
    """The cards of an issue after some events, by their phases."""
    return {card.phase: card for card in of_issue(folded(*events), "r1", issue, 0, worker(lambda name: f"agent of {name}"))}


def test_an_issue_that_waits_says_for_what() -> None:
    (card,) = cards(B).values()
    assert (card.issue, card.title, card.status, card.text, card.assignee) == (B.key, "Add b", "todo", "Waits for a.", "adw")
    assert cards(B, outcome("landed"))[""].text == ""


def test_an_issue_at_work_says_which_phase_since_when_and_who() -> None:
    found = cards(A, phase("done", "plan", at=20), phase("running", "build", 2, at=3600))
    assert found[""].status == found["build"].status == "doing"
    assert found[""].assignee == found["build"].assignee == "agent of build"
    assert found[""].last == "run r1: build, try 2: running since 1970-01-01 01:00:00 UTC"
    assert (found["plan"].title, found["plan"].status, found["plan"].last) == ("plan: Add a", "done", "plan, try 1: done after 2.0 s")


@pytest.mark.parametrize(
    ("state", "status", "text"),
    [
        ("landed", "done", "Landed as c0ffee.\n\nplease"),
        ("already landed", "done", "Landed as c0ffee.\n\nplease"),
        ("ready", "review", "Ready: adw/a\n\nplease"),
        ("planned", "review", "Planned: adw/a\n\nplease"),
        ("refused", "review", "Refused: the tests say no\n\nplease"),
        ("blocked", "review", "Blocked: the tests say no\n\nplease"),
        ("stopped", "review", "Stopped: the tests say no\n\nplease"),
    ],
)
def test_an_issue_that_ended_says_how(state: str, status: str, text: str) -> None:
    card = cards(A, ENDED | {"state": state, **({"reason": "adw/a"} if state == "planned" else {})})[""]
    assert (card.status, card.text) == (status, text)


@pytest.mark.parametrize(("state", "status"), [("cached", "done"), ("flaky", "done"), ("no", "review"), ("failed", "review"), ("cut", "todo")])
def test_a_phase_that_ended_says_how(state: str, status: str) -> None:
    assert cards(A, phase(state, "test"))["test"].status == status
    assert cards(A, phase(state, "test"))["test"].assignee == "adw"


def test_who_is_waited_for_is_a_person() -> None:
    asked = {"event": "approval", "timestamp": 12.0, "issue": "a", "gate": "plan", "state": "wanted"}
    card = cards(A, phase("done", "plan"), asked)[""]
    assert (card.status, card.assignee, card.text) == ("review", "User", "Waits for a person's approval\n\nplease")


def test_an_issue_that_a_person_took_from_adw_is_left_as_it_is_but_for_its_phases() -> None:
    found = cards(A, phase("done", "plan"), ENDED | {"state": "skipped"})
    assert {name: card.status for name, card in found.items()} == {"plan": "done"}


def test_only_what_events_are_about_is_told_anew() -> None:
    assert touched([phase("done")], [A, B]) == {"a"}
    assert touched([outcome("landed")], [A, B]) == {"a", "b"}
    assert touched([{"event": "spent", "issue": "a"}, {"event": "slots"}], [A, B]) == set()
    assert touched([{"event": "added", "issues": []}], [A, B]) == {"a", "b"}


def task(issue: Issue, status: str = "doing", said: str = "doing", place: int = 100, given: int = 100) -> Task:
    fields = {"title": issue.title, "description": f"adw: {issue.key} ({said}, {given})\nsince noon", "status": status, "assignee": "adw"}
    return Task(id=f"{issue.id}-1", fields={**fields, "feature": issue.key, "task_order": place}, created="")


def heard(*tasks: tuple[Issue, Task], gone: tuple[Issue, ...] = ()) -> People:
    people = People()
    people.hear([*(issue for issue, _ in tasks), *gone], {issue.key: one for issue, one in tasks}, {issue.key for issue in gone})
    return people


def test_an_issue_whose_task_a_person_set_to_done_is_not_gone_on_with() -> None:
    with pytest.raises(Skipped, match="set its task to done"):
        heard((A, task(A, "done", "doing"))).go_on(A)
    with pytest.raises(Skipped, match="taken its task"):
        heard(gone=(A,)).go_on(A)


@pytest.mark.parametrize(("status", "said"), [("done", "done"), ("review", "doing"), ("todo", "doing"), ("doing", "doing")])
def test_any_other_state_of_its_task_is_no_reason_to_stop(status: str, said: str) -> None:
    heard((A, task(A, status, said))).go_on(A)


def test_a_person_may_take_it_back() -> None:
    people = heard((A, task(A, "done")))
    people.hear([A], {A.key: task(A, "todo")}, ())
    people.go_on(A)


C = Issue(id="c", title="Add c", body="", priority=URGENT)


def test_issues_go_in_the_order_of_their_tasks_once_a_person_has_moved_one() -> None:
    as_given = {A: task(A), B: task(B, place=200, given=200)}
    assert priorities(as_given) == {}
    assert priorities({**as_given, B: task(B, place=50, given=200)}) == {"b": 2, "a": 1}
    assert heard((A, task(A)), (B, task(B, place=50, given=200))).ranked(B) == replace(B, priority=2)


def test_what_is_urgent_stays_so_unless_it_was_moved_itself() -> None:
    moved = {A: task(A, place=500), B: task(B, place=200, given=200)}
    assert priorities({**moved, C: task(C, place=300, given=300)}) == {"b": 3, "a": 1}
    assert priorities({**moved, C: task(C, place=600, given=300)}) == {"b": 3, "a": 2, "c": 1}


def stranger(name: str = "0a1b2c3d-0000", **fields: Any) -> Task:
    given = {"title": "Say  goodbye\n", "description": "to Ada\n", "status": "todo", "assignee": "adw", "feature": None, "task_order": 0}
    return Task(id=name, fields={**given, **fields}, created="")


def test_a_persons_task_for_adw_is_an_issue_once() -> None:
    (found,) = wanted([stranger()], set())
    assert (found.id, found.title, found.body) == ("archon-0a1b2c3d", "Say goodbye", "to Ada")
    assert wanted([stranger()], {found.id}) == []


@pytest.mark.parametrize("fields", [{"assignee": "User"}, {"status": "doing"}, {"title": " "}])
def test_any_other_task_of_theirs_is_none(fields: dict[str, str]) -> None:
    assert wanted([stranger(**fields)], set()) == []
