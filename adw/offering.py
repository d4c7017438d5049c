"""What is left for a person to land: a branch, and where it is wanted a pull request for it, one for each issue however often it is asked for."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adw import branches, lock, proposal, results
from adw.config import Config
from adw.errors import Blocked, Declined, GitBusy
from adw.github.client import Client, Tell, Token, reached
from adw.github.forge import Forge
from adw.github.people import People
from adw.github.pulls import Pull, Pulls
from adw.github.remarks import Remark, remarks
from adw.github.tags import Tags
from adw.mirror import Hub
from adw.model import PEOPLE, Arrival, Issue, Offer, digest
from adw.telling import Facts
from adw.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Shown:
    """A change that is shown before it has been judged, onto which branch, and what is said of it."""

    sha: str
    base: str
    facts: Facts
    standing: str = proposal.JUDGED


@dataclass(frozen=True, slots=True)
class Said:
    """What people want of a change that is in a pull request, and have not been heard about."""

    change: str
    remarks: tuple[Remark, ...]
    handed_over: bool  # whether it was through its tests and its review

    @property
    def ids(self) -> list[str]:
        """Those of all that was said."""
        return [name for remark in self.remarks for name in remark.ids]

    def feedback(self, earlier: str) -> str:
        """What is told whoever goes on with the change; with what was said of the try before, if that is not settled."""
        said = [PEOPLE, *(remark.text for remark in self.remarks)]
        return "\n\n".join([*said, *(["Before that:", earlier] if earlier and not self.handed_over else [])])


@dataclass(frozen=True, slots=True)
class Found:
    """What people have done with pull requests, by issue: merged them, each as a commit; come in the way, and how; and said what they want."""

    landed: dict[str, str]
    obstacles: dict[str, str]
    said: dict[str, Said]


def forge(hub: Upstream, config: Config) -> Forge:
    """Where the pull requests are."""
    return Forge.of(hub.git.run("remote", "get-url", hub.remote), config.github.api_url)


def leave(hub: Hub, arrival: Arrival) -> Offer:
    """Leave an issue's local branch, and no more; Blocked if a person's is in the way."""
    branches.leave(hub, arrival)
    return Offer(place=branches.name(arrival.issue))


def show(hub: Upstream, config: Config, client: Client, issue: Issue, change: Shown) -> Pull | None:
    """Have a change seen that is still being judged: on its branch at the remote, with a draft for it. None if GitHub has no drafts for this repository.

    What was handed over to people, or was decided by them, is left as it is. Blocked if a person's commits are in the way.
    """
    branch, pulls = branches.name(issue), Pulls(client)
    with lock.held(_lock(hub, issue)):
        pull = pulls.find(branch)
        if pull and not (pull.open and proposal.UNFINISHED in pull.body):
            return pull
        there = _there(hub, issue, change.sha)
        branches.mark(hub, issue, change.sha)
        if there != change.sha and not hub.far.push(hub.remote, change.sha, f"refs/heads/{branch}", there):
            return pull
        if pull is None:
            pull = pulls.draft(issue.title, proposal.first(hub, issue, change.facts, change.standing), branch, change.base)
        else:
            pulls.change(pull, proposal.renewed(pull.body, proposal.unfinished(hub, issue, change.facts, change.standing)), change.base)
        if pull:
            pulls.label(pull, config.github.labels)
        return pull


def propose(  # noqa: PLR0913 - what, where to, and what is told of it
    hub: Upstream, config: Config, arrival: Arrival, base: str, token: Token, facts: Facts, tell: Tell
) -> Offer:
    """Leave an issue's branch, here and at the remote, and a pull request onto its base branch: the one there is, if there is one.

    `tell` is told what is waited for. Blocked if a person's commits or decision are in the way. Killed anywhere, it is found as far as it came, and goes on from there.
    """
    issue, branch = arrival.issue, branches.name(arrival.issue)
    with lock.held(_lock(hub, issue)), lock.held(hub.place.locks / "proposing"), reached(forge(hub, config), token, Tags(hub.place.answers), tell) as client:
        pulls = Pulls(client)
        pull = pulls.find(branch)
        if pull and (sha := merged(hub, issue, pull)):
            return Offer(place=pull.url, landed=sha)
        _push(hub, arrival)
        pull = pull or pulls.open(issue.title, proposal.first(hub, issue, facts, proposal.HANDED_OVER), branch, base)
        remark = _hand_over(pulls, config, pull) if proposal.UNFINISHED in pull.body else ""
        pulls.change(pull, proposal.renewed(pull.body, proposal.finished(hub, config, issue, arrival.candidate.sha, facts)), base)
    return Offer(place=pull.url, remark=remark)


def _hand_over(pulls: Pulls, config: Config, pull: Pull) -> str:
    """Have a pull request wait for people; a no of GitHub's to that is only told of."""
    pulls.label(pull, config.github.labels)
    try:
        pulls.ready(pull)
    except Declined as no:
        return f"{pull.url} is still a draft: {no}"
    return ""


def _lock(hub: Hub, issue: Issue) -> Path:
    """Held by whoever opens or changes an issue's pull request: two would open two."""
    return hub.place.locks / f"proposing-{digest(issue.id)[:16]}"


def _there(hub: Upstream, issue: Issue, sha: str) -> str:
    """The commit that an issue's branch is at at the remote, if it is to move to another; empty if it is not there. Blocked if it is a person's."""
    ref = f"refs/heads/{branches.name(issue)}"
    there = hub.far.listed_at(hub.remote, ref).get(ref, "")
    if there != sha:
        branches.insist_on_ours(hub, issue, there, f" at {hub.remote}")
    return there


def _push(hub: Upstream, arrival: Arrival) -> None:
    """Have the branch at the remote as it is here, if it is there as adw left it."""
    ref, sha = f"refs/heads/{branches.name(arrival.issue)}", arrival.candidate.sha
    there = _there(hub, arrival.issue, sha)
    branches.leave(hub, arrival)
    if there != sha and not hub.far.push(hub.remote, sha, ref, there):
        msg = f"branch {branches.name(arrival.issue)} at {hub.remote} moved just now"
        raise GitBusy(msg)


def merged(hub: Upstream, issue: Issue, pull: Pull) -> str:
    """The commit that a pull request was merged as; empty while it is open. Blocked if a person has done anything else with it."""
    if pull.open:
        return ""
    if pull.merged and pull.base == hub.branch:
        return pull.merged
    ended = f"was merged into {pull.base}" if pull.merged else "was closed"
    msg = f"{pull.url}, the pull request of {issue.id}, {ended}: reopen it to have adw go on with it, or give the issue another id"
    raise Blocked(msg)


def looked_up(hub: Upstream, config: Config, issues: Sequence[Issue], token: Token) -> Found:
    """What people have done with the pull requests of some issues. Misuse if the token would not do to open any."""
    found = Found({}, {}, {})
    there, heard = hub.far.listed_at(hub.remote, f"refs/heads/{branches.FOLDER}/*"), results.heard(hub)
    with reached(forge(hub, config), token, Tags(hub.place.answers)) as client:
        pulls = Pulls(client)
        pulls.prove_access()
        people = People(client)
        for issue in issues:
            branch = branches.name(issue)
            head = there.get(f"refs/heads/{branch}", "")
            try:
                ours = branches.has_offered(hub, issue) or (head and branches.offered(hub, head))  # by another text of the issue
                pull = pulls.find(branch) if ours else None
                if pull and (sha := merged(hub, issue, pull)):
                    found.landed[issue.id] = sha
                    continue
                branches.insist_on_ours(hub, issue, head, f" at {hub.remote}")
            except Blocked as no:
                found.obstacles[issue.id] = str(no)
                continue
            if pull:
                with suppress(Declined):  # a token that lets us read no reviews still opens pull requests
                    new = tuple(one for one in remarks(client, people, pull.number) if not heard.issuperset(one.ids))
                    found.said.update({issue.id: Said(head, new, proposal.UNFINISHED not in pull.body)} if new else {})
    return found
