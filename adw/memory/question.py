"""What a phase asks the memory."""

from typing import Any

from adw.git import Git
from adw.memory.lessons import telling
from adw.model import Attempt, Change, Issue, Plan

BODY = 2000  # characters of a text that is looked for


def question(git: Git, issue: Issue, *given: Any) -> tuple[str, str]:
    """What is asked for a phase, by what it is given beside its issue: the most telling words first; and the commit that it begins at."""
    about = f"{issue.title}\n{issue.body[:BODY]}"
    match given:
        case [Plan() as plan, Attempt() as attempt, *_]:
            return "\n".join([issue.title, telling(attempt.feedback), *plan.files, about, plan.text[:BODY]]), attempt.base
        case [Change() as change, *_]:
            return "\n".join([issue.title, *git.touched(change.base_tree, change.tree), about]), change.base
    return about, given[0].base
