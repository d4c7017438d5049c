"""What skills have found, by all that decides it: one SQLite file for each repository on this host.

It is only ever what can be found again. So a file that is damaged is thrown away; and where it cannot be read or written, nothing is
known, and nothing is kept.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from adw.database import discard
from adw.skills.finding import Finding, Ran, Table

FILE = "results-1.db"  # the number is that of the form
DAYS = 60  # after which a result is found anew: so that the file does not only grow
NONE = "[]"
MANY = 500  # keys that are asked for at once
TABLES = 20  # whole tables that are kept: of a large tree one has megabytes


@dataclass(frozen=True, slots=True)
class Results:
    """The results of the skills of one repository."""

    folder: Path

    @property
    def file(self) -> Path:
        """The database."""
        return self.folder / FILE

    def known(self, keys: Iterable[str]) -> dict[str, list[Finding]]:
        """What is known of these keys."""
        wanted, rows = list(keys), list[tuple[str, str]]()
        try:
            with closing(self._open()) as base:
                for start in range(0, len(wanted), MANY):
                    some = wanted[start : start + MANY]
                    rows += base.execute(f"SELECT key, findings FROM results WHERE key IN ({', '.join('?' * len(some))})", some)  # noqa: S608 - of question marks
            return {key: [Finding(*each) for each in json.loads(text)] if text != NONE else [] for key, text in rows}
        except (sqlite3.Error, OSError, ValueError, TypeError) as no:
            self._doubt(no)
            return {}

    def keep(self, results: Mapping[str, Iterable[Finding]]) -> None:
        """Keep what was found: all of it, or nothing."""
        now = time.time()
        rows = [(key, json.dumps([_plain(f) for f in found]), now) for key, found in results.items()]
        for _ in range(2):  # the second time without a file that is damaged
            try:
                with closing(self._open()) as base, base:
                    base.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
                    base.execute("DELETE FROM results WHERE at < ?", [now - DAYS * 86400])
            except (sqlite3.Error, OSError) as no:
                if not self._doubt(no):
                    return
            else:
                return

    def table(self, key: str) -> Table | None:
        """The whole table that is kept by this key; it is told that all of it was known."""
        if not self.file.exists():
            return None
        try:
            with closing(self._open()) as base:
                for (text,) in base.execute("SELECT told FROM tables WHERE key = ?", [key]):
                    findings, troubles, ran = json.loads(text)
                    return Table(
                        tuple(Finding(*each) for each in findings),
                        tuple(Finding(*each) for each in troubles),
                        tuple(Ran(name, known=files) for name, files in ran),
                    )
        except (sqlite3.Error, OSError, ValueError, TypeError) as no:
            self._doubt(no)
        return None

    def keep_table(self, key: str, table: Table) -> None:
        """Keep a whole table, in place of the oldest one, if there are many."""
        findings, troubles = ([_plain(finding) for finding in part] for part in (table.findings, table.troubles))
        told = json.dumps([findings, troubles, [[ran.name, ran.looked + ran.known] for ran in table.ran]])
        try:
            with closing(self._open()) as base, base:
                base.execute("INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", [key, told, time.time()])
                base.execute("DELETE FROM tables WHERE key NOT IN (SELECT key FROM tables ORDER BY at DESC LIMIT ?)", [TABLES])
        except (sqlite3.Error, OSError) as no:
            self._doubt(no)

    def _open(self) -> sqlite3.Connection:
        self.folder.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(self.file, timeout=10)
        try:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=NORMAL")
            base.execute("CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, findings TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID")
            base.execute("CREATE INDEX IF NOT EXISTS by_age ON results (at)")  # what is old is removed each time that something is kept
            base.execute("CREATE TABLE IF NOT EXISTS tables (key TEXT PRIMARY KEY, told TEXT NOT NULL, at REAL NOT NULL)")
        except BaseException:
            base.close()
            raise
        return base

    def _doubt(self, no: Exception) -> bool:
        """Throw the file away if it is damaged; one that is locked, or has no room, is not. Returns whether it was."""
        if isinstance(no, OSError | sqlite3.OperationalError):
            return False
        discard(self.file)
        return True


def _plain(finding: Finding) -> list[object]:
    return [finding.source, finding.file, finding.line, finding.severity, finding.message]
