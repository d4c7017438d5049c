"""Branches for people: `adw/<issue>` in the hub holds a change that did not land, to be looked at and worked on; or that is ready to.

Of a change that was refused, `refs/adw/<issue key>/kept` is what adw has seen of it. Whatever a person commits on top, or puts in
its place, is taken up by the next run as a try of its own. Of one that is ready, or that is shown at the remote while it is judged,
`refs/adw/<issue key>/offered/<commit>` is what adw has put there. adw never moves a branch that a person has moved.
"""

import re

from adw.errors import Blocked, GitBusy, GitKilled
from adw.git import Prepared, checkouts
from adw.mirror import Hub
from adw.model import Arrival, Issue, digest

FOLDER = "adw"
LENGTH = 24  # of a commit's hex digits, in a ref name
LONGEST = 100  # characters of an id, in a branch name


def name(issue: Issue) -> str:
    """The branch of an issue: `adw/` and its id, as far as git takes it."""
    readable = re.sub(r"[^A-Za-z0-9._-]+|\.\.+|^[.-]+|(\.lock|\.)$", "-", issue.id)[:LONGEST].strip("-.")
    return f"{FOLDER}/{readable}" if readable == issue.id else f"{FOLDER}/{readable or 'issue'}-{digest(issue.id)[:8]}"


def keep(hub: Hub, issue: Issue, sha: str) -> str:
    """Have the branch hold a change, and return its name; empty if a person has moved it, or it cannot be made."""
    ref, seen = _refs(issue)
    there, known = hub.git.find(ref), hub.mirror.find(seen)
    if there and there != known:
        return ""
    hub.mirror.point(seen, sha)
    hub.publish(seen)
    status, _, _ = hub.git.call("update-ref", "-m", f"adw: {issue.id} did not land", ref, sha, there or "")
    return name(issue) if status == 0 else ""


def taken_up(hub: Hub, issue: Issue, tip: str) -> str:
    """What a person has put on the branch since adw saw it last, as one commit on what it has in common with the tip; empty if nothing."""
    ref, seen = _refs(issue)
    there = hub.git.find(ref)
    if there is None or there == hub.mirror.find(seen) or hub.mirror.find(seen) is None or offered(hub, there):
        return ""
    hub.mirror.fetch(hub.git.directory, ref)
    base = hub.mirror.run("merge-base", tip, there)
    return hub.mirror.commit(hub.mirror.tree_of(there), [base], hub.mirror.message(there), hub.mirror.identity(there))


def saw(hub: Hub, issue: Issue) -> None:
    """Note that what is on the branch was taken up."""
    ref, seen = _refs(issue)
    if there := hub.git.find(ref):
        hub.mirror.point(seen, there)
        hub.publish(seen)


def drop(hub: Hub, issue: Issue) -> None:
    """Remove the branch of an issue that has landed, if it is as adw saw or left it last and nobody has it checked out."""
    ref, seen = _refs(issue)
    there = hub.git.find(ref)
    if there and (there == hub.mirror.find(seen) or offered(hub, there)) and ref not in checkouts(hub.git):
        hub.git.call("update-ref", "-d", ref, there)


def offered(hub: Hub, sha: str) -> bool:
    """Whether adw has put a commit on a branch as one that is ready to land."""
    return bool(hub.git.refs(f"refs/adw/*/offered/{sha[:LENGTH]}"))


def mark(hub: Hub, issue: Issue, sha: str) -> None:
    """Note that adw puts a commit on an issue's branch, there where people look at it before it is ready to land."""
    ref = f"refs/adw/{issue.key}/offered/{sha[:LENGTH]}"
    hub.mirror.point(ref, sha)
    hub.publish(ref)


def has_offered(hub: Hub, issue: Issue) -> bool:
    """Whether adw has left a branch for an issue with a change that is ready to land."""
    return bool(hub.git.refs(f"refs/adw/{issue.key}/offered"))


def insist_on_ours(hub: Hub, issue: Issue, sha: str | None, where: str = "") -> None:
    """Blocked, with what to do, if an issue's branch is at a commit that a person put there, and that was not taken up."""
    if sha and not offered(hub, sha) and sha not in hub.git.refs("refs/adw/*/kept").values():
        msg = (
            f"branch {name(issue)}{where} is at {sha[:10]}, which adw did not put there, and so leaves alone: "
            "merge it, rename it or delete it, as you like; then `adw resume`"
        )
        raise Blocked(msg)


def insist_on_free(hub: Hub, issue: Issue) -> None:
    """Blocked, with what to do, if the local branch of an issue cannot be made, or is a person's."""
    if hub.git.find(f"refs/heads/{FOLDER}"):
        msg = f"git makes no branch {name(issue)} beside your branch {FOLDER}: rename that (`git branch -m {FOLDER} ANOTHER`), then `adw resume`"
        raise Blocked(msg)
    insist_on_ours(hub, issue, hub.git.find(f"refs/heads/{name(issue)}"))


def leave(hub: Hub, arrival: Arrival) -> None:
    """Have an issue's branch at what would land; Blocked if it is a person's, or checked out somewhere."""
    issue, sha = arrival.issue, arrival.candidate.sha
    ref, seen = _refs(issue)
    now = hub.git.find(ref)
    if now == sha and offered(hub, sha):
        return
    if now != sha:
        insist_on_free(hub, issue)
        if now and (where := checkouts(hub.git).get(ref)):
            msg = f"branch {name(issue)} is checked out in {where}, and would move under it: check out another one there, then `adw resume`"
            raise Blocked(msg)
    hub.hold(issue.key, sha)
    nothing = "0" * len(sha)
    moves = [(ref, sha, now or nothing), (f"refs/adw/{issue.key}/offered/{sha[:LENGTH]}", sha, "")]
    transaction = Prepared(hub.git, moves, f"adw: offer {issue.id}"[:1000])
    if not transaction.ready:
        msg = f"cannot move branch {name(issue)} in {hub.path}: {transaction.abort()}"
        raise GitBusy(msg)
    if not transaction.commit():
        msg = f"git was killed while it moved {name(issue)} in {hub.path}"
        raise GitKilled(msg)
    for git in (hub.git, hub.mirror):
        if git.find(seen):
            git.forget([seen])  # what a person commits to it from now on is theirs, and no try


def _refs(issue: Issue) -> tuple[str, str]:
    return f"refs/heads/{name(issue)}", f"refs/adw/{issue.key}/kept"
