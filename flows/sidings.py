"""A run whose branch is a remote's, or in which nothing lands: what it begins with, and what its siding stands on."""

from dataclasses import dataclass

from adw import branches, offering, siding, upstream
from adw.config import Config
from adw.errors import Blocked
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import Arrival, Candidate, Issue
from adw.siding import Siding
from adw.train import Seat, Train
from adw.upstream import Upstream
from flows.rails import Rails, while_it_answers
from flows.work import Work
from tasks.secrets import github_token


@dataclass(frozen=True)
class Buffers(Rails):
    """What changes stand on that are left for people to land."""

    def ground(self, issue: Issue) -> str:
        """The commit that an issue's change would land on now."""
        return self.work.foundation(issue)

    def offer(self, seat: Seat, candidate: Candidate) -> str:
        """Leave a candidate on its branch, and if a pull request is wanted, with one onto the branch that it stands on."""
        base = stands_on(self.work, seat.issue, candidate.onto)
        with while_it_answers():
            return self.work.offer(Arrival(issue=seat.issue, candidate=candidate, attempt=seat.attempt), base)


def stands_on(work: Work, issue: Issue, onto: str) -> str:
    """The branch that a change on a commit stands on: that of an issue that it depends on, where that is ready and has not landed."""
    ended = {name: work.outcomes[name].result() for name in issue.depends_on if name in work.outcomes}
    below = {ended[other.id].sha: branches.name(other) for other in work.issues if other.id in ended and ended[other.id].state == "ready"}
    return below.get(siding.nearest(work.hub.mirror, onto, list(below)), work.hub.branch)


def faced(hub: Hub, config: Config, journal: Journal) -> Hub:
    """The hub with the branch that moves, by its configuration; Misuse if that is a remote's, and nothing could be pushed there."""
    hub = upstream.facing(hub, config.landing)
    if isinstance(hub, Upstream):
        hub.look()
        hub.prove_pushing()
        if number := hub.unpushed():
            text = f"{number} commits of your {hub.branch} are not at {hub.remote}: nothing is built on them before you push them"
            journal.event("note", text=text)
    return hub


def look_up(work: Work) -> None:
    """Have pull requests count that were merged, and note what people said, and where they are in the way; Misuse if none could be opened."""
    if isinstance(work.hub, Upstream) and work.site.config.landing.mode == "pull-request":
        asked = [issue for issue in work.issues if issue.id not in work.landed]
        found = offering.looked_up(work.hub, work.site.config, asked, github_token(work.site.config))
        work.landed |= found.landed
        work.obstacles, work.said = found.obstacles, found.said


def tidy(work: Work) -> None:
    """Note of what has landed that it has, and remove the branches that were left for it."""
    landed = [issue for issue in work.issues if issue.id in work.landed]
    upstream.note(work.hub, {issue: work.landed[issue.id] for issue in landed})
    there = work.hub.git.refs(f"refs/heads/{branches.FOLDER}")
    for issue in landed:
        if f"refs/heads/{branches.name(issue)}" in there:
            branches.drop(work.hub, issue)


def make_line(work: Work, tip: str) -> Train | Siding:
    """Where changes that are built take their place."""
    if work.site.config.landing.offers:
        return Siding(Buffers(work))
    return Train(Rails(work), lambda: work.places.slots, work.landed, tip, squash=work.site.config.squash_train)


def insist_on_room(work: Work, issue: Issue) -> None:
    """Blocked, before anything is paid for, if what is to be left for a person has no place because of a person."""
    if why := work.obstacles.get(issue.id):
        raise Blocked(why)
    if work.site.config.landing.offers:
        branches.insist_on_free(work.hub, issue)
