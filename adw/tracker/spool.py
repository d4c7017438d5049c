"""What is still to be sent to the tracker, in one SQLite file for each repository on this host.

Each card is in it once, in its newest state, from the moment that it is known until the tracker has it: so what a run leaves that
is killed, or whose tracker is away, is sent by whichever run comes next.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from adw.database import discard
from adw.tracker.model import Card

FILE = "spool-1.db"  # the number is that of the form
PATIENCE = 10.0  # seconds for others to end their transaction

T = TypeVar("T")


class Spool:
    """Of one repository, for one thread. Each step is a transaction, as several processes may be at it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base: sqlite3.Connection | None = None

    def put(self, cards: Iterable[Card]) -> None:
        """Have cards sent, instead of what was to be sent of them before."""
        rows = [(card.name, _text(card)) for card in cards]
        self._do(lambda base: base.executemany("INSERT OR REPLACE INTO cards VALUES (?, ?)", rows))

    def waiting(self) -> list[Card]:
        """What is to be sent: issues first, so that a tracker that is slow shows these."""
        if not (self._folder / FILE).exists():
            return []
        found = self._do(lambda base: base.execute("SELECT card FROM cards ORDER BY rowid").fetchall())
        return sorted((Card(**json.loads(text)) for (text,) in found), key=lambda card: bool(card.phase))

    def get(self, name: str) -> Card | None:
        """The newest state of a card that is to be sent; None if there is nothing to send any more."""
        row = self._do(lambda base: base.execute("SELECT card FROM cards WHERE name = ?", [name]).fetchone())
        return Card(**json.loads(row[0])) if row else None

    def done(self, card: Card) -> None:
        """A card has been sent; what has become of it meanwhile is still to be sent."""
        self._do(lambda base: base.execute("DELETE FROM cards WHERE name = ? AND card = ?", [card.name, _text(card)]))

    def close(self) -> None:
        """Let go of the file."""
        if self._base:
            self._base.close()
        self._base = None

    def _do(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """Do a step; once more without the file if it is damaged: what it held is lost, and the tracker is a mirror."""
        try:
            return self._once(step)
        except sqlite3.OperationalError:
            raise  # locked, or no room: not damaged
        except sqlite3.DatabaseError:
            self.close()
            discard(self._folder / FILE)
            return self._once(step)

    def _once(self, step: Callable[[sqlite3.Connection], T]) -> T:
        self._base = self._base or _opened(self._folder)
        with self._base:
            return step(self._base)


def _opened(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(folder / FILE, timeout=PATIENCE)
    try:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last seconds, a kill nothing
        base.execute("CREATE TABLE IF NOT EXISTS cards (name TEXT PRIMARY KEY, card TEXT NOT NULL)")
    except BaseException:
        base.close()
        raise
    return base


def _text(card: Card) -> str:
    return json.dumps(asdict(card), ensure_ascii=False)
