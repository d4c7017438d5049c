"""What is left for a person to land: a branch, and where it is wanted a pull request for it, one for each issue however often it is asked for."""

import re
from collections.abc import Sequence

from adw import branches, lock, report
from adw.config import Config
from adw.errors import Blocked, GitBusy
from adw.git import TRAILER
from adw.github.client import Token, reached
from adw.github.forge import Forge
from adw.github.pulls import Pull, Pulls
from adw.github.tags import Tags
from adw.mirror import Hub
from adw.model import Arrival, Issue, Offer
from adw.upstream import Upstream

OURS = re.compile(r"<!-- adw -->.*?<!-- /adw -->", re.DOTALL)  # the part of a text that adw keeps up to date
SHOWN = 18_000  # characters of a plan and of a review; GitHub takes 65 536 in all


def forge(hub: Upstream, config: Config) -> Forge:
    """Where the pull requests are."""
    return Forge.of(hub.git.run("remote", "get-url", hub.remote), config.github.api_url)


def leave(hub: Hub, arrival: Arrival) -> Offer:
    """Leave an issue's local branch, and no more; Blocked if a person's is in the way."""
    branches.leave(hub, arrival)
    return Offer(place=branches.name(arrival.issue))


def propose(hub: Upstream, config: Config, arrival: Arrival, base: str, token: Token) -> Offer:
    """Leave an issue's branch, here and at the remote, and a pull request onto its base branch: the one there is, if there is one.

    Blocked if a person's commits or decision are in the way. Killed anywhere, it is found as far as it came, and goes on from there.
    """
    issue = arrival.issue
    with lock.held(hub.place.locks / "proposing"), reached(forge(hub, config), token, Tags(hub.place.answers)) as client:
        github = Pulls(client)
        pull = github.find(branches.name(issue))
        if pull and (sha := merged(hub, issue, pull)):
            return Offer(place=pull.url, landed=sha)
        _push(hub, arrival)
        text = body(hub, config, arrival)
        if pull:
            github.change(pull, renewed(pull.body, text), base)
        else:
            pull = github.open(issue.title, f"{text}\n\n{TRAILER}: {issue.id}", branches.name(issue), base)
    return Offer(place=pull.url)


def _push(hub: Upstream, arrival: Arrival) -> None:
    """Have the branch at the remote as it is here, if it is there as adw left it."""
    ref, sha = f"refs/heads/{branches.name(arrival.issue)}", arrival.candidate.sha
    there = hub.far.listed_at(hub.remote, ref).get(ref, "")
    if there != sha:
        branches.insist_on_ours(hub, arrival.issue, there, f" at {hub.remote}")
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


def looked_up(hub: Upstream, config: Config, issues: Sequence[Issue], token: Token) -> tuple[dict[str, str], dict[str, str]]:
    """Those issues whose pull requests were merged, each with the commit; and those that a person is in the way of, each with why.

    Misuse if the token would not do to open any.
    """
    landed, obstacles = {}, {}
    there = hub.far.listed_at(hub.remote, f"refs/heads/{branches.FOLDER}/*")
    with reached(forge(hub, config), token, Tags(hub.place.answers)) as client:
        github = Pulls(client)
        github.prove_access()
        for issue in issues:
            branch = branches.name(issue)
            try:
                pull = github.find(branch) if branches.has_offered(hub, issue) else None
                if pull and (sha := merged(hub, issue, pull)):
                    landed[issue.id] = sha
                else:
                    branches.insist_on_ours(hub, issue, there.get(f"refs/heads/{branch}"), f" at {hub.remote}")
            except Blocked as no:
                obstacles[issue.id] = str(no)
    return landed, obstacles


def body(hub: Hub, config: Config, arrival: Arrival) -> str:
    """What a pull request says: what was wanted, the plan, and the verdicts, as far as they may be shown to all who read it."""
    issue = arrival.issue
    lines = ["<!-- adw -->", report.fenced(issue.body[:SHOWN]) if issue.body else "", ""]
    if plan := report.newest_plan(hub, issue):
        lines += ["## Plan", "", report.fenced(plan.text[:SHOWN]), ""]
    said = {phase: report.verdicts(hub.mirror, issue.key, phase, arrival.candidate.sha) for phase in ("review", *config.checks)}
    lines += ["## Verdicts", "", f"- test: passed (`{config.test.command}`)"]
    lines += [f"- {phase}: {'flaky' if found[-1].flaky else 'passed' if found[-1].passed else 'no'}" for phase, found in said.items() if found]
    if said["review"] and said["review"][-1].passed:
        lines += ["", "## Review", "", report.fenced(said["review"][-1].log[:SHOWN])]
    return "\n".join([*lines, "<!-- /adw -->"])


def renewed(old: str, text: str) -> str:
    """The text of a pull request with adw's part of it made new; what people wrote stays, and where they removed that part, all does."""
    return OURS.sub(lambda _: text, old, count=1)
