"""Memories in one SQLite file, found by their words (FTS5, BM25): the vector store below the lexical memory, in Mem0's terms.

Several processes of one host may use it at once: each step is a transaction on a connection of its own, in WAL mode. What
was acknowledged is on the disk.
"""

import json
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from adw import lock
from adw.database import PARTS
from adw.memory.model import Damaged, Stale

SCHEMA = (
    "PRAGMA journal_mode=WAL",
    """CREATE TABLE IF NOT EXISTS memory(
        n INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, scope TEXT NOT NULL, key TEXT, version INTEGER, payload TEXT NOT NULL, UNIQUE(scope, key))""",
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, tokenize='porter unicode61')",
)
COLUMNS = {"user_id": "scope", "key": "key", "version": "version"}  # of what is in the payload, too
TESTS = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
PATIENCE = 5.0  # seconds for others to end their transaction
ASKED = 64  # words of a question
COMMON = frozenset(  # nearly every text has them: looking for them takes time, and finds nothing
    re.findall(
        r"\w+",
        """a about all also an and any are as at be been but by can do does for from has have how i if in into is it its may more must no not of on or
        other should so such than that the their them then there these they this to use used was we were what when where which will with would you your""",
    )
)


class Place(BaseModel):
    """Where the file is."""

    path: str
    collection_name: str = "memory"  # a file each: Mem0 makes a second one, for entities, where spaCy is installed


class NoModel:
    """Embedder and LLM of Mem0 in one, which need neither network nor key: words are looked up as they are."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def embed(self, _text: str, _action: str | None = None) -> list[float]:
        """Nothing: the words themselves are what is searched for."""
        return []

    embed_batch = embed


class Fts:
    """The file; it has what Mem0's `VectorStoreBase` asks for, without importing Mem0."""

    def __init__(self, path: str, collection_name: str) -> None:
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / f"{collection_name}.sqlite"
        self._lock = self._file.with_suffix(".lock")  # shared by who uses the file, and held alone by who makes a new one
        self._run(alone=True)

    def insert(self, vectors: Any, payloads: Sequence[dict[str, Any]] = (), ids: Sequence[str] = ()) -> None:  # noqa: ARG002 - Mem0's own signatures, here and below
        """Keep new ones. sqlite3.IntegrityError if the key is known in its scope."""
        for name, kept in zip(ids, payloads, strict=True):
            row = (name, kept["user_id"], kept.get("key"), kept.get("version"), json.dumps(kept))
            self._run(
                ("INSERT INTO memory(id,scope,key,version,payload) VALUES(?,?,?,?,?)", *row),
                ("INSERT INTO words(rowid,text) VALUES(last_insert_rowid(),?)", plain(kept["data"])),
            )

    def update(self, vector_id: str, vector: Any = None, payload: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Write one whose version is the one before the new one; else Stale."""
        kept = payload or {}
        new = kept.get("version")
        self._run(
            ("UPDATE memory SET payload=?, version=?, key=? WHERE id=? AND version IS ?", json.dumps(kept), new, kept.get("key"), vector_id, new and new - 1),
            ("UPDATE words SET text=? WHERE rowid = (SELECT n FROM memory WHERE id = ?)", plain(kept["data"]), vector_id),
        )

    def delete(self, vector_id: str) -> None:
        """Remove one."""
        self._run(("DELETE FROM words WHERE rowid = (SELECT n FROM memory WHERE id = ?)", vector_id), ("DELETE FROM memory WHERE id=?", vector_id))

    def get(self, vector_id: str) -> Any:
        """One by its id; None if there is none."""
        return next((_row(*row) for row in self._run(("SELECT id,payload FROM memory WHERE id=?", vector_id))), None)

    def list(self, filters: Mapping[str, Any] | None = None, top_k: int | None = None) -> Any:
        """Those that pass the filters, the newest first."""
        sql, args = _where(filters)
        found = f"SELECT id,payload FROM memory WHERE 1{sql} ORDER BY n DESC LIMIT ?"  # noqa: S608 - values are arguments, here and below
        return [[_row(*row) for row in self._run((found, *args, top_k or -1))]]

    def search(self, query: str, vectors: Any, top_k: int = 5, filters: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002
        """Those that share words with a text, by BM25, and pass the filters."""
        sql, args = _where(filters)
        words = [word for word in dict.fromkeys(re.findall(r"\w+", plain(query).lower())) if len(word) > 1 and word not in COMMON]
        match = " OR ".join(f'"{word}"' for word in words[:ASKED]) or '""'
        found = f"SELECT id,payload,-bm25(words) FROM words JOIN memory ON n=words.rowid WHERE words MATCH ?{sql} ORDER BY rank LIMIT ?"  # noqa: S608
        return [_row(name, payload, score / (score + 5)) for name, payload, score in self._run((found, match, *args, top_k))]

    def keyword_search(self, query: str, top_k: int = 5, filters: Mapping[str, Any] | None = None) -> None:
        """Nothing more than `search` finds."""

    def reset(self) -> None:
        """Remove all."""
        self._run(("DELETE FROM words",), ("DELETE FROM memory",))

    delete_col = reset

    def create_col(self, name: str, vector_size: int, distance: str) -> None:
        """Nothing: the file is made when it is opened."""

    def list_cols(self) -> Any:
        """The one there is."""
        return [self._file.stem]

    def col_info(self) -> dict[str, str]:
        """Where it is."""
        return {"path": str(self._file)}

    def _run(self, *steps: tuple[Any, ...], alone: bool = False) -> Any:
        """Take steps in one transaction; what the last one found. Damaged if the file is; then there is a new one."""
        opened = 0
        try:
            with lock.held(self._lock) if alone else lock.shared(self._lock):
                opened = _inode(self._file)
                return self._make() if alone else self._take(steps)
        except sqlite3.DatabaseError as no:
            if type(no) is not sqlite3.DatabaseError:  # that it is locked, full or not unique are others, below it
                raise
            raise Damaged(self._begin_anew(opened, no)) from no

    def _take(self, steps: Sequence[tuple[Any, ...]]) -> Any:
        with closing(sqlite3.connect(self._file, timeout=PATIENCE)) as db, db:
            for sql, *args in steps:
                cursor = db.execute(sql, args)
                if sql.startswith("UPDATE memory") and not cursor.rowcount:
                    raise Stale(args[3])
            return cursor.fetchall()

    def _make(self) -> None:
        """Make what is not there; under the lock, as of several who begin at once each would find half of it."""
        self._take([(sql,) for sql in SCHEMA])

    def _begin_anew(self, opened: int, no: Exception) -> str:
        """Move the damaged file aside, unless another has, and make an empty one; says so."""
        aside = self._file.with_name(f"{self._file.stem}-damaged-{time.time_ns()}")
        with lock.held(self._lock):
            if _inode(self._file) == opened:
                for end in PARTS:
                    part = self._file.with_name(self._file.name + end)
                    if part.exists():
                        part.rename(aside.with_name(aside.name + end))
                self._make()
        return f"the memory in {self._file} was damaged ({no}); it was moved to {aside}, and a new one is begun"


def plain(text: str) -> str:
    """A text with the words of its names apart: `snake_case` and `camelCase` are two each."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ")


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0


def _row(name: str, payload: str, score: float | None = None) -> Any:
    return SimpleNamespace(id=name, payload=json.loads(payload), score=score)


def _where(filters: Mapping[str, Any] | None) -> tuple[str, list[Any]]:
    """Filters as SQL, all of which must hold. One that is not known is a KeyError or sqlite3.Error, and never a wider answer."""
    sql, args = "", []
    for name, wanted in (filters or {}).items():
        for test, value in (wanted if isinstance(wanted, dict) else {"eq": wanted}).items():
            if name in COLUMNS:
                sql += f" AND {COLUMNS[name]} {TESTS[test]} ?"
                args.append(value)
            else:
                sql += f" AND json_extract(payload, '$.' || ?) {TESTS[test]} ?"
                args += [json.dumps(name), value]
    return sql, args
