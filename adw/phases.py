"""The phases of one issue: an agent or a command in a slot, and what it leaves as a value.

Each phase comes with its key, from all that decides the result and nothing else: no path, time, run or branch name.
"""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from adw import prompts
from adw.agents import find_agent
from adw.agents.base import Agent, Job
from adw.config import ClusterConfig, Config
from adw.errors import AgentCrashed, AgentCut, AgentFailed, GitFailed, Misuse
from adw.git import TRAILER, change_of
from adw.journal import Journal
from adw.mirror import Source, find_hub
from adw.model import Attempt, Candidate, Change, Issue, Order, Plan, Verdict, digest, one_line
from adw.pool import Pool
from adw.proc import kept
from adw.remote import Remote, far
from adw.slot import Lease, remove

VERSION = "1"  # a new one makes every recorded result stale
LOG_TAIL = 12_000  # characters of a log that a verdict carries; the whole is in the run's folder
DIFF_HEAD = 100_000  # characters of a diff that a prompt carries


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
        return Pool(self.hub(), self.config.pool, self.config.sandbox)

    def sized(self, slots: int) -> "Site":
        """The same with another number of slots: each host lends what it can bear."""
        return replace(self, config=self.config.model_copy(update={"pool": self.config.pool.model_copy(update={"size": slots})}))

    def elsewhere(self, url: str, author: tuple[str, str]) -> "Site":
        """The same for workers on other hosts: without a path, and without what is no business of theirs."""
        pool = self.config.pool.model_copy(update={"base_path": ""})
        return replace(self, repository=url, author=author, config=self.config.model_copy(update={"pool": pool, "cluster": ClusterConfig()}))

    def agent(self) -> Agent:
        """Who edits."""
        return find_agent(self.config.agent, Path(self.repository))

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


def plan_key(site: Site, issue: Issue, attempt: Attempt) -> str:
    """The key of a plan: the issue, what it starts from, and who plans."""
    return digest("plan", VERSION, issue.digest, attempt.base_tree, site.agent().identity, prompts.fingerprint("plan"))


def plan(site: Site, issue: Issue, attempt: Attempt, secrets: Mapping[str, str]) -> tuple[Plan, str]:
    """Have the agent say what it means to do; what it writes in the slot is thrown away."""
    with site.pool().lease(attempt.base, site.order(issue, "plan", attempt.number)) as lease:
        said = ask(site, lease, issue, prompts.fill("plan", title=issue.title, body=issue.body), secrets)
    return Plan(text=said), attempt.base


def build_key(site: Site, issue: Issue, plan: Plan, attempt: Attempt) -> str:
    """The key of a build: the plan, the commit it starts from, what went wrong before, and who builds."""
    return digest(
        "build",
        VERSION,
        issue.digest,
        plan.digest,
        attempt.base,
        site.config.test.command,
        site.agent().identity,
        prompts.fingerprint("build"),
        digest(attempt.feedback),
    )


def build(site: Site, issue: Issue, plan: Plan, attempt: Attempt, secrets: Mapping[str, str]) -> tuple[Change, str]:
    """Have the agent make the change, and commit it for it; AgentFailed if it changed nothing."""
    hub = site.hub()
    prompt = prompts.fill("build", title=issue.title, body=issue.body, plan=plan.text, feedback=told(attempt), test=site.config.test.command)
    with site.pool().lease(attempt.base, site.order(issue, "build", attempt.number)) as lease:
        ask(site, lease, issue, prompt, secrets)
        tree = taken_up(lease)
        if tree == attempt.base_tree:
            msg = "the agent ended well, but changed nothing that git keeps"
            raise AgentFailed(msg)
        sha = hub.mirror.commit(tree, [attempt.base], message(issue), hub.author())
        return change_of(hub.mirror, sha), sha


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


def told(attempt: Attempt) -> str:
    """What a build is told of the tries before it."""
    return f"An earlier try did not land. What was said of it:\n\n<feedback>\n{attempt.feedback}\n</feedback>" if attempt.feedback else ""


def test_key(site: Site, candidate: Candidate) -> str:
    """The key of a test: the code that would land (docs aside), the command, and the environment."""
    pool = site.config.pool
    return digest(
        "test", VERSION, candidate.code, site.config.test.command, pool.setup, *pool.setup_files, *sys.version_info[:2], platform.system(), platform.machine()
    )


def test(site: Site, issue: Issue, candidate: Candidate, attempt: int) -> tuple[Verdict, str]:
    """Run the tests on what would land."""
    order = site.order(issue, "test", attempt)
    with site.pool().lease(candidate.sha, order) as lease:
        log = site.journal().log(order)
        before = log.stat().st_size if log.exists() else 0
        ended = kept(
            lease.boxed(["sh", "-c", site.config.test.command]),
            cwd=lease.tree,
            env=lease.env,
            log=log,
            minutes=site.config.test.minutes,
            fds=lease.fds,
            watch=lease.watch,
        )
    if ended.cut:
        msg = f"the test command was stopped: {ended.cut}\n{tail(log, before)}"
        raise AgentCut(msg)
    if ended.killed:
        msg = f"the test command was killed from outside (exit status {ended.status})"
        raise AgentCrashed(msg)
    return Verdict(passed=ended.status == 0, log=tail(log, before)), candidate.sha


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
    """The key of a review: the issue, both sides of the diff, and who reviews."""
    return digest("review", VERSION, issue.digest, change.base_tree, change.tree, site.agent().identity, prompts.fingerprint("review"))


def review(site: Site, issue: Issue, change: Change, attempt: int, secrets: Mapping[str, str]) -> tuple[Verdict, str]:
    """Have the agent judge the change: its exit status is the verdict."""
    with site.pool().lease(change.sha, site.order(issue, "review", attempt)) as lease:
        prompt = prompts.fill("review", title=issue.title, body=issue.body, diff=site.hub().mirror.diff(change.base, change.sha)[:DIFF_HEAD])
        try:
            return Verdict(passed=True, log=ask(site, lease, issue, prompt, secrets)), change.sha
        except AgentCut:
            raise
        except AgentFailed as no:
            return Verdict(passed=False, log=str(no)), change.sha


def document_key(site: Site, issue: Issue, change: Change) -> str:
    """The key of the documentation: the change as built, where it may write, and who writes."""
    return digest("document", VERSION, issue.digest, change.base, change.tree, *site.config.docs, site.agent().identity, prompts.fingerprint("document"))


def document(site: Site, issue: Issue, change: Change, attempt: int, secrets: Mapping[str, str]) -> tuple[Change, str]:
    """Have the agent write the documentation: the change with it in, or as it was if none was needed."""
    hub, docs = site.hub(), site.config.docs
    with site.pool().lease(change.sha, site.order(issue, "document", attempt)) as lease:
        prompt = prompts.fill("document", title=issue.title, body=issue.body, docs=", ".join(docs), diff=hub.mirror.diff(change.base, change.sha)[:DIFF_HEAD])
        ask(site, lease, issue, prompt, secrets)
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
    tree = change.tree if change.base == onto else mirror.merge(onto, change.sha)
    sha = mirror.commit(tree, [onto], message(issue), mirror.identity(change.sha))
    return Candidate(sha=sha, tree=tree, onto=onto, code=mirror.without(tree, site.config.docs))


def base_issue(branch: str) -> Issue:
    """What stands for an issue when the branch is tested as it is."""
    return Issue(id="(base)", title=f"{branch} as it is", body="")


def base_candidate(site: Site, tip: str) -> Candidate:
    """The branch as it is, to be tested like a candidate."""
    mirror = site.hub().mirror
    tree = mirror.tree_of(tip)
    return Candidate(sha=tip, tree=tree, onto=tip, code=mirror.without(tree, site.config.docs))


def ask(site: Site, lease: Lease, issue: Issue, prompt: str, secrets: Mapping[str, str]) -> str:
    """Give an agent a prompt in a slot, and return what it said. AgentFailed if it says no, AgentCrashed if it was killed."""
    order = site.order(issue, lease.env["ADW_PHASE"], int(lease.env["ADW_TRY"]))
    log, file = site.journal().log(order), lease.tree.parent / "tmp" / "prompt.md"
    remove(file)  # an agent that was asked before may have put a link in its place
    file.write_text(prompt, encoding="utf-8")
    before = log.stat().st_size if log.exists() else 0
    env = {**lease.env, **secrets}
    call = site.agent().call(Job(phase=order.phase, prompt=file, tree=lease.tree, folder=lease.tree.parent / "home"))
    env |= call.env
    argv = lease.boxed(call.argv, agent=True, readable=call.readable)
    ended = kept(argv, cwd=lease.tree, env=env, log=log, minutes=site.config.agent.minutes, stdin=file, fds=lease.fds, watch=lease.watch)
    said = hidden(tail(log, before), secrets)  # what is said is kept in git, and in prompts
    if ended.cut:
        msg = f"the agent was stopped in {order.phase}: {ended.cut}\n{said}"
        raise AgentCut(msg)
    if ended.killed:
        msg = f"the agent was killed in {order.phase} (exit status {ended.status}), by a person or for lack of memory"
        raise AgentCrashed(msg)
    if ended.status:
        msg = f"the agent said no in {order.phase} (exit status {ended.status}):\n{said}"
        raise AgentFailed(msg)
    return said


def hidden(text: str, secrets: Mapping[str, str]) -> str:
    """A text without the values of secrets."""
    for secret in filter(None, secrets.values()):
        text = text.replace(secret, "***")
    return text


def tail(log: Path, start: int = 0) -> str:
    """The end of what a log holds from a position on."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(start, size - LOG_TAIL))
        return file.read().decode(errors="replace").strip()
