"""A memory, and what a store of them can do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

from adw.errors import AdwError
from adw.model import digest

Kind = Literal["decision", "failure", "convention", "command", "file"]
Source = Literal["adw", "agent", "person"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DAY = 24 * 3600
LASTS: dict[Kind, int] = {"decision": 90 * DAY, "failure": 30 * DAY, "convention": 90 * DAY, "command": 30 * DAY, "file": 3600}  # seconds
FOREVER = 9e9  # as an end: the year 2255
LONGEST = 2000  # characters of a memory
CHARACTERS = 4  # of a token, about
TRIES = 20  # at a memory that others write, too


class Stale(AdwError):
    """Somebody wrote this memory after it was read: read it again, and retry."""


class Damaged(AdwError):
    """The file of the memories was damaged; it was moved aside, and the memory is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Something to know about a repository. Who said it is never forgotten: what an agent wrote is nobody's word."""

    text: str
    kind: str
    source: Source = "adw"  # who said so
    about: str = ""  # the issue that it comes from
    files: Mapping[str, str] = field(default_factory=dict)  # what it is about: path → blob; it is out of date when one changes
    name: str = ""  # by which the fact is known; else by its text
    expires_at: float = FOREVER
    id: str = ""
    version: int = 1  # as it was read
    created: str = ""

    @property
    def key(self) -> str:
        """The same fact has the same one."""
        return digest(self.kind, self.name or " ".join(self.text.casefold().split()))

    @property
    def tokens(self) -> int:
        """About as many tokens as it takes in a prompt."""
        return len(self.text) // CHARACTERS + 20

    def metadata(self) -> dict[str, Any]:
        """What is kept of it beside its text: flat, as some stores want it."""
        return {
            "kind": self.kind,
            "key": self.key,
            "version": self.version,
            "expires_at": self.expires_at,
            "source": self.source,
            "about": self.about,
            "files": json.dumps(dict(self.files), sort_keys=True),
            "name": self.name,
        }

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Memory":
        """A memory as Mem0 gives it back."""
        kept = found["metadata"]
        plain = {name: kept[name] for name in ("kind", "source", "about", "name", "expires_at", "version")}
        return cls(id=found["id"], text=found["memory"], files=json.loads(kept["files"]), created=str(found.get("created_at") or ""), **plain)


class Store(Protocol):
    """The memories of one repository."""

    def recall(self, query: str, most: int) -> list[Memory]:
        """Those that fit a text best, the best first; none that has expired."""

    def add(self, memory: Memory) -> bool:
        """Keep a new one; False if the fact is known, also if what is known has expired."""

    def known(self, key: str) -> Memory | None:
        """The memory of a fact, also one that has expired."""

    def update(self, memory: Memory) -> None:
        """Write another text, or other facts, into one as it was read. Stale if it is not as it was read any more."""

    def entries(self, kind: str = "") -> list[Memory]:
        """All that have not expired, of one kind or of all, the newest first."""

    def forget(self, memory: Memory) -> None:
        """Remove one."""

    def purge(self) -> int:
        """Remove all that have expired; returns how many."""

    def clear(self) -> None:
        """Remove all."""


def keep(store: Store, memory: Memory, now: float) -> bool:
    """See to it that a fact is known; whether anything was written for that.

    One that is known stays as it is, so that an agent that repeats what it was told does not make it last; unless it has
    expired, or it is about files that have changed since.
    """
    for _ in range(TRIES):
        if store.add(memory):
            return True
        known = store.known(memory.key)
        if known is None:
            continue  # forgotten in between
        if known.expires_at > now and known.files == memory.files:
            return False
        try:
            store.update(replace(memory, id=known.id, version=known.version))
        except Stale:
            continue
        return True
    return False


def within(memories: Sequence[Memory], most: int, tokens: int) -> Iterator[Memory]:
    """As many of them as may be told, from the first one on: those that would not fit are left out."""
    for memory in memories:
        if most and memory.tokens <= tokens:
            most, tokens = most - 1, tokens - memory.tokens
            yield memory
