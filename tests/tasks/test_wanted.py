import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

from adw import proc
from tasks import wanted


def test_what_is_submitted_holds_its_turn_and_is_unwanted_wherever_it_runs_and_what_comes_after_is_not() -> None:
    told: list[str] = []

    @contextmanager
    def lent() -> Iterator[None]:
        told.append("lent")
        yield
        told.append("given back")

    def work() -> None:
        with wanted.turn():
            told.append(f"unwanted: {proc.unwanted.get()()}")

    with wanted.minded(lambda: True, lent):
        thread = threading.Thread(target=copy_context().run, args=[work])
    thread.start()
    thread.join(20)
    work()
    assert told == ["lent", "unwanted: True", "given back", "unwanted: False"]


def test_a_task_run_that_nobody_here_waits_for_has_no_turn_to_hold() -> None:
    with wanted.turn() as held:
        assert held is None
