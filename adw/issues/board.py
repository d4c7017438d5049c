"""The port to a forge's issues: what it tells, and what it is asked, for one repository."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An issue as a forge tells of it. Nothing of it is trusted."""

    id: str  # the canonical one, however it was named
    number: int
    title: str
    body: str
    author: str  # empty if the account is gone
    open: bool
    labels: tuple[str, ...] = ()
    remarks: int = 0  # how many comments there are


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment."""

    author: str  # empty if it is a program's, or the account is gone
    text: str


@dataclass(frozen=True, slots=True)
class Doing:
    """Something that was done to an issue: by whom (empty if the account is gone), and when."""

    who: str
    when: datetime


class Board(Protocol):
    """The issues of a repository at a forge. HubAway while it does not answer, Declined if it says no."""

    @property
    def repository(self) -> str:
        """The repository's name there."""

    def id(self, number: int) -> str:
        """The canonical id of one of its issues."""

    def ticket(self, number: int) -> Ticket:
        """An issue; Misuse, with what is the matter, if there is none of that number."""

    def labelled(self, label: str) -> Sequence[Ticket]:
        """All that are open and have a label, the oldest first."""

    def remarks(self, ticket: Ticket) -> Sequence[Remark]:
        """The comments, the oldest first."""

    def may_write(self, person: str) -> bool:
        """Whether a person may write to the repository."""

    def set_by(self, ticket: Ticket, label: str) -> Doing | None:
        """Who set a label last; None if that is not known."""

    def changes(self, ticket: Ticket) -> Sequence[Doing]:
        """Who changed an issue's title or text, as far back as is known, which is at least all that was done lately."""
