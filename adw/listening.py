"""Follows what an agent prints while it works: its transcript, what it does now, and what it spends."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO

from adw.agents.base import Reader
from adw.desk import Desk
from adw.journal import Journal
from adw.model import Order
from adw.money import Spent, spent
from adw.slot import Watch

MB = 1_000_000


def hidden(text: str, secrets: Iterable[str]) -> str:
    """A text without secrets, also as they look inside of JSON."""
    for secret in filter(None, secrets):
        for shape in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(shape, "***")
    return text


class Listener:
    """Reads an agent's output as it grows. `proc.kept` calls it each half second, and cuts the agent if it gives a reason.

    The agent writes to a file of the slot's, so that nothing breaks when adw dies; what is kept is a copy without secrets.
    """

    def __init__(self, raw: Path, log: Path, reader: Reader, secrets: Iterable[str], limits: "Limits") -> None:  # noqa: PLR0913, RUF100
        self._raw, self._log, self._reader, self._secrets, self._limits = raw, log, reader, tuple(secrets), limits
        self._position, self._rest = 0, b""
        self._doing = ""

    def __call__(self) -> str:
        """Take in what is new; a reason to cut the agent, or nothing."""
        self._take(self._new())
        self._limits.count(self._reader)
        if self._reader.doing != self._doing:
            self._doing = self._reader.doing
            self._limits.tell(hidden(self._doing, self._secrets))
        return self._limits.over(self._position)

    def end(self) -> None:
        """Take in the rest, once the agent has ended."""
        self._take(self._new() + (b"\n" if self._rest else b""))
        if self._rest:
            self._take(b"\n")
        self._limits.count(self._reader)

    def _new(self) -> bytes:
        with self._raw.open("rb") as file:
            file.seek(self._position)
            found = file.read()
        self._position += len(found)
        return found

    def _take(self, found: bytes) -> None:
        """Hand whole lines on; the beginning of one waits for its end."""
        *lines, self._rest = (self._rest + found).split(b"\n")
        if not lines:
            return
        with self._log.open("a", encoding="utf-8") as out:
            self._write(out, lines)

    def _write(self, out: IO[str], lines: list[bytes]) -> None:
        for line in lines:
            text = hidden(line.decode(errors="replace").rstrip("\r"), self._secrets)
            out.write(text + "\n")
            self._reader.take(text)


class Limits:
    """What an agent may use in one piece of work, and how much of it that is."""

    def __init__(self, desk: Desk, journal: Journal, order: Order, watch: Watch, *, output_mb: float, usd: float, counted: bool) -> None:  # noqa: PLR0913 - it is a record
        self._desk, self._journal, self._order, self._watch = desk, journal, order, watch
        self._output_mb, self._usd = output_mb, usd
        self._counted = counted  # by the gateway, more exactly
        self._spent = Spent()

    def count(self, reader: Reader) -> None:
        """Count what the agent says it spent since the last time."""
        if self._counted:
            return
        now = sum((spent(self._desk.prices, model, tokens) for model, tokens in reader.spent.items()), Spent())
        if now.unpriced and reader.usd:
            now = replace(now, usd=max(now.usd, reader.usd), unpriced=0)
        if now != self._spent:
            self._desk.count(self._order, ", ".join(sorted(reader.spent)), now - self._spent)
            self._spent = now

    def tell(self, doing: str) -> None:
        """Say what the agent does now."""
        self._journal.event("doing", **self._order.fields, doing=doing)

    def over(self, printed: int) -> str:
        """Why the agent must be cut, or nothing."""
        if printed > self._output_mb * MB:
            return f"it printed more than {self._output_mb:g} MB (agent.output_mb in adw.toml)"
        if self._usd and self._spent.usd > self._usd:
            return f"it cost more than ${self._usd:g} in this phase (agent.usd in adw.toml)"
        return self._desk.ledger.over(self._order.issue) or self._watch()
