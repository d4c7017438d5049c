"""What an agent's CLI keeps of its work on a phase, so that one that was interrupted goes on instead of beginning anew.

A folder for each issue and phase on this host, with

    session.json   whose session it is, and how far it came
    agent/         the CLI's own configuration and sessions

The files that it had written are pinned by the pool (`refs/adw/<issue>/rescued-N`), with the lease in the commit's message: both
together are the interrupted work. Once the phase has a result, the folder goes.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adw.home import Place
from adw.mirror import Source
from adw.model import Order

LEASE = "Adw-Lease"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How far an agent came with a phase."""

    agent: str  # its identity
    base: str  # the commit that it began at
    lease: str = ""  # in which it works, or worked last
    id: str = ""  # by which its CLI knows it; empty as long as that is not known
    prompt: str = ""  # the digest of what it was asked
    said: str | None = None  # its answer, once it had ended well
    answer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the session of one phase is kept."""

    folder: Path

    @classmethod
    def of(cls, place: Place, order: Order) -> "Shelf":
        """The one of a phase of an issue."""
        return cls(place.sessions / order.issue_key / order.phase)

    @property
    def agent(self) -> Path:
        """The folder of the agent's CLI."""
        return self.folder / "agent"

    def read(self) -> Session | None:
        """The session that is kept; None if there is none."""
        try:
            return Session(**json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, session: Session) -> None:
        """Keep a session."""
        self.agent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole = self._file.with_suffix(".new")
        whole.write_text(json.dumps(asdict(session), ensure_ascii=False), encoding="utf-8")
        whole.rename(self._file)

    def begin(self, session: Session) -> None:
        """Keep a new session instead of whatever there was."""
        self.forget()
        self.write(session)

    def forget(self) -> None:
        """Throw the session away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _file(self) -> Path:
        return self.folder / "session.json"


def rescued(hub: Source, issue_key: str, lease: str) -> str | None:
    """The commit that holds what the holder of a lease had written when it was interrupted; None if it had written nothing."""
    found = hub.found(f"refs/adw/{issue_key}/rescued-*")
    return next((sha for sha in found.values() if f"\n{LEASE}: {lease}" in hub.mirror.message(sha)), None)
