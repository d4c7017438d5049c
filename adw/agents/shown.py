"""What transcripts look like to people: text as it is, the use of a tool in a line, the beginning of what it gave, the end."""

from collections.abc import Iterable

from adw.model import one_line

SHOWN_LINES = 4  # of what a tool gave
WIDTH = 160  # characters of a line


def uses(tool: str, about: str) -> str:
    """The use of a tool."""
    return one_line(f"→ {tool} {about}")[:WIDTH]


def gave(text: str, *, failed: bool = False) -> str:
    """The beginning of what a tool gave."""
    lines = [*(["failed:"] if failed else []), *text.strip().splitlines()]
    more = len(lines) - SHOWN_LINES
    return "\n".join(f"    {line[:WIDTH]}" for line in [*lines[:SHOWN_LINES], *([f"… {more} more lines"] if more > 0 else [])])


def ended(said: str = "", *, error: str = "") -> str:
    """How it ended, with a word to it."""
    return f"\nended with an error: {error}" if error else f"\nended{said and ': '}{said}"


def joined(parts: Iterable[str]) -> str:
    """Those parts that say something, each on lines of its own."""
    return "\n".join(filter(None, parts))
