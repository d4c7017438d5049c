"""What is told to those who follow an issue at GitHub: one comment on it, and the statuses of its commit.

Pure: from the state of a run, as its journal tells it. All the world may read it, so nothing in it is in the words of an agent, a
test or this machine; whoever wants those is told which run to look at.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from adw.github.comments import MARK
from adw.github.statuses import Status
from adw.model import LANDED, PHASES, Issue
from adw.money import Spent
from adw.progress import Cell, Progress, Row

CONTEXT = "adw/"  # what the contexts of statuses begin with
ABOUT_A_COMMIT = ("build", "test", "review", "document")
RAN = ("done", "flaky", "no", "failed")  # the states of phases that were not known before


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is told of a run beside how far it is with an issue."""

    run: str
    page: str = ""  # where others can look at it
    branch: str = ""  # that changes land on
    pushed: bool = False  # whether that is a remote's
    pull: str = ""  # the address of the pull request
    spent: Spent = field(default_factory=Spent)  # on the issue, by all runs
    tries: int = 0


def source(facts: Facts) -> str:
    """The line that says by which run something is, in how many tries, and what it cost. It alone is no reason to say something anew."""
    run = f"[{facts.run}]({facts.page})" if facts.page else f"`{facts.run}`"
    tries = f"{facts.tries} {'try' if facts.tries == 1 else 'tries'}" if facts.tries else ""
    cost = facts.spent.short() if facts.spent.tokens.total or facts.spent.usd else ""
    return f"Run {'; '.join(filter(None, [run, tries, cost]))}."


def public(page: str) -> str:
    """The address of a page, if others than who sits at this machine may reach it; else nothing."""
    host = urlsplit(page).hostname or ""
    try:
        alone = ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        alone = host in {"", "localhost"} or host.endswith(".localhost")
    return "" if alone else page


def at_github(issue: Issue) -> tuple[str, int] | None:
    """The repository and the number of an issue that came from GitHub."""
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)#(\d+)", issue.id)
    return (found[1], int(found[2])) if found else None


def comment(issue: Issue, row: Row, facts: Facts) -> str:
    """What the comment on an issue says."""
    said = [f"{MARK}: {issue.id} -->", _sentence(row, facts), *([_verdicts(row)] if row.state else []), source(facts)]
    return "\n\n".join(filter(None, said))


def is_told(row: Row, old: str, new: str) -> bool:
    """Whether a comment need not say anything else.

    Another run alone is nothing new, before it has done something; nor is that an issue has landed: a person may have opened it again.
    """
    idle = not row.state and not any(cell.state in RAN for cell in row.cells.values())
    return idle or same(old, new) or (row.state in LANDED and f" as {row.sha}" in old)


def same(old: str, new: str) -> bool:
    """Whether two texts differ at most in the run that they are by."""
    return _but_the_run(old) == _but_the_run(new)


def _but_the_run(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("Run ")]


def _sentence(row: Row, facts: Facts) -> str:
    pull = f" Its pull request: {facts.pull}" if facts.pull and row.state not in {"ready", *LANDED} else ""
    if row.state in LANDED:
        where = f"on `{facts.branch}`" if facts.pushed else f"on the local branch `{facts.branch}` of whoever ran adw; it is still to be pushed"
        return f"adw is done: landed as {row.sha} {where}."
    if row.state == "ready":
        where = row.place if "://" in row.place else f"the local branch `{row.place}` of whoever ran adw"
        return f"adw is done, and its change waits for a person: {where}"
    if row.state == "refused":
        return f"adw could not do this, and has given up.{pull}"
    if row.state == "blocked":
        return f"adw cannot go on with this before a person has looked at it.{pull}"
    if row.state in {"stopped", "crashed"}:
        return f"adw was stopped before it was done with this; it goes on when it is run again.{pull}"
    return f"adw has taken this up.{pull}"


def _verdicts(row: Row) -> str:
    """How the last try fared, phase by phase; in an order of its own, as phases that run at once begin in any."""
    words = {"done": "passed", "cached": "passed", "flaky": "flaky", "failed": "failed", "no": "no"}
    told = {name: "no" if cell.no else words[cell.state] for name, cell in row.cells.items() if name not in {"plan", "land"} and cell.state in words}
    listed = sorted(told, key=lambda name: (PHASES.index(name) if name in PHASES else len(PHASES), name))
    return f"In its last try {', '.join(f'{name}: {told[name]}' for name in listed)}." if told else ""


def statuses(progress: Progress, row: Row) -> Mapping[str, Status]:
    """The statuses of the commit of an issue's newest try, by context."""
    counted = {name: cell for name, cell in row.cells.items() if name in ABOUT_A_COMMIT or name in progress.checks}
    newest = {name: cell for name, cell in counted.items() if cell.attempt == row.tries}
    return {f"{CONTEXT}{name}": _status(cell, advisory=name in progress.checks and not progress.counts(name)) for name, cell in newest.items()}


def _status(cell: Cell, *, advisory: bool) -> Status:
    """Without how long it took: the next run, which finds it done, says the same."""
    if cell.no:
        return Status("success", "no, which is advisory") if advisory else Status("failure", "no")
    if cell.state == "failed":
        return Status("error", "it could not be done")
    if cell.state == "flaky":
        return Status("success", "flaky: it failed, and passed on the same tree")
    if cell.state in {"done", "cached"}:
        return Status("success", "passed")
    return Status("pending", "it is under way" if cell.state == "running" else "it is not done yet")
