import threading
from collections.abc import Callable

import pytest

from adw.breaker import Breaker
from adw.config import BreakerConfig
from adw.errors import AdwError, AgentCrashed, AgentFailed, BudgetSpent, Halted, KeyRefused, ModelAway, RateLimited
from tests.adw.tools import until


class Watched(Breaker):
    """A breaker that keeps what it told."""

    def __init__(self, **settings: float) -> None:
        self.told: list[str] = []
        super().__init__(BreakerConfig.model_validate({"failures": 2, "seconds": 0.05, "probes": 2, **settings}), lambda state, _: self.told.append(state))

    def fails(self, no: AdwError) -> None:
        with pytest.raises(type(no)), self.guarded():
            raise no

    def works(self) -> None:
        with self.guarded():
            pass


def test_it_opens_after_failures_of_one_kind_in_a_row() -> None:
    breaker = Watched()
    breaker.fails(ModelAway("away"))
    assert breaker.told == []
    breaker.fails(RateLimited("too many"))
    assert breaker.told == ["open"]


@pytest.mark.parametrize("between", [lambda b: b.works(), lambda b: b.fails(AgentFailed("no")), lambda b: b.fails(AgentCrashed("killed"))])
def test_an_answer_or_a_failure_of_another_kind_in_between_begins_the_count_anew(between: Callable[[Watched], None]) -> None:
    breaker = Watched()
    breaker.fails(ModelAway("away"))
    between(breaker)
    breaker.fails(ModelAway("away"))
    assert breaker.told == []


def test_while_it_is_open_one_is_let_through_and_the_others_wait_for_its_success() -> None:
    breaker, inside, go, through = Watched(failures=1), threading.Semaphore(0), threading.Event(), []

    def work() -> None:
        with breaker.guarded():
            inside.release()
            go.wait(30)
            through.append(1)

    breaker.fails(ModelAway("away"))
    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert inside.acquire(timeout=30)
    assert not inside.acquire(timeout=0.5)  # long after the pause: only the probe is in
    go.set()
    for worker in workers:
        worker.join(30)
    assert (len(through), breaker.told) == (3, ["open", "closed"])


def test_after_some_trials_in_vain_nobody_is_let_through_any_more() -> None:
    breaker = Watched(failures=1)
    breaker.fails(ModelAway("away"))
    breaker.fails(ModelAway("away"))
    breaker.fails(ModelAway("still away"))
    assert breaker.told == ["open", "open", "halted"]
    with pytest.raises(Halted, match=r"still away[\s\S]*adw resume"), breaker.guarded():
        pytest.fail("it was let through")


def test_a_wrong_key_stops_all_at_once_and_tells_each_why() -> None:
    breaker = Watched()
    breaker.fails(KeyRefused("the key is wrong"))
    assert breaker.told == ["halted"]
    for _ in range(2):
        with pytest.raises(KeyRefused, match="the key is wrong"):
            breaker.works()


def test_the_budget_of_one_issue_stops_no_other() -> None:
    breaker = Watched()
    breaker.fails(BudgetSpent("spent"))
    breaker.works()
    assert breaker.told == []


def test_those_who_wait_while_it_is_open_are_told_when_it_halts() -> None:
    breaker, raised = Watched(failures=1, seconds=3600), []

    def work() -> None:
        try:
            breaker.works()
        except Halted as no:
            raised.append(str(no))

    breaker.fails(ModelAway("away"))
    waiting = threading.Thread(target=work)
    waiting.start()
    breaker.halt(KeyRefused("wrong"))
    waiting.join(30)
    assert until(lambda: raised) == ["wrong"]
