"""`adw prompt`: what an agent would be sent, as far as it is known now."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from adw import checks, decisions, phases, prompts, report, results, siding
from adw.cli import memories, sources
from adw.cli.deliver import configured
from adw.errors import Misuse
from adw.git import change_of
from adw.memory.model import Memory
from adw.memory.question import question
from adw.mirror import Hub, find_hub, sync
from adw.model import AGENT_PHASES, Attempt, Issue, Plan
from adw.phases import Site
from adw.upstream import facing

NO_PLAN = Plan(text="(the plan is made first)")
NO_CHANGE = "(the change is made first)"


def prompt(phase: str, name: str, repo: Path, branch: str, given: dict[str, Any]) -> None:
    """Print what the agent of a phase would be sent for an issue. Nothing is started; the hub is only read."""
    hub = find_hub(repo, branch)
    issues = sources.read([name], hub)
    if len(issues) > 1:
        msg = f"{name} holds {len(issues)} issues: name the file of one"
        raise Misuse(msg)
    config = configured(hub, given)
    known = [*AGENT_PHASES, *(name for name, check in config.checks.items() if check.prompt)]
    if phase not in known:
        msg = f"no agent is asked in {phase!r}: name one of {', '.join(known)}"
        raise Misuse(msg)
    sync(hub)
    site = Site(run="", repository=str(hub.root), branch=hub.branch, config=config)
    sys.stdout.write(asked(site, facing(hub, config.landing), issues[0], phase))


def asked(site: Site, hub: Hub, issue: Issue, phase: str) -> str:
    """The prompt of a phase, with what is recorded for the issue in it; in its place, where it is not made yet, a word that says so."""
    if phase == "plan":
        first = replace(next(iter(results.attempts(hub, issue)), now(hub)), feedback=decisions.objections(hub, issue))
        return phases.plan_prompt(site, issue, first, recalled(site, hub, issue, first))
    if phase == "build":
        plan, attempt = report.newest_plan(hub, issue) or NO_PLAN, newest(hub, issue)
        prompt = phases.revise_prompt if attempt.wanted else phases.build_prompt
        return prompt(site, issue, plan, attempt, recalled(site, hub, issue, plan, attempt))
    sha, nothing = report.newest_results(hub.mirror, issue.key).get("build"), prompts.fence("diff", NO_CHANGE)
    change = change_of(hub.mirror, sha) if sha else None
    if phase in site.config.checks:
        base, diff = (change.base, phases.diff(site, change)) if change else (hub.tip(), nothing)
        return checks.prompt(site, issue, phase, base, diff)
    if change:
        if phase == "review":
            return phases.review_prompt(site, issue, change, recalled(site, hub, issue, change))
        return phases.document_prompt(site, issue, change)
    form = phases.answer(site, phase) if phase == "review" else ""
    return phases.told(site, issue, hub.tip(), phase, diff=nothing, answer=form, findings="")


def recalled(site: Site, hub: Hub, issue: Issue, *given: Any) -> tuple[Memory, ...]:
    """What would be recalled for a phase now; what the memory has to complain about goes to standard error."""
    border = memories.border(hub, site.config, lambda text: sys.stderr.write(f"adw: {text}\n"))
    return border.recall(lambda: question(hub.mirror, issue, *given))


def newest(hub: Hub, issue: Issue) -> Attempt:
    """The try that a run would go on with, if it began now."""
    fresh = now(hub)
    attempt = [fresh, *results.attempts(hub, issue)][-1]
    return attempt if siding.bears(hub.mirror, fresh.base, attempt.base) else replace(fresh, number=attempt.number + 1, feedback=attempt.feedback)


def now(hub: Hub) -> Attempt:
    """A first try on the tip, which is not begun by that."""
    tip = hub.tip()
    return Attempt(number=1, base=tip, base_tree=hub.mirror.tree_of(tip))
