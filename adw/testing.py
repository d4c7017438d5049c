"""A command judges a commit, in a slot, by its exit status; and once more where it says no: a test that then passes is flaky."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from adw import lock, proc
from adw.config import Flaky
from adw.errors import AgentCrashed, AgentCut
from adw.home import home
from adw.journal import LOG_TAIL, Journal, tail
from adw.model import Order, Verdict
from adw.pool import Pool
from adw.proc import kept

EACH = 0.2  # seconds between looks at what others have
AGAIN = "-again"  # behind the phase in the name of the log of what is repeated


@dataclass(frozen=True, slots=True)
class Command:
    """What judges, and how long it may take."""

    line: str  # for sh
    minutes: float
    env: Mapping[str, str]  # beside that of the slot
    fds: Sequence[int] = ()  # that it holds as long as it lives


def tested(pool: Pool, journal: Journal, order: Order, commit: str, command: Command) -> Verdict:
    """What a command says of a commit. A no is repeated once, in a fresh lease: passed and flaky, with both logs, if it is a yes then.

    AgentCut if a limit stopped it: that is not repeated. AgentCrashed if it was killed.
    """
    with _own_log(journal, order) as printed:
        verdict = _once(pool, order, commit, command, printed)
    if verdict.passed:
        return verdict
    try:
        with _own_log(journal, replace(order, phase=order.phase + AGAIN)) as printed:
            again = _once(pool, order, commit, command, printed)
    except AgentCut:
        return verdict
    if not again.passed:
        return verdict
    half = LOG_TAIL // 2
    log = f"flaky: it failed, and passed when it was repeated on the same tree. First:\n{verdict.log[-half:]}\n\nRepeated:\n{again.log[-half:]}"
    return Verdict(passed=True, log=log, flaky=True)


def ruled(verdict: Verdict, rule: Flaky) -> Verdict:
    """A verdict by the rule for those that are flaky."""
    return replace(verdict, passed=False) if verdict.flaky and rule == "refuse" else verdict


@contextmanager
def exclusive(names: Sequence[str]) -> Iterator[list[int]]:
    """For the block, nobody else on this host has what is named so; waits for those who have. Gives what a command is to hold, lest it is lent again sooner."""
    with ExitStack() as stack:
        held = []
        for name in sorted(set(names)):  # in one order, or two could wait for each other
            while (file := lock.try_lock(home() / "exclusive" / name)) is None:
                proc.go_on()
                time.sleep(EACH)
            held.append(stack.enter_context(file).fileno())
        yield held


@contextmanager
def _own_log(journal: Journal, order: Order) -> Iterator[Path]:
    """For the block, a log that nobody else writes: another candidate of the same try may be tested at the same time."""
    for number in count(1):
        path = journal.log(order if number == 1 else replace(order, phase=f"{order.phase}-{number}"))
        if held := lock.try_lock(path):
            with held:
                yield path
            return


def _once(pool: Pool, order: Order, commit: str, command: Command, log: Path) -> Verdict:
    with pool.lease(commit, order) as lease:
        before = log.stat().st_size if log.exists() else 0
        ended = kept(
            lease.boxed(["sh", "-c", command.line]),
            cwd=lease.tree,
            env={**lease.env, **command.env},
            log=log,
            minutes=command.minutes,
            fds=[*lease.fds, *command.fds],
            watch=lease.watch,
        )
    if ended.cut:
        msg = f"the {order.phase} command was stopped: {ended.cut}\n{tail(log, before)}"
        raise AgentCut(msg)
    if ended.killed:
        msg = f"the {order.phase} command was killed from outside (exit status {ended.status})"
        raise AgentCrashed(msg)
    return Verdict(passed=ended.status == 0, log=tail(log, before))
