"""A hub whose branch is that of a remote: what lands is pushed there, and the user's own branch and checkout stay as they are.

Git is run in the user's repository, as the user would run it there, so that the remote is reached with the user's own settings and
credentials. The branch is looked at through its remote-tracking ref, which each look brings up to date.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

from adw import lock, pages
from adw.config import LandingConfig
from adw.errors import GitFailed, HubAway, Misuse
from adw.git import Git
from adw.landing import Move
from adw.mirror import Hub
from adw.model import Arrival, Issue

EACH = 5.0  # seconds between looks: each is a call over the network, and a push tells the truth anyway


class Looks:
    """When this process last looked at a branch of a remote."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.known = False
        self.due = 0.0


@cache
def _looks(directory: Path, remote: str, branch: str) -> Looks:  # noqa: ARG001 - they are the key
    return Looks()


@dataclass(frozen=True, slots=True)
class Upstream(Hub):
    """The user's repository, and a branch of a remote of it."""

    remote: str

    @property
    def ref(self) -> str:
        """The remote-tracking ref of the branch."""
        return f"refs/remotes/{self.remote}/{self.branch}"

    @property
    def elsewhere(self) -> str:
        """The branch and its remote."""
        return f"{self.branch} at {self.remote}"

    @property
    def far(self) -> Git:
        """The user's repository, for what goes over the network: the URL of a remote may be relative to the work tree."""
        return replace(self.git, work_tree=self.checkout)

    @property
    def looks(self) -> Looks:
        """When the branch was last looked at."""
        return _looks(self.git.directory, self.remote, self.branch)

    def tip(self) -> str:
        """The commit that the remote's branch is at, or was at a moment ago; HubAway if that was never heard."""
        self.look()
        return Hub.tip(self)

    def look(self) -> None:
        """Bring the remote-tracking ref up to date, if the last look is some time ago. While the remote is away, what is known stands."""
        with self.looks.guard:
            if time.monotonic() < self.looks.due:
                return
            try:
                self._fetch()
                self.looks.known = True
            except HubAway:
                if not self.looks.known:
                    raise
            self.looks.due = time.monotonic() + EACH

    def look_again(self) -> None:
        """Have the next look be a new one."""
        self.looks.due = 0.0

    def _fetch(self) -> None:
        try:
            self.far.fetch_from(self.remote, f"+refs/heads/{self.branch}:{self.ref}")
        except GitFailed as no:
            if "couldn't find remote ref" not in str(no):
                raise
            msg = f"{self.remote} has no branch {self.branch}: `git push {self.remote} {self.branch}` first, or name another with --branch"
            raise Misuse(msg) from no

    def prove_pushing(self) -> None:
        """Misuse if nothing can be pushed, as far as that shows beforehand."""
        try:
            self.far.may_push(self.remote, self.git.run("rev-parse", self.ref), f"refs/heads/{self.branch}")
        except GitFailed as no:
            msg = f"cannot push to {self.remote}, as landing.mode in adw.toml wants it: {str(no).partition('): ')[2] or no}"
            raise Misuse(msg) from no

    def page(self, sha: str) -> str:
        """Where a commit of the remote can be looked at; empty if that is not known."""
        return pages.of_commit(self.git.run("remote", "get-url", self.remote), sha)

    def unpushed(self) -> int:
        """How many commits of the local branch the remote's does not have."""
        return int(self.git.run("rev-list", "--count", f"{self.ref}..refs/heads/{self.branch}"))


def facing(hub: Hub, landing: LandingConfig) -> Hub:
    """The hub, as landing is configured: with the branch of its remote, if that is what moves. Misuse if there is no such remote."""
    if not landing.far:
        return hub
    there = hub.git.run("remote").split()
    if landing.remote not in there:
        known = f"it has {', '.join(there)}: set landing.remote" if there else f"add it with `git remote add {landing.remote} URL`"
        msg = f"{hub.path} has no remote {landing.remote!r}, which landing.mode = {landing.mode!r} needs: {known}"
        raise Misuse(msg)
    return Upstream(**{field.name: getattr(hub, field.name) for field in fields(hub)}, remote=landing.remote)


def land(hub: Upstream, arrivals: Sequence[Arrival]) -> bool:
    """Push the last of some candidates, each on the one before it; False if the remote's branch has moved first.

    Blocked, with the remote's words, if it refuses: the candidates are held by their refs. A push whose answer was lost is found
    done when it is tried again.
    """
    move = Move(arrivals)
    with lock.held(hub.place.locks / "landing"):
        for arrival in arrivals:
            hub.hold(arrival.issue.key, arrival.candidate.sha)
        try:
            landed = hub.far.push(hub.remote, move.sha, f"refs/heads/{hub.branch}", move.onto)
        finally:
            hub.look_again()
        if landed:
            note(hub, {arrival.issue: arrival.candidate.sha for arrival in arrivals})
        elif hub.tip() == move.onto:  # else whoever makes new candidates would do so for ever
            msg = f"{hub.remote} says that {hub.branch} has moved, and shows it where it was: does it push elsewhere than it fetches (`git remote -v`)?"
            raise HubAway(msg)
    return landed


def note(hub: Hub, landed: Mapping[Issue, str]) -> None:
    """Record as what issues landed that have results here: from then on these may go (`adw clean`)."""
    there = hub.git.refs("refs/adw")
    keys = {ref.split("/")[2] for ref in there}
    marks = {f"refs/adw/{issue.key}/landed": sha for issue, sha in landed.items() if issue.key in keys}
    if new := "".join(f"update {mark} {sha}\n" for mark, sha in marks.items() if there.get(mark) != sha):
        hub.git.run("update-ref", "--stdin", given=new)
