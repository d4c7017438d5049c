"""Issues as Markdown: a title, a body, and optional front matter (`id`, `title`, `depends_on`, `priority`, `estimate`, `flag`)."""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from adw.errors import Misuse
from adw.model import URGENT, Issue, one_line

KNOWN = {"id", "title", "depends_on", "priority", "estimate", "flag"}
PASTED = "pasted"  # the id of a text that names none
LARGEST = 200_000  # characters: what a prompt bears
FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
NUMBER = r"(\d{1,6}(?:\.\d{1,6})?)"
DURATION = re.compile(rf"(?=\d)(?:{NUMBER}h)? *(?:{NUMBER}m)? *(?:{NUMBER}s)?", re.ASCII)


def read_all(names: Sequence[str]) -> list[Issue]:
    """The issues of files, of folders (their `*.md`, by name), and of standard input (`-`); Misuse names what is wrong where."""
    found: list[Issue] = []
    for name in names:
        if name == "-":
            found.append(parse(sys.stdin.read(), "standard-input", "standard input"))
            continue
        path = Path(name)
        if path.is_dir():
            files = sorted(path.glob("*.md"))
            if not files:
                msg = f"there are no issues (*.md) in the folder {path}"
                raise Misuse(msg)
            found += [read(file) for file in files]
        else:
            found.append(read(path))
    return found


def read_matching(patterns: Sequence[str], root: Path) -> list[Issue]:
    """The issues of files, folders and glob patterns in a repository, each once; a folder or pattern may well hold none now.

    Misuse if a file or folder that is named is not there.
    """
    return [read(file) for file in dict.fromkeys(file for pattern in patterns for file in matching(pattern, root))]


def matching(pattern: str, root: Path) -> list[Path]:
    """The files that a name, a folder's name or a pattern means in a repository, as far as they are there; a name is taken at its word."""
    path = root / pattern
    if path.is_dir():
        return sorted(path.glob("*.md"))
    if not any(character in pattern for character in "*?["):
        return [path]
    return sorted(file for file in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if file.is_file())


def parse_pasted(text: str) -> Issue:
    """The issue of a text without a file: its id is by default made from its title and its text."""
    issue = parse(text, PASTED, "the issue's text")
    if issue.id != PASTED:
        return issue
    readable = re.sub(r"[^a-z0-9]+", "-", issue.title.lower()).strip("-")[:40]
    return replace(issue, id=f"{readable or 'issue'}-{issue.digest[:6]}")


def read(path: Path) -> Issue:
    """The issue of a file; its id is by default the file's stem."""
    try:
        return parse(path.read_text(encoding="utf-8"), path.stem, str(path))
    except FileNotFoundError:
        msg = f"there is no issue file {path}"
        raise Misuse(msg) from None
    except (OSError, UnicodeDecodeError) as no:
        msg = f"cannot read the issue {path}: {no}"
        raise Misuse(msg) from no


def parse(text: str, name: str, where: str) -> Issue:
    """The issue of a text."""
    if len(text) > LARGEST:
        msg = f"{where} is too large for an issue ({len(text):,} characters, {LARGEST:,} at most): shorten it, or name files of the repository instead"
        raise Misuse(msg)
    front, body = front_matter(text.removeprefix("\ufeff"), where)
    heading = re.match(r"\s*#(?:[ \t]+(.*))?$", body, re.MULTILINE)
    if heading:
        body = body[heading.end() :]
    first = heading.group(1) or "" if heading else next((line for line in body.splitlines() if line.strip()), "")
    title = one_line(str(front.get("title") or first))
    if not title:
        msg = f"{where} is empty: an issue needs a title (its first line, as in `# Add retry`)"
        raise Misuse(msg)
    identifier = str(name if front.get("id") is None else front["id"]).strip()
    if not identifier or one_line(identifier) != identifier:
        msg = f"{where}: the id {identifier!r} must be one line of printable characters"
        raise Misuse(msg)
    return Issue(id=identifier, title=title, body=body.strip(), **settings(front, where))


def settings(front: dict[str, Any], where: str) -> dict[str, Any]:
    """What front matter may say of an issue, by the names of its fields; Misuse if a value is none."""
    return {"depends_on": _depends(front, where), "priority": _priority(front, where), "estimate": _estimate(front, where), "flag": _flag(front, where)}


def front_matter(text: str, where: str) -> tuple[dict[str, Any], str]:
    """What a text says on top of itself in YAML, and the text below that; Misuse if it is not understood."""
    match = FRONT.match(text)
    if not match:
        return {}, text
    try:
        front = yaml.safe_load(match.group(1)) or {}
    except (yaml.YAMLError, RecursionError) as no:
        msg = f"{where}: its front matter is no YAML: {one_line(str(no))}"
        raise Misuse(msg) from no
    if not isinstance(front, dict) or (set(map(str, front)) - KNOWN):
        wrong = ", ".join(sorted(set(map(str, front)) - KNOWN)) if isinstance(front, dict) else "no keys"
        msg = f"{where}: its front matter has {wrong}; known are {', '.join(sorted(KNOWN))}"
        raise Misuse(msg)
    return front, text[match.end() :]


def _depends(front: dict[str, Any], where: str) -> tuple[str, ...]:
    given = front.get("depends_on") or []
    if isinstance(given, str | int):
        given = [given]
    if not isinstance(given, list) or not all(isinstance(one, str | int) for one in given):
        msg = f"{where}: `depends_on` must be a list of ids"
        raise Misuse(msg)
    return tuple(str(one) for one in given)


def _flag(front: dict[str, Any], where: str) -> str:
    given = front.get("flag") or ""
    if not isinstance(given, str) or not re.fullmatch(r"[\w.:/-]*", given):
        msg = f"{where}: `flag` must be the name of a feature flag: letters, digits and _ . : / -"
        raise Misuse(msg)
    return given


def _priority(front: dict[str, Any], where: str) -> int:
    given = front.get("priority", 0)
    if given == "urgent":
        return URGENT
    if not isinstance(given, int) or isinstance(given, bool):
        msg = f"{where}: `priority` must be a whole number (more is sooner), or `urgent`"
        raise Misuse(msg)
    return given


def _estimate(front: dict[str, Any], where: str) -> float:
    given = front.get("estimate")
    if given is None:
        return 0.0
    match = DURATION.fullmatch(given) if isinstance(given, str) else None
    seconds = sum(float(part or 0) * each for part, each in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0.0
    if not seconds:
        msg = f"{where}: `estimate` must be a time such as 2h, 30m, or 1h30m (it is {given!r})"
        raise Misuse(msg)
    return seconds
