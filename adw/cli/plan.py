"""`adw plan`: plans to look at, and to have as you want them before they are built."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from adw import decisions, report
from adw.cli import sources
from adw.cli.deliver import prepared
from adw.cli.question import ask, on_terminal
from adw.cli.supervise import supervise
from adw.cli.view import print_json
from adw.decisions import Decision
from adw.journal import Journal
from adw.mirror import Hub, find_hub
from adw.model import Issue, Plan


def plan(names: Sequence[str], repo: Path, branch: str, given: dict[str, Any], *, as_json: bool) -> int:
    """Plan issues, and show the plans. On a terminal, have a person say what they want of each, and plan again what they reject.

    Returns adw's exit status.
    """
    hub = find_hub(repo, branch)
    issues = sources.read(names, hub)
    talks = on_terminal(Console()) and not as_json
    console = Console(stderr=not talks)
    while True:
        journal = prepared(hub, issues, {**given, "only": "plan"})
        status = supervise(journal, console)
        plans = made(journal)
        if as_json:
            print_json([told(hub, issue, plans.get(issue.id)) for issue in issues])
        elif not talks:
            sys.stdout.writelines(f"{report.plan_text(issue, plans[issue.id])}\n" for issue in issues if issue.id in plans)
        issues = [issue for issue in issues if talks and issue.id in plans and rejected(console, hub, issue, plans[issue.id])]
        if not issues:
            return status


def made(journal: Journal) -> dict[str, Plan]:
    """The plans that a run ended with, by issue."""
    return {event["issue"]: Plan(**event["plan"]) for event in journal.events()[0] if event["event"] == "planned"}


def told(hub: Hub, issue: Issue, plan: Plan | None) -> dict[str, Any]:
    """A plan for scripts."""
    return {"issue": issue.id, "title": issue.title, "approved": decisions.approved(hub, issue) is not None, "plan": asdict(plan) if plan else None}


def rejected(console: Console, hub: Hub, issue: Issue, plan: Plan) -> bool:
    """Show a plan, and record what a person says of it; whether they want another one."""
    console.print(Markdown(report.plan_text(issue, plan)))
    if decisions.approved(hub, issue):
        console.print("This plan was approved before.")
    answer = ask(console, plan.text)
    if answer is None:
        return False
    decisions.decide(hub, issue, Decision(approved=answer.approve, plan=decisions.edited(plan, answer.plan), feedback=answer.feedback))
    return not answer.approve
