"""The prompts of the phases: Markdown files with `$names` to fill in."""

from functools import cache
from importlib.resources import files
from string import Template

from adw.model import digest


@cache
def template(phase: str) -> str:
    """The text of a phase's prompt, before anything is filled in."""
    return files(__name__).joinpath(f"{phase}.md").read_text(encoding="utf-8")


def fingerprint(phase: str) -> str:
    """The prompt's identity in cache keys."""
    return digest(template(phase))


def fill(phase: str, **values: str) -> str:
    """The prompt as it is sent. A value is data: a `$` or a fence in it stays what it is."""
    return Template(template(phase)).substitute(values)
