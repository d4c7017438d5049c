"""The checks of a repository's own, `[checks.NAME]` in `adw.toml`: commands and prompts that judge beside test and review.

Each is a phase by its name, with a key of its own. A command judges a candidate, or a change as it was built; a prompt judges
the change, and is asked of the agent that reviews.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from adw import phases, prompts
from adw.config import Check
from adw.errors import AgentFailed, Misuse
from adw.mirror import Hub
from adw.model import Candidate, Change, Issue, Verdict, digest
from adw.phases import VERSION, Site
from adw.testing import Command, tested

FILE = re.compile(r"([\w-]+)(\.md)?")  # a prompt that is one word names a file


def key(site: Site, issue: Issue, name: str, about: Candidate | Change) -> str:
    """The key of a check: what it judges, by what, and where; of a prompt also the issue, and who is asked."""
    check = site.config.checks[name]
    judged = [about.code] if isinstance(about, Candidate) else [about.base_tree, about.tree]
    if check.command:
        return digest("check", VERSION, name, *judged, check.command, *phases.surroundings(site))
    asked = asking(site, check)
    who = (*asked.config.review.refuse, asked.tag(name), prompts.fingerprint("check"))
    return digest("check", VERSION, name, issue.digest, *judged, check.prompt, *who)


def run(site: Site, issue: Issue, name: str, about: Candidate | Change, attempt: int) -> tuple[Verdict, str]:
    """Run the command of a check on a candidate, or on a change, with the commit that it began on as ADW_BASE."""
    check = site.config.checks[name]
    command = Command(check.command, check.minutes, {"ADW_BASE": about.base} if isinstance(about, Change) else {})
    return tested(site.pool(), site.journal(), site.order(issue, name, attempt), about.sha, command), about.sha


def run_on_base(site: Site, issue: Issue, name: str, about: Candidate | Change) -> tuple[Verdict, str]:
    """Run it on the branch as it is. AgentFailed if it says no: that is not recorded, as it may be the environment's fault."""
    verdict, sha = run(site, issue, name, about, 1)
    if not verdict.passed:
        raise AgentFailed(verdict.log)
    return verdict, sha


def judge(site: Site, issue: Issue, name: str, change: Change, attempt: int, secrets: Mapping[str, str]) -> tuple[Verdict, str]:  # noqa: PLR0913 - as a review, and which
    """Ask the agent the question of a check about a change."""
    site = asking(site, site.config.checks[name])
    order = site.order(issue, name, attempt)
    with site.pool().lease(change.sha, order) as lease:
        question = prompt(site, issue, name, change.base, phases.diff(site, change))
        return phases.judged(site, site.asking(lease, issue, order, secrets), question), change.sha


def prompt(site: Site, issue: Issue, name: str, base: str, diff: str) -> str:
    """What the agent is asked in a check of a change that began on a commit."""
    asked = site.config.checks[name].prompt
    text = prompts.own(site.hub().mirror, base, asked.removesuffix(".md")) if FILE.fullmatch(asked) else asked
    return phases.told(site, issue, base, "check", check=text.strip(), diff=diff, answer=phases.answer(site, "review"))


def asking(site: Site, check: Check) -> Site:
    """The site with the agent that reviews as a check has it: with its time limit, and its model."""
    own = {"minutes": check.minutes} | ({"model": check.model} if check.model else {})
    agent = site.config.agent
    agent = agent.model_copy(update={"review": agent.review.model_copy(update=own)})
    return replace(site, config=site.config.model_copy(update={"agent": agent}))


def base(site: Site, name: str, tip: str) -> Candidate | Change:
    """The branch as it is, to be judged by a check: as what would land, or as a change that changes nothing."""
    candidate = phases.base_candidate(site, tip)
    if site.config.checks[name].about == "candidate":
        return candidate
    return Change(sha=tip, tree=candidate.tree, base=tip, base_tree=candidate.tree)


def insist_on_prompts(hub: Hub, checks: Mapping[str, Check]) -> None:
    """Misuse if the prompt of a check is a file that the branch does not have."""
    for name, check in checks.items():
        if FILE.fullmatch(check.prompt):
            try:
                prompts.own(hub.git, hub.ref, check.prompt.removesuffix(".md"))
            except Misuse as no:
                msg = f"checks.{name}.prompt in adw.toml: {no}"
                raise Misuse(msg) from no
