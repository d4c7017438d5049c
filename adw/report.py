"""What a run and an issue came to, as Markdown: for artifacts, files and `adw show`."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from adw.git import Git
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import PHASES, Issue, Outcome
from adw.progress import Progress

SHOWN = 200_000  # characters of a diff that a report carries


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line: how many issues ended how."""
    counts = Counter(outcome.state for outcome in outcomes)
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "nothing to do"


def run_report(progress: Progress, outcomes: Sequence[Outcome]) -> str:
    """The run: what landed, what did not and why, and what it took."""
    lines = ["# Delivery", "", summary(outcomes), "", "| issue | ended | commit | tries |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {_cell(o.issue)}: {_cell(o.title)} | {o.state} | {o.sha[:10]} | {progress.rows[o.issue].tries if o.issue in progress.rows else ''} |"
        for o in outcomes
    ]
    took = max(progress.last - progress.began, 0.001)
    lines += ["", f"{progress.ran} phases ran and {progress.cached} were found done; {took:.0f} s, and {progress.work:.0f} s of phases one after another.", ""]
    for outcome in outcomes:
        if outcome.reason:
            lines += [f"## {outcome.issue}: {outcome.state}", "", _fenced(outcome.reason), ""]
    return "\n".join(lines)


def issue_report(hub: Hub, issue: Issue, outcome: Outcome, folder: Path) -> str:
    """One issue: its plan, its diff, the verdicts, and where the logs are."""
    lines = [f"# {issue.title}", "", f"`{issue.id}`: {outcome.state}" + (f" as {outcome.sha[:10]}" if outcome.sha else ""), ""]
    if outcome.reason:
        lines += [_fenced(outcome.reason), ""]
    newest = newest_results(hub.mirror, issue.key)
    if sha := newest.get("plan"):
        lines += ["## Plan", "", _fenced(json.loads(hub.mirror.message(sha))["text"]), ""]
    for phase in ("test", "review"):
        if sha := newest.get(phase):
            verdict = json.loads(hub.mirror.message(sha))
            lines += [f"## {phase.capitalize()}: {'passed' if verdict['passed'] else 'no'}", "", _fenced(verdict["log"]), ""]
    if change := outcome.sha or newest.get("document") or newest.get("build"):
        lines += ["## Change", "", _fenced(hub.mirror.diff(f"{change}^", change)[:SHOWN], "diff"), ""]
    logs = [f"- {log.stem}: `{log}`" for log in sorted((folder / "logs" / issue.key).glob("*.log"))]
    if logs := [*logs, *_logs_elsewhere(Journal(folder), issue)]:
        lines += ["## Logs", "", *logs, ""]
    return "\n".join(lines)


def _logs_elsewhere(journal: Journal, issue: Issue) -> list[str]:
    """Where the logs of those phases are that other hosts ran."""
    found = {}
    for event in journal.events()[0]:
        if "folder" in event and event["event"] == "phase" and event["issue"] == issue.id:
            stem = f"{event['try']}-{event['phase']}"
            found[stem] = f"- {stem}: `{event['host']}:{event['folder']}/logs/{issue.key}/{stem}.log`"
    return [found[stem] for stem in sorted(found)]


def newest_results(mirror: Git, issue_key: str) -> dict[str, str]:
    """The newest recorded commit of each phase of an issue."""
    out = mirror.run("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", f"refs/adw/{issue_key}")
    found: dict[str, str] = {}
    for line in out.splitlines():
        name, sha = line.split(" ")
        phase = name.split("/")[3]
        if phase in PHASES:
            found[phase] = sha
    return found


def _fenced(text: str, kind: str = "") -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{kind}\n{text}\n{fence}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
