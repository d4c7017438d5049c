"""What GitHub answered, by its ETags: an answer of 304, that nothing has changed, costs nothing of the rate limit.

A file of SQLite, which runs of the same repository may use at once. Losing it costs a few requests. (Hishel keeps such answers,
too, but with the requests, and so with the token, in its file.)
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from adw.database import discard

TABLE = "CREATE TABLE IF NOT EXISTS answers (url TEXT PRIMARY KEY, tag TEXT, next TEXT, body BLOB, kept REAL)"
LASTS = 30 * 24 * 3600  # seconds
LARGEST = 2_000_000  # bytes of an answer that is kept
BUSY = 2.0  # seconds to wait for another process


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: its tag, its body, and where the next page is."""

    tag: str
    next: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Tags:
    """The file. One that cannot be read or written is as good as none."""

    file: Path

    def find(self, url: str) -> Answer | None:
        """What was answered last."""
        with suppress(sqlite3.Error), self._open() as db:
            row = db.execute("SELECT tag, next, body FROM answers WHERE url = ?", [url]).fetchone()
            return Answer(*row) if row else None
        return None

    def keep(self, url: str, answer: Answer) -> None:
        """Have it found the next time; what nobody has asked for in a month goes."""
        if not answer.tag or len(answer.body) > LARGEST:
            return
        with suppress(sqlite3.Error), self._open() as db:
            db.execute("REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", [url, answer.tag, answer.next, answer.body, time.time()])
            db.execute("DELETE FROM answers WHERE kept < ?", [time.time() - LASTS])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=BUSY)) as db, db:
                db.execute(TABLE)
                yield db
        except sqlite3.DatabaseError as no:
            if type(no) is sqlite3.DatabaseError:  # it is no database; that it is locked or full are others, below it
                discard(self.file)
            raise
