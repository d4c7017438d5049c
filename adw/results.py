"""What phases found, as commits under `refs/adw/<issue key>/<phase>/<cache key>` of mirror and hub.

Git is the truth: whatever else is lost, the same work is found again by its key. A change is a commit of its own; a plan or a
verdict is a commit with an empty tree whose message holds it as JSON, on top of the commit that it is about, which it keeps.
The commit `try/N` of an issue says where its try N began: its parent is the base, its message the feedback.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from adw import lock
from adw.git import EMPTY_TREE, Git, author, change_of
from adw.mirror import Hub
from adw.model import Attempt, Change, Issue, Order, Plan, Verdict, digest

Result = TypeVar("Result", Plan, Change, Verdict)
KEY_LENGTH = 24  # of the key's 64 hex digits, in a ref name


def once(hub: Hub, order: Order, key: str, kind: type[Result], make: Callable[[], tuple[Result, str]]) -> tuple[Result, bool]:
    """The result with this key: found, or made and recorded while nobody else can make the same.

    `make` gives the result and the commit that it is about. Returns the result, and whether it was found.
    """
    with lock.held(hub.place.locks / f"{order.phase}-{key[:KEY_LENGTH]}"):
        found = find(hub.mirror, order.phase, key, kind)
        if found is not None:
            return found, True
        result, about = make()
        record(hub, order, key, result, about)
        return result, False


def find(git: Git, phase: str, key: str, kind: type[Result]) -> Result | None:
    """The recorded result of a phase with this key, whichever issue it was made for."""
    for sha in git.refs(f"refs/adw/*/{phase}/{key[:KEY_LENGTH]}").values():
        return change_of(git, sha) if kind is Change else kind(**json.loads(git.message(sha)))
    return None


def record(hub: Hub, order: Order, key: str, result: Plan | Change | Verdict, about: str) -> None:
    """Hold a result by its ref, in the mirror first and then in the hub."""
    sha = result.sha if isinstance(result, Change) else hub.mirror.commit(EMPTY_TREE, [about], json.dumps(asdict(result)), author(hub.git))
    hub.mirror.point(f"refs/adw/{order.issue_key}/{order.phase}/{key[:KEY_LENGTH]}", sha)
    hub.publish(order.issue_key)


def keep(hub: Hub, order: Order, key: str, result: Plan | Change | Verdict, about: str) -> None:
    """Record a result that came from elsewhere, unless it is recorded for this issue already."""
    if hub.mirror.find(f"refs/adw/{order.issue_key}/{order.phase}/{key[:KEY_LENGTH]}") is None:
        record(hub, order, key, result, about)


def approve(hub: Hub, issue: Issue, change: Change) -> None:
    """Record that a person let a change land, so that nobody is asked again for the same one."""
    hub.mirror.point(_approval(issue, change), change.sha)
    hub.publish(issue.key)


def is_approved(hub: Hub, issue: Issue, change: Change) -> bool:
    """Whether a person let this change land."""
    return hub.mirror.find(_approval(issue, change)) is not None


def _approval(issue: Issue, change: Change) -> str:
    return f"refs/adw/{issue.key}/approved/{digest(change.base_tree, change.tree)[:KEY_LENGTH]}"


def begin(hub: Hub, issue: Issue, number: int, base: str, feedback: str = "") -> Attempt:
    """Start a try at a base, and record it so that a later run takes up the same one."""
    feedback = feedback.replace("\0", "\N{REPLACEMENT CHARACTER}").strip()  # as git gives it back
    sha = hub.mirror.commit(EMPTY_TREE, [base], feedback or "-", author(hub.git))
    hub.mirror.point(f"refs/adw/{issue.key}/try/{number}", sha)
    hub.publish(issue.key)
    return Attempt(number=number, base=base, base_tree=hub.mirror.tree_of(base), feedback=feedback)


def attempts(hub: Hub, issue: Issue) -> list[Attempt]:
    """The tries that were begun for this issue, in order."""
    numbered = {int(ref.rsplit("/", 1)[1]): sha for ref, sha in hub.mirror.refs(f"refs/adw/{issue.key}/try").items()}
    found = []
    for number, sha in sorted(numbered.items()):
        base, feedback = hub.mirror.run("rev-parse", f"{sha}^"), hub.mirror.message(sha)
        found.append(Attempt(number=number, base=base, base_tree=hub.mirror.tree_of(base), feedback="" if feedback == "-" else feedback))
    return found
