"""What issues have cost in earlier runs, from the journals that are kept."""

import json
from collections.abc import Iterator
from contextlib import suppress

from adw import clean
from adw.home import Place
from adw.journal import Journal
from adw.money import Spent

LOOKED_AT = 200  # runs, the newest
SIGN = b'"event": "spent"'  # only the lines that have it are parsed: a run may have tens of thousands


def earlier(place: Place, run: str) -> dict[str, Spent]:
    """What each issue cost in all runs of a repository but one."""
    found: dict[str, Spent] = {}
    for journal in clean.journals(place)[:LOOKED_AT]:
        for issue, spent in _spent(journal) if journal.folder.name != run else ():
            found[issue] = found.get(issue, Spent()) + spent
    return found


def _spent(journal: Journal) -> Iterator[tuple[str, Spent]]:
    with suppress(FileNotFoundError), journal.file.open("rb") as lines:
        for line in lines:
            if SIGN in line:
                with suppress(ValueError):  # cut off by a crash
                    event = json.loads(line)
                    yield event["issue"], Spent.of(event)
