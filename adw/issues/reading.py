"""Issues by their names or by a label, wherever they are."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from adw.config import Config
from adw.errors import Declined, Misuse
from adw.github.client import Token, reached
from adw.github.forge import Forge
from adw.github.tags import Tags
from adw.issues import markdown, names, outside
from adw.issues.board import Board, Ticket
from adw.issues.github import GitHubBoard
from adw.issues.gitlab import GitLabBoard
from adw.issues.trust import doubt
from adw.mirror import Hub
from adw.model import Issue

BOARDS: dict[str, Callable[..., Board]] = {"GitHub": GitHubBoard, "GitLab": GitLabBoard}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where issues are asked for, for a repository."""

    hub: Hub
    config: Config
    tokens: Mapping[str, Token]  # for each kind of forge
    landed: Callable[[], Mapping[str, str]]  # the issues that are done
    tell: outside.Tell

    def named(self, given: Sequence[str]) -> list[Issue]:
        """The issues of names, in their order, each once; Misuse says what is wrong with one. Whoever names an issue vouches for it."""
        meant = [(name, names.meaning(name, self.hub, self.config)) for name in given]
        found: list[Issue] = []
        with ExitStack() as stack:
            boards = {one.forge: stack.enter_context(self._at(one.forge)) for one in dict.fromkeys(one for _, one in meant) if one}
            for name, one in meant:
                if one is None:
                    found += markdown.read_all([name])
                elif (ticket := boards[one.forge].ticket(one.number)).id not in {issue.id for issue in found}:
                    found += self._by_hand(boards[one.forge], ticket)
            found = self._waiting(boards.values(), found)
        if not found:
            msg = f"{' and '.join(given)}: closed, and nothing else is asked for: reopen what is to be done"
            raise Misuse(msg)
        return found

    def labelled(self, label: str) -> list[Issue]:
        """The open issues of the repository's own remote that have a label, as far as they are to be trusted; the others are told, and why."""
        forge = names.own(self.hub, self.config)
        if forge is None:
            msg = f"issues with the label {label!r} are looked for at the repository's remote {self.config.landing.remote!r}, which is at no forge: see landing.remote, github.api_url"
            raise Misuse(msg)
        with self._at(forge) as board:
            found = [issue for ticket in board.labelled(label) for issue in self._by_label(board, ticket, label)]
            return self._met(self._waiting([board], found))

    @contextmanager
    def _at(self, forge: Forge) -> Iterator[Board]:
        with reached(forge, self.tokens[forge.kind], Tags(self.hub.place.answers), self.tell) as client:
            try:
                yield BOARDS[forge.kind](client)
            except Declined as no:
                raise Misuse(str(no)) from no

    def _by_hand(self, board: Board, ticket: Ticket) -> list[Issue]:
        if not ticket.open:
            self.tell(f"{ticket.id} is closed, and left out: reopen it to have it done")
            return []
        if not board.may_write(ticket.author):
            self.tell(f"{ticket.id} is by {ticket.author or 'somebody who is gone'}, who may not write to {board.repository}: by naming it you vouch for it")
        return [outside.issue(board, ticket, self.tell)]

    def _by_label(self, board: Board, ticket: Ticket, label: str) -> list[Issue]:
        if why := doubt(board, ticket, label):
            self.tell(f"{ticket.id} is not taken: {why}")
            return []
        return [outside.issue(board, ticket, self.tell)]

    def _waiting(self, boards: Iterable[Board], found: Sequence[Issue]) -> list[Issue]:
        """The issues, without what they depend on that is closed, or that is no issue."""
        asked = {issue.id for issue in found}
        return [replace(issue, depends_on=tuple(one for one in issue.depends_on if one in asked or self._is_open(boards, issue, one))) for issue in found]

    def _is_open(self, boards: Iterable[Board], issue: Issue, needed: str) -> bool:
        number = int(needed.rpartition("#")[2]) if re.search(r"#\d{1,9}$", needed, re.ASCII) else 0
        for board in boards:
            if number and board.id(number) == needed:
                try:
                    return board.ticket(number).open
                except Misuse as no:
                    self.tell(f"{issue.id} does not wait for what it says that it depends on: {no}")
                    return False
        return True  # for all that is known

    def _met(self, found: list[Issue]) -> list[Issue]:
        """Those that depend on no issue but what is among them, or has landed; the others are told."""
        while True:
            there = {issue.id for issue in found}
            open_ = {needed for issue in found for needed in issue.depends_on} - there
            missing = open_ - self.landed().keys() if open_ else set()
            late = [issue for issue in found if missing & set(issue.depends_on)]
            if not late:
                return found
            for issue in late:
                self.tell(f"{issue.id} is not taken yet: it depends on {', '.join(sorted(missing & set(issue.depends_on)))}, open, and not to be taken")
            found = [issue for issue in found if issue not in late]
