"""What people said of the plans of an issue, as commits under `refs/adw/<issue key>/decided/<N>` of mirror and hub.

The last word counts, also for later runs: an approved plan, perhaps edited, is what is built, whatever an agent planned; what
was said against a plan goes into the prompt of the next one.
"""

import json
from dataclasses import asdict

from pydantic.dataclasses import dataclass

from adw.git import EMPTY_TREE
from adw.mirror import Source
from adw.model import Issue, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person said of a plan: the plan as they leave it, or what is wrong with it."""

    approved: bool
    plan: Plan
    feedback: str = ""


def decide(hub: Source, issue: Issue, decision: Decision) -> None:
    """Record what a person said."""
    ref = f"refs/adw/{issue.key}/decided/{len(_said(hub, issue)) + 1}"
    hub.mirror.point(ref, hub.mirror.commit(EMPTY_TREE, [], json.dumps(asdict(decision)), hub.author()))
    hub.publish(ref)


def approved(hub: Source, issue: Issue) -> Plan | None:
    """The plan that a person wants built, if one was approved, and nothing was said against it since."""
    said = _said(hub, issue)
    return said[-1].plan if said and said[-1].approved else None


def objections(hub: Source, issue: Issue) -> str:
    """What was said against earlier plans, with each plan; empty if nothing was."""
    said = [decision for decision in _said(hub, issue) if not decision.approved]
    return "\n\n".join(f"{decision.feedback}\n\nThat was said of this plan:\n\n{decision.plan.text}" for decision in said)


def words(hub: Source, issue: Issue) -> list[str]:
    """What people said of the plans, without the plans."""
    return [decision.feedback for decision in _said(hub, issue) if decision.feedback]


def edited(plan: Plan, text: str) -> Plan:
    """A plan with the text that a person gave it; its items are in that text, or were meant to go."""
    return plan if text.strip() in {"", plan.text.strip()} else Plan(text=text.strip(), files=plan.files)


def _said(hub: Source, issue: Issue) -> list[Decision]:
    """All that was said, in order."""
    numbered = {int(ref.rsplit("/", 1)[1]): sha for ref, sha in hub.mirror.refs(f"refs/adw/{issue.key}/decided").items()}
    return [Decision(**json.loads(hub.mirror.message(sha))) for _, sha in sorted(numbered.items())]
