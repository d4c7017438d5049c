"""What is told at GitHub of an issue, as text."""

import pytest

from adw.github.statuses import Status
from adw.model import Issue
from adw.money import Spent, Tokens
from adw.progress import Row
from adw.telling import Facts, at_github, comment, is_told, public, statuses
from tests.adw.events import checked, folded, outcome, phase, red

ISSUE = Issue(id="ada/code#12", title="Add it", body="")
FACTS = Facts(run="r1", branch="main", pushed=True, tries=2, spent=Spent(usd=1.05, tokens=Tokens(calls=1, input=12_000)))


@pytest.mark.parametrize(
    ("page", "seen"),
    [
        ("http://127.0.0.1:4200/runs/1", ""),
        ("http://localhost:4200", ""),
        ("http://[::1]:4200", ""),
        ("http://0.0.0.0:4200", ""),
        ("", ""),
        ("https://prefect.example.com/runs/1", "https://prefect.example.com/runs/1"),
        ("http://10.0.0.1:4200", "http://10.0.0.1:4200"),
    ],
)
def test_a_page_of_this_machine_alone_is_shown_to_nobody(page: str, seen: str) -> None:
    assert public(page) == seen


@pytest.mark.parametrize(("name", "found"), [("ada/code#12", ("ada/code", 12)), ("code#12", None), ("ada/code#x", None), ("retry", None), ("a/b/c#1", None)])
def test_an_issue_of_github_is_known_by_its_id(name: str, found: tuple[str, int] | None) -> None:
    assert at_github(Issue(id=name, title="", body="")) == found


def told(row: Row, **facts: object) -> str:
    return comment(ISSUE, row, Facts(**{"run": "r1", "branch": "main", **facts}))  # type: ignore[arg-type]


def test_a_comment_begins_with_adws_mark_and_names_the_run() -> None:
    assert comment(ISSUE, Row("Add it"), FACTS).splitlines() == [
        "<!-- adw: ada/code#12 -->",
        "",
        "adw has taken this up.",
        "",
        "Run `r1`; 2 tries; $1.05 · 12k.",
    ]
    assert "Run [r1](https://x.example/1)." in told(Row("Add it"), page="https://x.example/1")


@pytest.mark.parametrize(
    ("state", "facts", "words"),
    [
        ("", {"pull": "https://x/pull/1"}, "taken this up. Its pull request: https://x/pull/1"),
        ("ready", {}, "waits for a person: https://x/pull/2"),
        ("landed", {"pushed": True}, "landed as abc on `main`."),
        ("landed", {}, "landed as abc on the local branch `main` of whoever ran adw; it is still to be pushed"),
        ("refused", {}, "has given up"),
        ("blocked", {}, "before a person has looked at it"),
        ("stopped", {}, "goes on when it is run again"),
        ("crashed", {}, "goes on when it is run again"),
    ],
)
def test_how_an_issue_ended_is_told_without_what_tests_agents_and_this_machine_say(state: str, facts: dict[str, object], words: str) -> None:
    text = told(Row("Add it", state=state, reason="in /home/ada/secret", sha="abc", place="https://x/pull/2"), **facts)
    assert words in text
    assert "secret" not in text


def test_a_branch_that_is_left_here_is_told_to_be_here() -> None:
    assert "for a person: the local branch `adw/it` of whoever ran adw" in told(Row("Add it", state="ready", place="adw/it"))


def test_it_is_told_which_phase_said_no() -> None:
    progress = folded(phase("done"), phase("flaky", "test"), phase("cached", "review", passed=False), outcome("refused"))
    assert "In its last try build: passed, test: flaky, review: no." in comment(ISSUE, progress.rows["a"], FACTS)


def test_phases_that_run_at_once_are_told_of_in_the_same_order_whichever_begins_first() -> None:
    begun = [phase("done", name) for name in ("test", "review", "lint")]
    told = [comment(ISSUE, folded(*order, outcome("ready")).rows["a"], FACTS) for order in (begun, begun[::-1])]
    assert told[0] == told[1]


def test_another_run_is_no_news_before_it_has_done_something_and_what_landed_is_told_once() -> None:
    row = Row("Add it", state="ready", place="https://x/pull/2")
    assert is_told(row, told(row), told(row, run="r2", tries=1))
    assert not is_told(row, told(row), told(Row("Add it")))
    begun = folded(phase("cached", "plan"), phase("running")).rows["a"]
    assert is_told(begun, told(row), told(begun))
    assert not is_told(folded(phase("done", "plan")).rows["a"], told(row), told(begun))
    landed = Row("Add it", state="already landed", sha="abc")
    assert is_told(landed, told(Row("Add it", state="landed", sha="abc"), pushed=True), told(landed))
    assert not is_told(landed, told(Row("Add it")), told(landed))


def test_statuses_are_those_of_the_newest_try() -> None:
    progress = folded(phase("done", "plan"), phase("no", "test"), phase("done", number=2), phase("running", "test", 2), phase("cut", "review", 2))
    pending = [Status("pending", text) for text in ("it is under way", "it is not done yet")]
    assert statuses(progress, progress.rows["a"]) == {"adw/build": Status("success", "passed"), "adw/test": pending[0], "adw/review": pending[1]}


@pytest.mark.parametrize(
    ("state", "more", "wanted"),
    [
        ("done", {}, "success"),
        ("cached", {"passed": True}, "success"),
        ("flaky", {}, "success"),
        ("no", {}, "failure"),
        ("cached", {"passed": False}, "failure"),
        ("failed", {}, "error"),
        ("running", {}, "pending"),
    ],
)
def test_how_a_phase_ended_is_a_state_that_github_knows(state: str, more: dict[str, bool], wanted: str) -> None:
    progress = folded(phase(state, "review", **more))
    assert statuses(progress, progress.rows["a"])["adw/review"].state == wanted


def test_a_check_that_does_not_count_fails_no_commit() -> None:
    no = phase("no", "lint")
    assert {
        what: statuses(progress, progress.rows["a"])["adw/lint"].state
        for what, progress in {
            "required": folded(checked(lint=True), no),
            "advisory": folded(checked(lint=False), no),
            "red": folded(checked(lint=True), red("lint"), no),
        }.items()
    } == {"required": "failure", "advisory": "success", "red": "success"}
