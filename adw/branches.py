"""Branches for people: `adw/<issue>` in the hub holds a change that did not land, to be looked at and worked on.

`refs/adw/<issue key>/kept` is what adw has seen of it. Whatever a person commits on top, or puts in its place, is taken up by the
next run as a try of its own; adw never moves a branch that a person has moved.
"""

import re

from adw.git import checkouts
from adw.mirror import Hub
from adw.model import Issue, digest


def name(issue: Issue) -> str:
    """The branch of an issue: `adw/` and its id, as far as git takes it."""
    readable = re.sub(r"[^A-Za-z0-9._-]+|\.\.+|^[.-]+|(\.lock|\.)$", "-", issue.id).strip("-.")
    return f"adw/{readable}" if readable == issue.id else f"adw/{readable or 'issue'}-{digest(issue.id)[:8]}"


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
    if there is None or there == hub.mirror.find(seen) or hub.mirror.find(seen) is None:
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
    """Remove the branch of an issue that has landed, if it is as adw saw it last and nobody has it checked out."""
    ref, seen = _refs(issue)
    there = hub.git.find(ref)
    if there and there == hub.mirror.find(seen) and ref not in checkouts(hub.git):
        hub.git.call("update-ref", "-d", ref, there)


def _refs(issue: Issue) -> tuple[str, str]:
    return f"refs/heads/{name(issue)}", f"refs/adw/{issue.key}/kept"
