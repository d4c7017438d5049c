"""The phases of one issue: an agent or a command in a slot, and what it leaves as a value.

Each phase comes with its key, from all that decides the result and nothing else: no path, time, run or branch name.
"""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from adw import merging, prompts
from adw.agents import find_agent, ready
from adw.agents.base import Agent
from adw.answers import PlanAnswer, ReviewAnswer
from adw.asking import Asking
from adw.config import ClusterConfig, Config
from adw.errors import AgentCut, AgentFailed, GitFailed, Misuse
from adw.git import TRAILER, Merged, change_of
from adw.journal import Journal
from adw.memory.model import Memory
from adw.mirror import Source, find_hub
from adw.model import BASE, Attempt, Candidate, Change, Issue, Order, Plan, Verdict, digest, one_line
from adw.pool import Pool
from adw.remote import Remote, far
from adw.skills import at_work
from adw.skills.at_work import AtWork, versions
from adw.skills.finding import Table
from adw.slot import Lease
from adw.testing import Command, tested

VERSION = "2"  # a new one makes every recorded result stale
DIFF_HEAD = 100_000  # characters of a diff that a prompt carries
FLAGGED = "Put the change behind a feature flag named `{flag}`, off by default: while it is off, all is as it was before. Use the repository's own way of flags, if it has one."
NOTHING = Table()
FORMS: dict[str, type[BaseModel]] = {"plan": PlanAnswer, "review": ReviewAnswer}


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run works: small, and good on any worker that reaches the hub. Secrets are in it by name only."""

    run: str
    repository: str  # a path; for workers on other hosts a URL
    branch: str
    config: Config
    author: tuple[str, str] = ("", "")  # name and address of who commits, where the repository is a URL

    def hub(self) -> Source:
        """The repository."""
        return _hub(self.repository, self.branch, self.author)

    def pool(self) -> Pool:
        """Its slots on this host."""
        return Pool(self.hub(), self.config.pool, self.config.sandbox, self.journal())

    def sized(self, slots: int) -> "Site":
        """The same with another number of slots: each host lends what it can bear."""
        return replace(self, config=self.config.model_copy(update={"pool": self.config.pool.model_copy(update={"size": slots})}))

    def elsewhere(self, url: str, author: tuple[str, str]) -> "Site":
        """The same for workers on other hosts: without a path, and without what is no business of theirs."""
        pool = self.config.pool.model_copy(update={"base_path": ""})
        return replace(self, repository=url, author=author, config=self.config.model_copy(update={"pool": pool, "cluster": ClusterConfig()}))

    def agent(self, phase: str) -> Agent:
        """Who works on a phase."""
        return find_agent(self.config.agent.at(phase), Path(self.repository))

    def tag(self, phase: str) -> str:
        """What of the agent decides the answers in a phase."""
        return digest(self.agent(phase).identity, self.config.agent.tools(phase))

    def asking(self, lease: Lease, issue: Issue, order: Order, secrets: Mapping[str, str], recalled: Sequence[Memory] = ()) -> Asking:
        """The agent of a phase, to be asked in a slot; what is recalled for it makes no other question of it."""
        agent = ready(self.config.agent.at(order.phase), Path(self.repository))
        return Asking(self.hub(), self.config, agent, self.journal(), lease, issue, order, secrets, beside=prompts.remembered(recalled))

    def skills(self, lease: Lease, order: Order) -> AtWork:
        """The skills of a phase, to be run in a slot."""
        return AtWork(self.hub(), self.config.skills, self.journal(), lease, order)

    def journal(self) -> Journal:
        """What happens in this run."""
        return Journal(self.hub().place.runs / self.run)

    def order(self, issue: Issue, phase: str, attempt: int = 1) -> Order:
        """The correlation id of a piece of work in this run."""
        return Order(run=self.run, issue=issue.id, issue_key=issue.key, phase=phase, attempt=attempt, title=issue.title)


@cache
def _hub(repository: str, branch: str, author: tuple[str, str]) -> Source:
    """The repository; asked of git once in a process."""
    return Remote.of(repository, branch, *author) if far(repository) else find_hub(Path(repository), branch)


def told(site: Site, issue: Issue, commit: str, phase: str, **values: str) -> str:
    """The prompt of a phase that begins at a commit."""
    git, config = site.hub().mirror, site.config
    common = {
        "issue": prompts.fence("issue", issue.body, title=issue.title) + (f"\n\n{FLAGGED.format(flag=issue.flag)}" if issue.flag else ""),
        "test": config.test.command,
        "docs": ", ".join(config.docs),
        "refuse": " or ".join(config.review.refuse) or "any",
        "recalled": "",
    }
    return prompts.of_phase(git, commit, phase, **{**common, **values})


def answer(site: Site, phase: str) -> str:
    """What the agent of a phase is told of the form of its answer."""
    return prompts.wanted(FORMS[phase]) if site.agent(phase).structured else prompts.IN_WORDS[phase]


def plan_key(site: Site, issue: Issue, attempt: Attempt) -> str:
    """The key of a plan: the issue, what it starts from, who plans, and what was said of earlier plans."""
    told = (site.config.test.command, site.tag("plan"), prompts.fingerprint("plan"), digest(attempt.feedback))
    return digest("plan", VERSION, issue.digest, attempt.base_tree, *told)


def plan_prompt(site: Site, issue: Issue, attempt: Attempt, recalled: Sequence[Memory] = (), found: Table = NOTHING) -> str:
    """What the agent is asked in plan; with what skills found in the base, once they have."""
    feedback = f"A person does not want an earlier plan. What was said of it:\n\n{prompts.fence('feedback', attempt.feedback)}" if attempt.feedback else ""
    return told(
        site,
        issue,
        attempt.base,
        "plan",
        answer=answer(site, "plan"),
        feedback=feedback,
        findings=at_work.of_base(found),
        recalled=prompts.remembered(recalled),
    )


def plan(site: Site, issue: Issue, attempt: Attempt, secrets: Mapping[str, str], recalled: Sequence[Memory] = ()) -> tuple[Plan, str]:
    """Have the agent say what it means to do; what it writes in the slot is thrown away."""
    order = site.order(issue, "plan", attempt.number)
    with site.pool().lease(attempt.base, order) as lease:
        found = site.skills(lease, order).all(attempt.base_tree)
        said = site.asking(lease, issue, order, secrets, recalled).checked(plan_prompt(site, issue, attempt, recalled, found), PlanAnswer)
    return (said.plan() if isinstance(said, PlanAnswer) else Plan(text=said.text)), attempt.base


def build_key(site: Site, issue: Issue, plan: Plan, attempt: Attempt) -> str:
    """The key of a build: the plan, the commit it starts from, what went wrong before, and who builds."""
    return digest(
        "build",
        VERSION,
        issue.digest,
        plan.digest,
        attempt.base,
        site.config.test.command,
        *site.config.docs,
        *site.config.review.refuse,
        site.tag("build"),
        prompts.fingerprint("revise" if attempt.wanted else "resolve" if attempt.change else "build"),
        digest(attempt.feedback),
        *([attempt.change, merging.fingerprint(site.config.merge)] if attempt.change else []),
    )


def build_prompt(site: Site, issue: Issue, plan: Plan, attempt: Attempt, recalled: Sequence[Memory] = ()) -> str:
    """What the agent is asked in build."""
    feedback = f"An earlier try did not land. What was said of it:\n\n{prompts.fence('feedback', attempt.feedback)}" if attempt.feedback else ""
    return told(site, issue, attempt.base, "build", plan=prompts.fence("plan", plan.text), feedback=feedback, recalled=prompts.remembered(recalled))


def build(  # noqa: PLR0913 - what decides it, and what does not
    site: Site, issue: Issue, plan: Plan, attempt: Attempt, secrets: Mapping[str, str], recalled: Sequence[Memory] = ()
) -> tuple[Change, str]:
    """Have the agent make the change, and commit it for it; AgentFailed if it changed nothing."""
    if attempt.change:
        return resolve(site, issue, plan, attempt, secrets, recalled)
    hub, order = site.hub(), site.order(issue, "build", attempt.number)
    with site.pool().lease(attempt.base, order) as lease:
        asking, prompt = site.asking(lease, issue, order, secrets, recalled), build_prompt(site, issue, plan, attempt, recalled)
        said = asking.ask(prompt)
        tree = validated(site, asking, prompt, attempt)
        if tree == attempt.base_tree:
            msg = f"the agent ended well, but changed nothing that git keeps. It said:\n{said.text}"
            raise AgentFailed(msg)
        sha = hub.mirror.commit(tree, [attempt.base], message(issue), hub.author())
        return change_of(hub.mirror, sha), sha


def validated(site: Site, asking: Asking, prompt: str, attempt: Attempt) -> str:
    """The tree of what an agent left, after it was asked to mend what skills found new in it, if anything."""
    lease, skills = asking.lease, site.skills(asking.lease, asking.order)
    tree = taken_up(lease)
    for left in reversed(range(site.config.skills.again + 1)):
        found = skills.new(attempt.base_tree, tree)
        if not (left and found.findings):
            break
        asking.again(prompt, prompts.fill("mend", findings=at_work.of_change(found)))
        tree = taken_up(lease)
    return tree


def resolve_prompt(  # noqa: PLR0913 - as a build, and what it meets
    site: Site, issue: Issue, plan: Plan, attempt: Attempt, found: Merged, recalled: Sequence[Memory] = ()
) -> str:
    """What the agent is asked whose change does not merge onto what landed meanwhile, or fails there."""
    mirror, change = site.hub().mirror, change_of(site.hub().mirror, attempt.change)
    left = merging.by_hand(site.config.merge, found)
    return told(
        site,
        issue,
        attempt.base,
        "resolve",
        plan=prompts.fence("plan", plan.text),
        feedback=prompts.fence("feedback", attempt.feedback),
        conflicts="It conflicts in: " + ", ".join(left) if left else "It merges without conflicts.",
        mine=prompts.fence("diff", mirror.diff(change.base, change.sha)[:DIFF_HEAD], of="the change"),
        others=prompts.fence("diff", mirror.diff(change.base, attempt.base)[:DIFF_HEAD], of="what landed meanwhile"),
        recalled=prompts.remembered(recalled),
    )


def revise_prompt(site: Site, issue: Issue, plan: Plan, attempt: Attempt, recalled: Sequence[Memory] = ()) -> str:
    """What the agent is asked of whose change people want more."""
    mirror = site.hub().mirror
    change = change_of(mirror, attempt.change)
    return told(
        site,
        issue,
        attempt.base,
        "revise",
        plan=prompts.fence("plan", plan.text),
        feedback=prompts.fence("feedback", attempt.feedback),
        mine=prompts.fence("diff", mirror.diff(change.base, change.sha)[:DIFF_HEAD], of="the change"),
        recalled=prompts.remembered(recalled),
    )


def resolve(  # noqa: PLR0913 - as a build
    site: Site, issue: Issue, plan: Plan, attempt: Attempt, secrets: Mapping[str, str], recalled: Sequence[Memory] = ()
) -> tuple[Change, str]:
    """Build an earlier change anew on top of what landed meanwhile: merged by git and by rules, and by the agent where these do not do.

    Where people want more of it, the agent finds it merged.
    """
    hub, order, config = site.hub(), site.order(issue, "build", attempt.number), site.config.merge
    hub.bring(attempt.change, issue.key)
    with site.pool().lease(attempt.base, order) as lease:
        found = merging.merged(hub.mirror, config, change_of(hub.mirror, attempt.change), attempt.base)
        asking = site.asking(lease, issue, order, secrets, recalled)
        if merging.by_hand(config, found) or (attempt.feedback and not (attempt.wanted or found.conflicts)):
            prompt = resolve_prompt(site, issue, plan, attempt, found, recalled)
            asking.ask(prompt)
            tree = validated(site, asking, prompt, attempt)
        elif attempt.wanted:
            tree = revised(site, asking, found, revise_prompt(site, issue, plan, attempt, recalled), attempt)
        else:
            merging.lay_out(lease, found, config, site.journal().log(order))
            tree = taken_up(lease)
        if tree == attempt.base_tree:
            msg = "nothing is left of the change on top of what landed meanwhile"
            raise AgentFailed(msg)
        sha = hub.mirror.commit(tree, [attempt.base], message(issue), hub.mirror.identity(attempt.change))
        return change_of(hub.mirror, sha), sha


def revised(site: Site, asking: Asking, found: Merged, prompt: str, attempt: Attempt) -> str:
    """The tree of what an agent makes of a change that it finds merged; AgentFailed if that is what it was."""
    merging.lay_out(asking.lease, found, site.config.merge, site.journal().log(asking.order))
    before = taken_up(asking.lease)
    said = asking.ask(prompt)
    tree = validated(site, asking, prompt, attempt)
    if tree == before:
        msg = f"people want something of the change, and the agent ended well, but changed nothing. It said:\n{said.text}"
        raise AgentFailed(msg)
    return tree


def message(issue: Issue) -> str:
    """The message of an issue's commit."""
    return f"{one_line(issue.title)}\n\n{TRAILER}: {issue.id}\n"


def taken_up(lease: Lease) -> str:
    """The tree of what an agent left; AgentFailed if git cannot take it up, as with a repository inside of it."""
    if full := lease.full():
        msg = f"the agent was too late to be stopped: {full}"
        raise AgentFailed(msg)
    try:
        return lease.snapshot()
    except GitFailed as no:
        msg = f"git cannot take up what the agent left: {no}"
        raise AgentFailed(msg) from no


def test_key(site: Site, candidate: Candidate) -> str:
    """The key of a test: the code that would land (docs aside), the command, and the environment."""
    return digest("test", VERSION, candidate.code, site.config.test.command, *surroundings(site))


def surroundings(site: Site) -> list[object]:
    """What decides the result of a command beside its line and the code: what the slot was set up by, and the system."""
    pool = site.config.pool
    return [pool.setup, *pool.setup_files, *sys.version_info[:2], platform.system(), platform.machine()]


def test(site: Site, issue: Issue, candidate: Candidate, attempt: int) -> tuple[Verdict, str]:
    """Run the tests on what would land; twice where they fail."""
    given = site.config.test
    command = Command(given.command, given.minutes, {})
    return tested(site.pool(), site.journal(), site.order(issue, "test", attempt), candidate.sha, command), candidate.sha


def test_base(site: Site, issue: Issue, candidate: Candidate) -> tuple[Verdict, str]:
    """Run the tests on the branch as it is. Misuse if they fail: that is not recorded, as it may be the environment's fault."""
    try:
        verdict, about = test(site, issue, candidate, 1)
    except AgentFailed as no:
        msg = f"the tests cannot be run on {site.branch} as it is, so nothing was built: {no}"
        raise Misuse(msg) from no
    if not verdict.passed:
        msg = f"the tests fail on {site.branch} as it is, so nothing was built: mend it, or go on with --allow-red-base\n{verdict.log[-2000:]}"
        raise Misuse(msg)
    return verdict, about


def review_key(site: Site, issue: Issue, change: Change) -> str:
    """The key of a review: the issue, both sides of the diff, who reviews, what refuses, and by which skills it is told what is new."""
    told = (*site.config.review.refuse, site.tag("review"), prompts.fingerprint("review"), *versions(site.config.skills, "review"))
    return digest("review", VERSION, issue.digest, change.base_tree, change.tree, *told)


def review_prompt(site: Site, issue: Issue, change: Change, recalled: Sequence[Memory] = (), found: Table = NOTHING) -> str:
    """What the agent is asked in review; with what skills found new in the change, once they have."""
    return told(
        site,
        issue,
        change.base,
        "review",
        diff=diff(site, change),
        answer=answer(site, "review"),
        findings=at_work.of_change(found),
        recalled=prompts.remembered(recalled),
    )


def review(  # noqa: PLR0913 - what decides it, and what does not
    site: Site, issue: Issue, change: Change, attempt: int, secrets: Mapping[str, str], recalled: Sequence[Memory] = ()
) -> tuple[Verdict, str]:
    """Have the agent judge the change: by what it finds, or by its exit status if it is one that gives no such answer."""
    order = site.order(issue, "review", attempt)
    with site.pool().lease(change.sha, order) as lease:
        found = site.skills(lease, order).new(change.base_tree, change.tree)
        return judged(site, site.asking(lease, issue, order, secrets, recalled), review_prompt(site, issue, change, recalled, found)), change.sha


def judged(site: Site, asking: Asking, prompt: str) -> Verdict:
    """What an agent says of a change that is checked out before it."""
    try:
        said = asking.checked(prompt, ReviewAnswer)
    except AgentCut:
        raise
    except AgentFailed as no:
        if asking.agent.structured:
            raise
        return Verdict(passed=False, log=str(no))
    return said.verdict(site.config.review.refuse) if isinstance(said, ReviewAnswer) else Verdict(passed=True, log=said.text)


def diff(site: Site, change: Change) -> str:
    """What a change changes, as data in a prompt."""
    return prompts.fence("diff", site.hub().mirror.diff(change.base, change.sha)[:DIFF_HEAD])


def document_key(site: Site, issue: Issue, change: Change) -> str:
    """The key of the documentation: the change as built, where it may write, and who writes."""
    return digest("document", VERSION, issue.digest, change.base, change.tree, *site.config.docs, site.tag("document"), prompts.fingerprint("document"))


def document_prompt(site: Site, issue: Issue, change: Change) -> str:
    """What the agent is asked in document."""
    return told(site, issue, change.base, "document", diff=diff(site, change))


def document(site: Site, issue: Issue, change: Change, attempt: int, secrets: Mapping[str, str]) -> tuple[Change, str]:
    """Have the agent write the documentation: the change with it in, or as it was if none was needed."""
    hub, docs, order = site.hub(), site.config.docs, site.order(issue, "document", attempt)
    with site.pool().lease(change.sha, order) as lease:
        site.asking(lease, issue, order, secrets).ask(document_prompt(site, issue, change))
        tree = taken_up(lease)
        if outside := hub.mirror.touched(change.tree, tree, docs):
            msg = f"the document phase touched {', '.join(outside[:5])}, and may touch only {', '.join(docs)}"
            raise AgentFailed(msg)
        if tree == change.tree:
            return change, change.sha
        sha = hub.mirror.commit(tree, [change.base], hub.mirror.message(change.sha), hub.mirror.identity(change.sha))
        return change_of(hub.mirror, sha), sha


def candidate(site: Site, issue: Issue, change: Change, onto: str) -> Candidate:
    """The change as it would land on a commit for an issue: the same SHA for the same inputs. Conflict if it does not merge."""
    mirror = site.hub().mirror
    tree = change.tree if change.base == onto else merging.clean(mirror, site.config.merge, change, onto)
    sha = mirror.commit(tree, [onto], message(issue), mirror.identity(change.sha))
    return Candidate(sha=sha, tree=tree, onto=onto, code=mirror.without(tree, site.config.docs))


def base_issue(branch: str) -> Issue:
    """What stands for an issue when the branch is tested as it is."""
    return Issue(id=BASE, title=f"{branch} as it is", body="")


def base_candidate(site: Site, tip: str) -> Candidate:
    """The branch as it is, to be tested like a candidate."""
    mirror = site.hub().mirror
    tree = mirror.tree_of(tip)
    return Candidate(sha=tip, tree=tree, onto=tip, code=mirror.without(tree, site.config.docs))
