import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tasks import wanted


@dataclass
class Submitted:
    """What is known of a task run once it was submitted."""

    task_run_id: str = "1"


def test_a_task_run_that_begins_before_its_id_is_known_holds_its_turn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__TASK_RUN__ID", "1")  # as Prefect has it for code that is tried without a run
    told: list[str] = []

    @contextmanager
    def lent() -> Iterator[None]:
        told.append("lent")
        yield
        told.append("given back")

    def work() -> None:
        with wanted.turn():
            told.append("at work")

    thread = threading.Thread(target=work)

    def submit() -> Submitted:
        thread.start()
        thread.join(0.3)  # it would have ended, had it not waited for us
        return Submitted()

    with wanted.minded(submit, lambda: False, lent):
        thread.join(20)
    assert told == ["lent", "at work", "given back"]


def test_a_task_run_that_nobody_here_waits_for_has_no_turn_to_hold() -> None:
    with wanted.turn() as held:
        assert held is None
