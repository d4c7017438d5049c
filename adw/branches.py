"""The branches that adw leaves for people: `adw/<issue id>`, one for each issue, at the commit that would land.

What adw itself has put on one is held by `refs/adw/<issue key>/offered/<commit>`. A branch that is anywhere else was made or moved
by a person, and stays as it is.
"""

import re
from collections.abc import Sequence

from adw.errors import Blocked, GitBusy, GitKilled
from adw.git import Git, Prepared, checkouts
from adw.mirror import Hub
from adw.model import Arrival, Issue, digest

FOLDER = "adw"
LENGTH = 24  # of a commit's hex digits, in a ref name


def name(issue: str) -> str:
    """The branch of an issue: its id, if that may stand in the name of a branch."""
    if re.fullmatch(r"\w[\w.-]{0,99}", issue, re.ASCII) and ".." not in issue and not issue.endswith((".", ".lock")):
        return f"{FOLDER}/{issue}"
    readable = re.sub(r"\W+", "-", issue, flags=re.ASCII).strip("-")[:40] or "issue"
    return f"{FOLDER}/{readable}-{digest(issue)[:8]}"


def offered(hub: Hub, sha: str) -> bool:
    """Whether adw has put a commit on a branch of its own."""
    return bool(hub.git.refs(f"refs/adw/*/offered/{sha[:LENGTH]}"))


def has_offered(hub: Hub, issue: Issue) -> bool:
    """Whether adw has left a branch for an issue."""
    return bool(hub.git.refs(f"refs/adw/{issue.key}/offered"))


def insist_on_ours(hub: Hub, issue: Issue, sha: str | None, where: str = "") -> None:
    """Blocked, with what to do, if an issue's branch is at a commit that a person put there."""
    if sha and not offered(hub, sha):
        msg = (
            f"branch {name(issue.id)}{where} is at {sha[:10]}, which adw did not put there, and so leaves alone: "
            "merge it, rename it or delete it, as you like; then `adw resume`"
        )
        raise Blocked(msg)


def insist_on_free(hub: Hub, issue: Issue) -> None:
    """Blocked, with what to do, if the local branch of an issue cannot be made, or is a person's."""
    if hub.git.find(f"refs/heads/{FOLDER}"):
        msg = f"git makes no branch {name(issue.id)} beside your branch {FOLDER}: rename that (`git branch -m {FOLDER} ANOTHER`), then `adw resume`"
        raise Blocked(msg)
    insist_on_ours(hub, issue, hub.git.find(f"refs/heads/{name(issue.id)}"))


def leave(hub: Hub, arrival: Arrival) -> None:
    """Have an issue's branch at what would land; Blocked if it is a person's, or checked out somewhere."""
    issue, sha = arrival.issue, arrival.candidate.sha
    ref = f"refs/heads/{name(issue.id)}"
    now = hub.git.find(ref)
    if now == sha and offered(hub, sha):
        return
    if now != sha:
        insist_on_free(hub, issue)
        if now and (where := checkouts(hub.git).get(ref)):
            msg = f"branch {name(issue.id)} is checked out in {where}, and would move under it: check out another one there, then `adw resume`"
            raise Blocked(msg)
    hub.hold(issue.key, sha)
    nothing = "0" * len(sha)
    moves = [(ref, sha, now or nothing), (f"refs/adw/{issue.key}/offered/{sha[:LENGTH]}", sha, "")]
    transaction = Prepared(hub.git, moves, f"adw: offer {issue.id}"[:1000])
    if not transaction.ready:
        msg = f"cannot move branch {name(issue.id)} in {hub.path}: {transaction.abort()}"
        raise GitBusy(msg)
    if not transaction.commit():
        msg = f"git was killed while it moved {name(issue.id)} in {hub.path}"
        raise GitKilled(msg)


def ground(git: Git, tip: str, ready: Sequence[str], landed: Sequence[str]) -> str:
    """What an issue is built on that depends on others, of which some have landed, and some are only ready: a commit with all of them in it.

    That is the one that is ready, or a stack of them; else the tip. Conflict if they do not go together.
    """
    if not ready:
        return tip
    onto = ready[0] if all(git.is_ancestor(sha, ready[0]) for sha in landed) else tip
    for other in ready:
        if git.is_ancestor(onto, other):
            onto = other
            continue
        for commit in git.run("rev-list", "--reverse", "--topo-order", f"{onto}..{other}").split():
            onto = git.replay(commit, onto)
    return onto


def bears(git: Git, tip: str, base: str) -> bool:
    """Whether a change that began at a base can be taken further: all that the branch lacks of it was made by adw for other issues.

    Of these only the change itself is replayed, on what is there of them. But where a person took back a commit, what was built on it is void.
    """
    beyond = f"{tip}..{base}"
    return int(git.run("rev-list", "--count", beyond)) == len(git.trailers(beyond))


def base(git: Git, ground: str, branches: Sequence[tuple[str, str]]) -> str:
    """Of some branches, each with its commit, the one that stands nearest below a commit; empty if none does."""
    below = [(branch, sha) for branch, sha in branches if git.is_ancestor(sha, ground)]
    return next((branch for branch, sha in below if all(git.is_ancestor(other, sha) for _, other in below)), "")
