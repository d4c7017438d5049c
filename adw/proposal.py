"""The text of a pull request: what was wanted, the plan, the verdicts and the cost, as far as they may be shown to all who read it.

One part of it is adw's, which it keeps up to date. As long as that part says that it is unfinished, adw has not handed the pull request over.
"""

import re

from adw import report
from adw.config import Config
from adw.git import TRAILER
from adw.mirror import Hub
from adw.model import Issue
from adw.telling import Facts, at_github, same, source

OURS = re.compile(r"<!-- adw -->.*?<!-- /adw -->", re.DOTALL)
UNFINISHED = "<!-- adw: unfinished -->"
SHOWN = 18_000  # characters of a plan, of an issue and of a review; GitHub takes 65 536 in all
JUDGED = "adw has built this, and has it tested and reviewed now."
GIVEN_UP = "adw could not get this through its tests and its review, and has given up."
HANDED_OVER = "adw has built, tested and reviewed this."


def first(hub: Hub, issue: Issue, facts: Facts, standing: str) -> str:
    """What a pull request says when it is opened: a squash takes the trailer along."""
    return f"{unfinished(hub, issue, facts, standing)}\n\n{TRAILER}: {issue.id}"


def unfinished(hub: Hub, issue: Issue, facts: Facts, standing: str) -> str:
    """Adw's part of the text of one that is not handed over yet."""
    return "\n".join(["<!-- adw -->", UNFINISHED, f"> {standing}", "", *_wanted(hub, issue), "", source(facts), "<!-- /adw -->"])


def finished(hub: Hub, config: Config, issue: Issue, sha: str, facts: Facts) -> str:
    """Adw's part of the text of one that is handed over, with what was said of its commit."""
    said = {phase: report.verdicts(hub.mirror, issue.key, phase, sha) for phase in ("review", *config.checks)}
    lines = ["<!-- adw -->", *_wanted(hub, issue), "## Verdicts", "", f"- test: passed (`{config.test.command}`)"]
    lines += [f"- {phase}: {'flaky' if found[-1].flaky else 'passed' if found[-1].passed else 'no'}" for phase, found in said.items() if found]
    if said["review"] and said["review"][-1].passed and said["review"][-1].log.strip():
        lines += ["", "## Review", "", _quoted(said["review"][-1].log)]
    return "\n".join([*lines, "", source(facts), "<!-- /adw -->"])


def renewed(old: str, text: str) -> str:
    """The text of a pull request with adw's part of it made new; what people wrote stays, and where they removed that part, all does.

    Nor is it made new for the name of another run, which had nothing to do.
    """
    there = OURS.search(old)
    if there and same(there[0], text):
        return old
    return OURS.sub(lambda _: text, old, count=1)


def _wanted(hub: Hub, issue: Issue) -> list[str]:
    """The lines that say what was asked for, and what was to be done about it."""
    lines = [f"Closes {issue.id}", ""] if at_github(issue) else []
    lines += [_quoted(issue.body), ""] if issue.body else []
    if (plan := report.newest_plan(hub, issue)) and plan.text.strip():
        lines += ["## Plan", "", _quoted(plan.text), ""]
    return lines


def _quoted(text: str) -> str:
    """What somebody else wrote, as it is but for marks such as adw's own, which would be taken for them."""
    return report.fenced(re.sub(r"<!--(?=\s*/?adw)", "<! --", text[:SHOWN]))
