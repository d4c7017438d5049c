from pathlib import Path

import pytest

from adw import decisions
from adw.decisions import Decision
from adw.mirror import Hub, find_hub, sync
from adw.model import Issue, Item, Plan

PLAN = Plan(text="a plan\n", files=("a.txt",), items=(Item(title="one", files=("a.txt",)),))


def yes(plan: Plan = PLAN) -> Decision:
    return Decision(approved=True, plan=plan)


def no(feedback: str) -> Decision:
    return Decision(approved=False, plan=PLAN, feedback=feedback)


def test_the_last_word_on_a_plan_counts(hub: Hub, issue: Issue) -> None:
    assert decisions.approved(hub, issue) is None
    decisions.decide(hub, issue, yes())
    assert decisions.approved(hub, issue) == PLAN
    decisions.decide(hub, issue, no("too long"))
    assert decisions.approved(hub, issue) is None
    for number in range(10):  # more than one digit
        decisions.decide(hub, issue, yes(Plan(text=str(number))))
    assert decisions.approved(hub, issue) == Plan(text="9")


def test_all_that_was_said_against_plans_is_told_with_the_plans(hub: Hub, issue: Issue) -> None:
    for decision in (no("too long"), yes(), no("too short")):
        decisions.decide(hub, issue, decision)
    said = decisions.objections(hub, issue)
    assert [said.count(words) for words in ("too long", "too short", "That was said of this plan:\n\na plan")] == [1, 1, 2]
    assert decisions.objections(hub, Issue(id="another", title="x", body="")) == ""


def test_a_decision_outlives_adws_own_folder(hub: Hub, issue: Issue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions.decide(hub, issue, yes())
    monkeypatch.setenv("ADW_HOME", str(tmp_path / "another"))
    elsewhere = find_hub(hub.path)
    sync(elsewhere)
    assert decisions.approved(elsewhere, issue) == PLAN


def test_a_plan_is_another_one_only_when_its_text_was_edited() -> None:
    assert decisions.edited(PLAN, "a plan") == PLAN
    assert decisions.edited(PLAN, "") == PLAN
    assert decisions.edited(PLAN, "a better plan\n") == Plan(text="a better plan", files=("a.txt",))
