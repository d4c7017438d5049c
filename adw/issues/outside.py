"""Issues of what a forge tells. What they say may order the work, if their authors may write to the repository, and nothing else.

There is no way from a text to configuration, commands or limits: of front matter, the keys count that an issue in a file may have.
"""

import re
from collections.abc import Callable
from typing import Any

from adw.errors import Misuse
from adw.github.comments import MARK
from adw.issues import markdown
from adw.issues.board import Board, Ticket
from adw.model import Issue, one_line

Tell = Callable[[str], object]

LONGEST = 300  # characters of a title
PRIORITIES = {"high": 10, "low": -10}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")  # what is not shown, or turns what is
# None of these looks at a character more than a few times, whatever a text is made of.
IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\(([^\s()]+)(?:[ \t]+\"[^\"\n]*\")?\)")
IMG = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)
SRC = re.compile(r"\bsrc=[\"']?([^\"'\s>]+)", re.IGNORECASE)
HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
DEPENDS = re.compile(r"^[ \t>*-]{0,40}(?:depends on|blocked by)\b(.{0,1000})", re.IGNORECASE | re.MULTILINE)
REFERENCE = re.compile(r"(?:(?P<path>[\w.-]+(?:/[\w.-]+)+))?#(?P<number>\d{1,9})\b", re.ASCII)


def issue(board: Board, ticket: Ticket, tell: Tell) -> Issue:
    """The issue of a ticket; what of it does not count is told."""
    trusted = board.may_write(ticket.author)
    body = plain(ticket.body)
    settings, body = _settings(board, ticket, body, tell) if trusted else _unheeded(board, ticket, body, tell)
    comments = [remark for remark in board.remarks(ticket) if MARK not in remark.text and board.may_write(remark.author)] if ticket.remarks else []
    text = "\n\n".join([body.strip(), *(f"---\n\nComment by {remark.author}:\n\n{plain(remark.text).strip()}" for remark in comments)]).strip()
    if len(text) > markdown.LARGEST:
        tell(f"{ticket.id} is cut to {markdown.LARGEST:,} characters, of {len(text):,}")
        text = f"{text[: markdown.LARGEST]}\n\n(cut: too long)"
    return Issue(id=ticket.id, title=one_line(ticket.title)[:LONGEST] or f"Issue {ticket.number}", body=text, **settings)


def plain(text: str) -> str:
    """A text as a person sees it, with links for images: no control characters, nor those that hide others or turn them round."""
    text = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = IMAGE.sub(lambda found: f"[{found[1] or 'image'}]({found[2]})", text)
    return IMG.sub(lambda found: f"[image]({source[1]})" if (source := SRC.search(found.group())) else "", text)


def _settings(board: Board, ticket: Ticket, body: str, tell: Tell) -> tuple[dict[str, Any], str]:
    """What an issue says of its order and size: in front matter, in lines that begin with `Depends on`, and by labels."""
    try:
        front, below = markdown.front_matter(body, ticket.id)
        settings = markdown.settings(front, ticket.id)
    except Misuse as no:
        tell(f"{no}: it does not count")
        front, below, settings = {}, body, markdown.settings({}, ticket.id)
    if {"id", "title"} & front.keys():
        tell(f"{ticket.id}: its id and title are those that it has at {board.repository}, whatever its front matter says")
    said = [reference.group() for line in DEPENDS.findall(HIDDEN.sub("", below)) for reference in REFERENCE.finditer(line)]
    needed = [_canonical(board, one) for one in [*settings["depends_on"], *said]]
    settings["depends_on"] = tuple(one for one in dict.fromkeys(needed) if one != ticket.id)
    return settings | {"priority": settings["priority"] or _priority(ticket)}, below


def _unheeded(board: Board, ticket: Ticket, body: str, tell: Tell) -> tuple[dict[str, Any], str]:
    """Nothing, with a word if more was said; and the text without what is not shown to those who read it."""
    if markdown.FRONT.match(body):
        tell(f"{ticket.id}: its front matter does not count, as {ticket.author or 'its author'} may not write to {board.repository}")
    return {}, HIDDEN.sub("", body)


def _canonical(board: Board, named: str) -> str:
    """The id of an issue that another one names: `11`, `#11`, or with its repository."""
    there = REFERENCE.fullmatch(named if "#" in named else f"#{named}")
    return board.id(int(there["number"])) if there and (there["path"] or board.repository).casefold() == board.repository.casefold() else named


def _priority(ticket: Ticket) -> int:
    """What a label such as `priority: high` says."""
    said = [re.fullmatch(r"priority[:/ ]\s*(\w+)", label.casefold()) for label in ticket.labels]
    return next((PRIORITIES[found[1]] for found in said if found and found[1] in PRIORITIES), 0)
