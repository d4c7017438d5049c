"""What a run recalls before its phases, and learns from them: the flow's process owns the memory, and no task or agent opens it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from adw import decisions, results
from adw.memory import lessons
from adw.memory.border import Border, aside
from adw.memory.model import Memory, Store
from adw.memory.partition import partition
from adw.memory.question import question
from adw.model import Issue, Plan, Verdict, phase_of
from tasks.secrets import of_memory

if TYPE_CHECKING:
    from adw.config import Config
    from adw.journal import Journal
    from adw.mirror import Hub
    from flows.work import Call, Work

ASK = {"plan", "build", "review"}
SWITCH = "ADW_MEMORY"  # `off` in the environment: for a host that is thrown away, where importing Mem0 in each run is for nothing
SHOWN = 300  # characters of a memory in the journal


def prepare(config: "Config") -> None:
    """Have Mem0 imported while the run waits for the server and for git, as that takes most of a second. What is wrong with it is told when it is opened."""
    if config.memory.mode != "off" and os.environ.get(SWITCH) != "off":
        aside(_imported, "import of Mem0")


def _imported() -> None:
    from adw.memory import stores  # noqa: PLC0415 - late, as below

    stores.prepare()


@contextmanager
def remembering(hub: "Hub", config: "Config", journal: "Journal") -> Iterator[Border]:
    """For the block, the memory of the repository; at its end what was learnt is written."""
    off = os.environ.get(SWITCH) == "off"
    border = Border(
        config.memory.model_copy(update={"mode": "off"}) if off else config.memory,
        opening(hub, config),
        hub.mirror.blobs,
        lambda text: journal.event("note", text=text),
    )
    try:
        yield border
    finally:
        border.close()


def opening(hub: "Hub", config: "Config") -> Callable[[], Store]:
    """What opens the memory, when it is called."""
    scope = partition(hub)

    def opened() -> Store:
        from adw.memory import stores  # noqa: PLC0415 - late, and inside of the border

        return stores.opened(config.memory, scope, of_memory(config))

    return opened


def recalled(work: "Work", call: "Call") -> tuple[Memory, ...]:
    """What is known that is of use to a phase, which is told in the journal."""
    if phase_of(call.task.name) not in ASK:
        return ()
    began = time.monotonic()
    found = work.memory.recall(lambda: question(work.hub.mirror, *call.args))
    if found:
        told = [{"id": one.id, "kind": one.kind, "source": one.source, "text": one.text[:SHOWN]} for one in found]
        work.journal.event("recalled", **work.order(call).fields, seconds=round(time.monotonic() - began, 3), memories=told)
    return found


def learn_of_plan(work: "Work", issue: Issue, plan: Plan, base: str) -> None:
    """Have remembered what an agent found out while it planned."""
    if plan.learnt:
        paths = sorted(set(chain.from_iterable(found.files for found in plan.learnt)))
        work.memory.learn(lambda: lessons.of_plan(issue, plan, work.hub.mirror.blobs(base, paths)))


def learn_of_landing(work: "Work", issue: Issue, plan: Plan, sha: str) -> None:
    """Have remembered how an issue was resolved, and what was said against it before; not of what is left for a person, who may not want it."""
    if issue.id not in work.offers:
        work.memory.learn(lambda: landed(work, issue, plan, sha))


def landed(work: "Work", issue: Issue, plan: Plan, sha: str) -> Iterator[Memory]:
    """What is learnt of an issue that landed, from what is in git."""
    mirror, config = work.hub.mirror, work.site.config
    files = mirror.touched(f"{sha}^", sha)
    verdicts = [results.read(mirror, one, Verdict) for one in mirror.refs(f"refs/adw/{issue.key}/review").values()]
    findings = [found for verdict in verdicts if not verdict.passed for found in verdict.findings if found.severity in config.review.refuse]
    noes = [attempt.feedback for attempt in results.attempts(work.hub, issue) if attempt.feedback and not attempt.change]  # else others were faster
    yield from lessons.of_noes(issue, noes, sha, files)
    yield from lessons.of_findings(issue, findings, mirror.blobs(sha, sorted({found.file for found in findings})))
    yield from lessons.of_landing(issue, plan, sha, files, decisions.words(work.hub, issue), config)
