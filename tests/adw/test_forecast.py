from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adw.forecast import BEFORE, Forecast, Schedule, Step
from adw.model import AGENT_PHASES, Issue

ANALYSIS = {"plan": 3.0, "build": 7.0, "test": 4.0, "review": 3.0, "document": 0.0, "land": 0.0}  # minutes


def issue(name: str, *depends_on: str, priority: int = 0) -> Issue:
    return Issue(id=name, title=f"Add {name}", body="", depends_on=depends_on, priority=priority)


def forecast(*issues: Issue, **seconds: float) -> Forecast:
    """With phases of the analysis, but for those that are named."""
    return Forecast(issues, {one.id: ANALYSIS | seconds for one in issues})


class Case(NamedTuple):
    """Any issues, with any whole seconds, so that sums are exact."""

    issues: list[Issue]
    seconds: dict[str, dict[str, float]]
    slots: int
    requests: int

    @property
    def forecast(self) -> Forecast:
        return Forecast(self.issues, self.seconds)

    @property
    def schedule(self) -> Schedule:
        return self.forecast.at(self.slots, self.requests)

    def work(self, phases: Sequence[str]) -> float:
        return sum(self.seconds[one.id][phase] for one in self.issues for phase in phases)

    def longest(self, one: Issue) -> float:
        """The longest way from an issue's start, by asking each way."""
        took = self.seconds[one.id]
        own = took["plan"] + took["build"] + max(took["test"], took["review"], took["document"]) + took["land"]
        return own + max((self.longest(other) for other in self.issues if one.id in other.depends_on), default=0.0)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    number = draw(st.integers(0, 7))
    names = [f"i{place}" for place in range(number)]
    issues = [
        issue(name, *draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3) if place else st.just([])), priority=draw(st.integers(-1, 1)))
        for place, name in enumerate(names)
    ]
    seconds = {name: {phase: float(draw(st.integers(0, 9))) for phase in BEFORE} for name in names}
    return Case(issues, seconds, draw(st.integers(1, 9)), draw(st.integers(0, 9)))


def most_at_once(schedule: Schedule, phases: Sequence[str]) -> int:
    spans = [span for span in schedule.spans.values() if span.step.phase in phases and span.seconds]
    return max((sum(other.begins <= span.begins < other.ends for other in spans) for span in spans), default=0)


anything = given(case=cases())
unhurried = settings(deadline=None)  # other tests may have the machine


@unhurried
@anything
def test_each_phase_is_scheduled_once_for_as_long_as_it_takes(case: Case) -> None:
    took = {(step.issue, step.phase): span.seconds for step, span in case.schedule.spans.items()}
    assert took == {(name, phase): seconds for name, phases in case.seconds.items() for phase, seconds in phases.items()}


@unhurried
@anything
def test_nothing_begins_before_what_it_waits_for_has_ended(case: Case) -> None:
    spans = case.schedule.spans
    for one in case.issues:
        for phase, needed in BEFORE.items():
            before = [Step(one.id, name) for name in needed] or [Step(other, "land") for other in one.depends_on]
            assert all(spans[step].ends <= spans[Step(one.id, phase)].begins for step in before)


@unhurried
@anything
def test_no_more_than_the_slots_are_at_work_and_no_more_agents_than_may_ask_the_model(case: Case) -> None:
    schedule = case.schedule
    assert most_at_once(schedule, [phase for phase in BEFORE if phase != "land"]) <= case.slots
    assert most_at_once(schedule, AGENT_PHASES) <= (case.requests or case.slots)


@unhurried
@anything
def test_a_schedule_is_never_better_than_its_limit_nor_worse_than_one_after_another(case: Case) -> None:
    schedule = case.schedule
    assert schedule.limit <= schedule.wall <= schedule.alone == case.work(tuple(BEFORE))


@unhurried
@anything
def test_no_slot_is_idle_while_somebody_could_use_it(case: Case) -> None:
    """Graham's bound: with more slots a schedule may be longer, but not longer than this."""
    path = max((case.longest(one) for one in case.issues), default=0.0)
    plain = case.forecast.at(case.slots)
    assert plain.wall <= case.work(tuple(BEFORE)) / case.slots + path * (1 - 1 / case.slots) + 1e-9
    model = case.work(AGENT_PHASES) / case.requests if case.requests else 0.0
    assert case.schedule.wall <= case.work(tuple(BEFORE)) / case.slots + model + path + 1e-9


@unhurried
@anything
def test_the_critical_path_is_as_long_as_the_run_with_as_many_slots_as_it_likes(case: Case) -> None:
    path = case.forecast.critical
    longest = max((case.longest(one) for one in case.issues), default=0.0)
    assert sum(span.seconds for span in path) == longest == case.forecast.at(1000).wall == case.schedule.limits["critical path"]
    assert all(one.ends == other.begins for one, other in pairwise(path))


@unhurried
@anything
def test_what_remains_of_an_issue_is_its_longest_way_through_those_that_wait_for_it(case: Case) -> None:
    assert [case.forecast.remaining(one) for one in case.issues] == [case.longest(one) for one in case.issues]


def test_five_features_on_five_slots_take_what_the_slots_allow() -> None:
    schedule = forecast(*(issue(name) for name in "abcde")).at(5)
    assert (schedule.alone, schedule.limit, schedule.binds) == (85, 17, "slots")
    assert schedule.wall == 17
    assert (schedule.speed_up, schedule.efficiency) == (5, 1)


@pytest.mark.parametrize(
    ("slots", "requests", "binds"), [(1, 0, "slots"), (30, 0, "critical path"), (30, 1, "API limit"), (5, 5, "slots"), (5, 4, "slots"), (5, 3, "API limit")]
)
def test_the_limit_that_binds_is_named(slots: int, requests: int, binds: str) -> None:
    assert forecast(*(issue(name) for name in "abcde")).at(slots, requests).binds == binds


def test_an_agent_that_waits_for_the_model_leaves_the_slot_to_a_test() -> None:
    spans = forecast(issue("a", priority=1), issue("b", priority=1)).at(2, 1).spans
    # The plan of `b` waits for the model since the beginning, and has no slot.
    assert spans[Step("a", "test")].begins == spans[Step("a", "build")].ends


def order(schedule: Schedule, phase: str) -> str:
    """In which order issues come to a phase."""
    spans = [span for span in schedule.spans.values() if span.step.phase == phase]
    return "".join(span.step.issue for span in sorted(spans, key=lambda span: span.begins))


def test_what_stands_before_a_landing_goes_before_new_work_however_urgent_that_is() -> None:
    # When `x` has landed, at which `urgent` can begin, the build of `a` has just ended.
    schedule = forecast(issue("x", priority=5), issue("a"), issue("urgent", "x", priority=9), issue("b"), issue("c"), land=10).at(1)
    assert schedule.spans[Step("x", "land")].ends == schedule.spans[Step("a", "build")].ends == schedule.spans[Step("a", "test")].begins
    assert schedule.spans[Step("a", "review")].ends == schedule.spans[Step("urgent", "plan")].begins


def test_a_higher_priority_goes_first_and_then_what_most_waits_for_and_then_the_one_given_first() -> None:
    assert order(forecast(issue("a"), issue("b", priority=1), issue("c")).at(1), "plan") == "bac"
    assert order(forecast(issue("a"), issue("b"), issue("c", "b")).at(1), "plan") == "bac"


def test_what_an_issue_depends_on_that_is_not_among_them_has_landed() -> None:
    assert forecast(issue("a", "gone")).at(1).wall == 17


def test_nothing_to_do_takes_no_time() -> None:
    nothing = forecast().at(5)
    assert (nothing.wall, nothing.speed_up, nothing.limit, nothing.binds) == (0, 1, 0, "critical path")
