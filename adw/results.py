"""What phases found, as commits under `refs/adw/<issue key>/<phase>/<cache key>` of mirror and hub.

Git is the truth: whatever else is lost, the same work is found again by its key. A change is a commit of its own; a plan or a
verdict is a commit with an empty tree whose message holds it as JSON, on top of the commit that it is about, which it keeps.
The commit `try/N` of an issue says where its try N began: its parent is the base, its message the feedback. A second parent is
a change that the try begins with, merged onto the base. Where the feedback is what people said at a forge, `heard/<id>` of each remark
points at the try, too.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TypeVar

from adw import lock
from adw.git import EMPTY_TREE, Git, change_of
from adw.mirror import Hub, Source
from adw.model import Attempt, Change, Issue, Order, Plan, Split, Verdict, digest

Result = TypeVar("Result", Plan, Change, Verdict, Split)
KEY_LENGTH = 24  # of the key's 64 hex digits, in a ref name


def whatever(_: Plan | Change | Verdict | Split) -> bool:
    """Every result is believed."""
    return True


def once(  # noqa: PLR0913 - what to look for, and how to make it
    hub: Source, order: Order, key: str, kind: type[Result], make: Callable[[], tuple[Result, str]], believed: Callable[[Result], bool] = whatever
) -> tuple[Result, bool]:
    """The result with this key: found, if it is believed, or made and recorded while nobody else can make the same.

    `make` gives the result and the commit that it is about. Returns the result, and whether it was found.
    """
    with lock.held(hub.place.locks / f"{order.phase}-{key[:KEY_LENGTH]}"):
        found = find(hub, order.phase, key, kind, believed)
        if found is not None:
            return found, True
        result, about = make()
        if not record(hub, order, key, result, about) and (found := find(hub, order.phase, key, kind, believed)) is not None:
            return found, True  # another host made the same meanwhile: all go on with what came first
        return result, False


def find(hub: Source, phase: str, key: str, kind: type[Result], believed: Callable[[Result], bool] = whatever) -> Result | None:
    """The recorded result of a phase with this key that is believed, whichever issue it was made for."""
    results = (read(hub.mirror, sha, kind) for sha in hub.found(f"refs/adw/*/{phase}/{key[:KEY_LENGTH]}").values())
    return next(filter(believed, results), None)


def read(mirror: Git, sha: str, kind: type[Result]) -> Result:
    """A result from the commit that holds it."""
    return change_of(mirror, sha) if kind is Change else kind(**json.loads(mirror.message(sha)))


def record(hub: Source, order: Order, key: str, result: Plan | Change | Verdict | Split, about: str) -> bool:
    """Hold a result by its ref, in the mirror first and then in the hub; False if the hub has one of another host."""
    sha = result.sha if isinstance(result, Change) else hub.mirror.commit(EMPTY_TREE, [about], json.dumps(asdict(result)), hub.author())
    ref = f"refs/adw/{order.issue_key}/{order.phase}/{key[:KEY_LENGTH]}"
    hub.mirror.point(ref, sha)
    return hub.publish(ref)


def keep(hub: Hub, order: Order, key: str, result: Plan | Change | Verdict, about: str) -> None:
    """Record a result that came from elsewhere, unless it is recorded for this issue already."""
    if hub.mirror.find(f"refs/adw/{order.issue_key}/{order.phase}/{key[:KEY_LENGTH]}") is None:
        record(hub, order, key, result, about)


def approve(hub: Hub, issue: Issue, change: Change) -> None:
    """Record that a person let a change land, so that nobody is asked again for the same one."""
    hub.mirror.point(_approval(issue, change), change.sha)
    hub.publish(_approval(issue, change))


def is_approved(hub: Hub, issue: Issue, change: Change) -> bool:
    """Whether a person let this change land."""
    return hub.mirror.find(_approval(issue, change)) is not None


def _approval(issue: Issue, change: Change) -> str:
    return f"refs/adw/{issue.key}/approved/{digest(change.base_tree, change.tree)[:KEY_LENGTH]}"


def begin(  # noqa: PLR0913 - what a try is
    hub: Hub, issue: Issue, number: int, base: str, feedback: str = "", change: str = "", heard: Iterable[str] = ()
) -> Attempt:
    """Start a try at a base, perhaps with a change to be merged there, and record it so that a later run takes up the same one.

    `heard` are the ids of the remarks of people that the feedback is; they count once the try itself is recorded.
    """
    feedback = feedback.replace("\0", "\N{REPLACEMENT CHARACTER}").strip()  # as git gives it back
    sha = hub.mirror.commit(EMPTY_TREE, [base, *([change] if change else [])], feedback or "-", hub.author())
    marks = [f"refs/adw/{issue.key}/heard/{remark}" for remark in heard]
    for ref in (*marks, f"refs/adw/{issue.key}/try/{number}"):
        hub.mirror.point(ref, sha)
        hub.publish(ref)
    return Attempt(number=number, base=base, base_tree=hub.mirror.tree_of(base), feedback=feedback, change=change)


def attempts(hub: Hub, issue: Issue) -> list[Attempt]:
    """The tries that were begun for this issue, in order."""
    numbered = {int(ref.rsplit("/", 1)[1]): sha for ref, sha in hub.mirror.refs(f"refs/adw/{issue.key}/try").items()}
    found = []
    for number, sha in sorted(numbered.items()):
        _, base, *change = hub.mirror.run("rev-list", "--parents", "--max-count=1", sha).split()
        feedback = hub.mirror.message(sha)
        told = "" if feedback == "-" else feedback
        found.append(Attempt(number=number, base=base, base_tree=hub.mirror.tree_of(base), feedback=told, change="".join(change)))
    return found


def heard(hub: Hub) -> set[str]:
    """The ids of those remarks of people that tries were begun with, whichever issue they were about."""
    tries = set(hub.mirror.refs("refs/adw/*/try/*").values())
    return {ref.rsplit("/", 1)[1] for ref, sha in hub.mirror.refs("refs/adw/*/heard/*").items() if sha in tries}
