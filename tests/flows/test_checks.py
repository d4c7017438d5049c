"""What of a run's checks counts. The phases are those of Prefect's tasks, run in threads without it."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adw import phases
from adw.config import override
from adw.errors import AgentFailed, Interrupted, SetupFailed
from adw.forecast import Forecast
from adw.mirror import Hub
from adw.model import Attempt, Candidate, Change, Issue, Plan, Verdict
from adw.train import Train
from flows.checks import Checks
from flows.places import Offer, Places
from flows.rails import Rails
from flows.work import Call, Done
from tasks import wanted
from tests.conftest import make_site
from tests.flows.stories import Direct

ISSUE = Issue(id="a", title="Add a", body="")


class Bench(Direct):
    """Work on the one issue, in slots enough, that keeps in mind what it was asked for."""

    submitted: list[Call]
    against: BaseException | None = None  # what comes of each phase of an issue, or by a name
    whom = "(base)"

    def _done_here(self, call: Call, *, known: bool = False, turn: wanted.Turn = nullcontext) -> Done:
        if self.against and self.whom in {call.issue.id, call.task.name}:
            raise self.against
        return super()._done_here(call, known=known, turn=turn)

    def _have_done(self, call: Call, do: Callable[[Call], Done]) -> None:
        self.submitted.append(call)
        super()._have_done(call, do)

    @property
    def asked(self) -> set[tuple[str, str, bool]]:
        """Phase and issue of what was submitted, and whether somebody waits for it."""
        return {(call.task.name, call.issue.id, not call.aside) for call in self.submitted}

    def judge(self, checks: Checks, unwanted: Callable[[], bool] = lambda: False) -> Verdict:
        """What is said of the branch with a file more."""
        return checks.prove(ISSUE, candidate(self), 1, unwanted)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.journal.events()[0] if event["event"] == kind]


@pytest.fixture
def bench(hub: Hub) -> Bench:
    (hub.place.runs / "r1").mkdir(parents=True)
    site, places = make_site(hub, "echo x > new.txt", size=8), Places()
    places.update({"here": Offer(8)})
    made = Bench(site, hub, site.journal(), {}, places, {})
    made.submitted = []
    made.train = Train(Rails(made), lambda: 8, [], hub.tip())
    made.forecast = Forecast([], {})
    return made


def on(bench: Bench, test: str = "true", rule: str = "pass", **tables: dict[str, Any]) -> Checks:
    """The checks of a run that has these."""
    bench.site = replace(bench.site, config=override(bench.site.config, test__command=test, test__flaky=rule, checks=tables))
    return Checks(bench)


def change(bench: Bench) -> Change:
    tip = bench.hub.tip()
    return phases.build(bench.site, ISSUE, Plan(text="p"), Attempt(number=1, base=tip, base_tree=bench.hub.mirror.tree_of(tip)), {})[0]


def candidate(bench: Bench) -> Candidate:
    made = change(bench)
    return phases.candidate(bench.site, ISSUE, made, made.base)


def test_a_candidate_passes_if_the_test_and_all_that_is_required_of_it_do(bench: Bench) -> None:
    assert bench.judge(on(bench, one={"command": "true"}, two={"command": "test -f code.txt"})).passed
    assert {("test", "a", True), ("one", "a", True), ("two", "a", True)} <= bench.asked


def test_all_that_say_no_are_told_together(bench: Bench) -> None:
    no = "test ! -f new.txt || { echo no from %s; false; }"
    verdict = bench.judge(on(bench, no % "test", one={"command": no % "one"}, two={"command": "true"}, three={"command": no % "three"}))
    assert (verdict.passed, verdict.log) == (
        False,
        "the tests fail:\nno from test\n\nthe check one says no:\nno from one\n\nthe check three says no:\nno from three",
    )


def test_what_could_not_be_run_is_no_verdict_and_is_told_with_what_the_others_say(bench: Bench) -> None:
    checks = on(bench, "test ! -f new.txt || { echo red; false; }", slow={"command": "test ! -f new.txt || sleep 600", "minutes": 0.05})
    with pytest.raises(AgentFailed, match=r"^the slow command was stopped: .*\s+the tests fail:\nred$"):
        bench.judge(checks)


def test_what_is_advisory_says_no_and_holds_nothing_back(bench: Bench) -> None:
    checks = on(bench, rude={"command": "test ! -f new.txt || exit 1", "required": False})
    assert bench.judge(checks).passed
    checks.settle()
    assert ("rude", "a", False) in bench.asked
    assert [event["state"] for event in bench.events("phase") if (event["phase"], event["issue"]) == ("rude", "a")] == ["running", "no"]


def test_nobody_waits_for_what_is_advisory_but_who_settles(bench: Bench, tmp_path: Path) -> None:
    checks = on(bench, slow={"command": f"test ! -f new.txt || until test -e {tmp_path}/go; do sleep 0.05; done", "required": False})
    assert bench.judge(checks).passed
    settled = threading.Thread(target=checks.settle)
    settled.start()
    assert not [event for event in bench.events("phase") if (event["phase"], event["issue"], event["state"]) == ("slow", "a", "done")]
    (tmp_path / "go").touch()
    settled.join(60)
    assert [event for event in bench.events("phase") if (event["phase"], event["issue"], event["state"]) == ("slow", "a", "done")]


def test_what_is_advisory_and_cannot_be_run_holds_nothing_back_either(bench: Bench) -> None:
    checks = on(bench, slow={"command": "test ! -f new.txt || sleep 600", "required": False, "minutes": 0.02})
    assert bench.judge(checks).passed
    checks.settle()
    assert [event["state"] for event in bench.events("phase") if (event["phase"], event["issue"]) == ("slow", "a")] == ["running", "failed"]
    assert bench.events("note") == []  # the phase's own event tells


def test_what_else_comes_of_what_is_advisory_is_a_note(bench: Bench) -> None:
    bench.against, bench.whom = ConnectionError("lost"), "shy"
    made = change(bench)
    checks = on(bench, shy={"prompt": "is it?", "required": False})
    assert checks.submit(ISSUE, made, 1) == []
    checks.settle()
    assert [event["text"] for event in bench.events("note")] == ["a: the check shy could not be run: lost"]


def test_what_is_red_on_the_branch_as_it_is_is_not_required_and_is_told(bench: Bench) -> None:
    checks = on(bench, old={"command": "echo old sins; false"}, slow={"command": "sleep 600", "minutes": 0.02}, new={"command": "test ! -f new.txt"})
    verdict = bench.judge(checks)
    assert (verdict.passed, verdict.log) == (False, "the check new says no:\n")
    told = {event["check"]: event["log"] for event in bench.events("red at base")}
    assert (set(told), told["old"]) == ({"old", "slow"}, "old sins")
    assert "took longer" in told["slow"]
    checks.settle()
    assert ("old", "a", False) in bench.asked  # it still speaks


def test_the_branch_as_it_is_is_looked_at_once_in_a_run_and_again_in_the_next(bench: Bench) -> None:
    checks = on(bench, old={"command": "false"}, new={"command": "true"})
    for _ in range(2):
        bench.judge(checks)
        checks.settle()
    assert sorted(call.task.name for call in bench.submitted if call.issue.id == "(base)") == ["new", "old"]
    assert set(on(bench, old={"command": "false"}, new={"command": "true"}).begin().result()) == {"old"}  # what says no is not remembered


def test_prompts_are_not_asked_about_the_branch_as_it_is(bench: Bench) -> None:
    assert list(on(bench, words={"prompt": "is it?"}).begin().result()) == []
    assert bench.submitted == []


@pytest.mark.parametrize("no", [SetupFailed("no"), Interrupted("end")])
def test_what_keeps_the_branch_from_being_looked_at_is_told_to_all_who_would_be_judged(bench: Bench, no: BaseException) -> None:
    checks = on(bench, lint={"command": "true"})
    bench.against = no
    for _ in range(2):
        with pytest.raises(type(no)):
            bench.judge(checks)


def test_a_change_is_judged_by_what_is_on_the_change_and_a_candidate_by_the_rest(bench: Bench) -> None:
    checks = on(
        bench, lint={"command": "true"}, size={"command": "true", "on": "change"}, words={"prompt": "is it?"}, shy={"prompt": "is it?", "required": False}
    )
    made = change(bench)
    calls = checks.submit(ISSUE, made, 1)
    verdicts = [(call, bench.result(call)) for call in calls]
    checks.settle()
    assert [call.task.name for call in calls] == ["size", "words"]
    assert list(checks.worded(verdicts)) == ["the check size says no", "the check words says no"]
    assert ("shy", "a", False) in bench.asked
    assert [call.task.name for call in checks.proof(ISSUE, candidate(bench), 1)] == ["test", "lint"]


@pytest.mark.parametrize(("rule", "passed"), [("pass", True), ("refuse", False)])
def test_what_is_flaky_counts_as_its_own_rule_says(bench: Bench, tmp_path: Path, rule: str, passed: bool) -> None:  # noqa: FBT001
    once = f"test ! -f new.txt || test -e {tmp_path}/%s || {{ touch {tmp_path}/%s; false; }}"
    checks = on(bench, once.replace("%s", "t"), rule, lint={"command": once.replace("%s", "l"), "flaky": rule})
    verdict = bench.judge(checks)
    assert verdict.passed is passed
    assert {event["phase"] for event in bench.events("phase") if event["state"] == "flaky"} == {"test", "lint"}
    assert [verdict.log.count(word) for word in ("the tests fail:\nflaky: ", "the check lint says no:\nflaky: ")] == [not passed, not passed]


def test_what_is_flaky_on_the_branch_as_it_is_is_red_if_the_rule_refuses_it(bench: Bench, tmp_path: Path) -> None:
    once = f"test -e {tmp_path}/%s || {{ touch {tmp_path}/%s; false; }}"
    checks = on(bench, strict={"command": once.replace("%s", "a"), "flaky": "refuse"}, mild={"command": once.replace("%s", "b")})
    assert set(checks.begin().result()) == {"strict"}


def test_a_candidate_that_nobody_wants_any_more_is_not_judged(bench: Bench) -> None:
    checks = on(bench, lint={"command": "true"}, shy={"command": "true", "required": False})
    checks.begin().result()
    bench.places.update({"here": Offer(0)})  # so that all of it waits for a slot
    with bench.places.watched(lambda: None):
        with pytest.raises(Interrupted):
            bench.judge(checks, lambda: True)
        checks.settle()
    assert [call.task.name for call in bench.submitted if call.issue == ISSUE and call.done.exception() is None] == []
