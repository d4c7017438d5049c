"""The checks of one run: what judges a candidate beside the test, and a change beside the review, and what of it counts.

A command is run on the branch as it is first. What says no there is not required of the run's changes: it only speaks, as what
is advisory does from the start, when there is a slot to spare. Nobody waits for what only speaks but the run, at its end.
"""

import contextvars
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, wait
from typing import Any

from prefect import Task

from adw import checks, phases
from adw.errors import AgentFailed, Interrupted
from adw.model import Candidate, Change, Issue, Verdict
from adw.testing import ruled
from flows import shards
from flows.places import never
from flows.work import Call, Work
from tasks import phases as tasks

SHOWN = 4000  # characters of the log of a check that is red at the base


class Checks:
    """Of one run."""

    def __init__(self, work: Work) -> None:
        self._work, self._checks = work, work.site.config.checks
        self._guard = threading.Lock()
        self._base: Future[Collection[str]] | None = None
        self._asides: list[Call] = []

    def begin(self) -> "Future[Collection[str]]":
        """Have the commands look at the branch as it is, once; the result is who says no."""
        with self._guard:
            if self._base is None:
                self._base = Future()
                threading.Thread(target=contextvars.copy_context().run, args=[self._look, self._base], name="checks of the base", daemon=True).start()
            return self._base

    def proof(self, issue: Issue, candidate: Candidate, attempt: int, unwanted: Callable[[], bool] = never) -> list[Call]:
        """Have a candidate tested, by the test and by all checks that are required of it, side by side."""
        return [shards.submit(self._work, issue, candidate, attempt, unwanted), *self.submit(issue, candidate, attempt, unwanted)]

    def submit(self, issue: Issue, about: Candidate | Change, attempt: int, unwanted: Callable[[], bool] = never) -> list[Call]:
        """Begin the checks of a candidate or a change; returns those that are required."""
        kind = "candidate" if isinstance(about, Candidate) else "change"
        mine = {name: check for name, check in self._checks.items() if check.about == kind}
        red = self.begin().result() if mine else ()
        required: list[Call] = []
        for name, check in mine.items():
            aside = name in red or not check.required
            call = self._work.submit(self._task(name), issue, name, about, attempt, unwanted=unwanted, aside=aside)
            (self._asides if aside else required).append(call)
        return required

    def prove(self, issue: Issue, candidate: Candidate, attempt: int, unwanted: Callable[[], bool] = never) -> Verdict:
        """What the test and the checks say of a candidate together. AgentFailed, with all that is said, if one could not be run."""
        calls = self.proof(issue, candidate, attempt, unwanted)
        wait([call.done for call in calls])
        verdicts, failed = [], []
        for call in calls:
            try:
                verdicts.append((call, self._work.result(call)))
            except AgentFailed as no:
                failed.append(str(no))
        said = "\n\n".join([*failed, *noes(self.worded(verdicts))])
        if failed:
            raise AgentFailed(said)
        return Verdict(passed=not said, log=said)

    def worded(self, verdicts: Sequence[tuple[Call, Verdict]]) -> dict[str, Verdict]:
        """Verdicts of the test and of checks by what is to be said if they are a no; each by its rule for what is flaky."""
        found = {}
        for call, verdict in verdicts:
            name = call.task.name
            check = self._checks.get(name)
            found[f"the check {name} says no" if check else "the tests fail"] = ruled(verdict, (check or self._work.site.config.test).flaky)
        return found

    def settle(self) -> None:
        """Wait for all that only speaks. It holds nothing back, not even by failing: its own event in the journal says so."""
        while self._asides:
            call = self._asides.pop()
            try:
                self._work.result(call)
            except (AgentFailed, Interrupted):
                pass
            except Exception as no:  # noqa: BLE001 - the same goes for whatever else may come
                self._work.journal.event("note", text=f"{call.issue.id}: the check {call.task.name} could not be run: {no}")

    def _look(self, base: "Future[Collection[str]]") -> None:
        try:
            base.set_result(self._red())
        except BaseException as no:  # noqa: BLE001 - whatever it is, all who would be judged wait for it
            base.set_exception(no)

    def _red(self) -> Collection[str]:
        """The checks whose command says no to the branch as it is, or cannot be run on it; each is told in the journal."""
        work, issue, tip = self._work, phases.base_issue(self._work.hub.branch), self._work.hub.tip()
        commands = [name for name, check in self._checks.items() if check.command]
        bases = {name: checks.base(work.site, name, tip) for name in commands}
        calls = {name: work.submit(tasks.check_base.with_options(name=name), issue, name, base) for name, base in bases.items()}
        red = {}
        for name, call in calls.items():
            try:
                verdict = ruled(work.result(call), self._checks[name].flaky)
            except AgentFailed as no:
                verdict = Verdict(passed=False, log=str(no))
            if not verdict.passed:
                red[name] = verdict.log
                work.journal.event("red at base", check=name, log=verdict.log[-SHOWN:])
        return red

    def _task(self, name: str) -> Task[Any, Any]:
        return (tasks.judge if self._checks[name].prompt else tasks.check).with_options(name=name)


def noes(verdicts: dict[str, Verdict]) -> list[str]:
    """What is said against something, with the logs."""
    return [f"{what}:\n{verdict.log}" for what, verdict in verdicts.items() if not verdict.passed]
