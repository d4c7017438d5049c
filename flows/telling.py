"""Tells GitHub how far a run is with its issues: draft pull requests, the statuses of their commits, and a comment on each issue.

It is a mirror. What is told is worked out from the journal, by a thread of its own: always the newest state, and only what GitHub
does not show yet, so that it may be killed anywhere, and what could not be told is told by the next run. Nothing waits for it.
"""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial

from adw import bill, offering, proc, proposal
from adw.errors import AdwError, Blocked, HubAway, Misuse
from adw.github.client import Client, reached
from adw.github.comments import Comment, Comments
from adw.github.forge import Forge
from adw.github.statuses import Statuses
from adw.github.tags import Tags
from adw.model import Issue, digest
from adw.money import Spent
from adw.progress import Row
from adw.telling import LANDED, Facts, at_github, comment, is_told, public, statuses
from adw.upstream import Upstream
from flows.sidings import stands_on
from flows.work import Work
from tasks.secrets import github_token

EACH = 2.0  # seconds between looks at what is new: what changes faster is told once
REST = 60.0  # seconds at most until GitHub is asked again that was away
PATIENCE = 5.0  # seconds that a request may be tried again for
FLUSH = 10.0  # seconds that the end of a run waits for what is left to be told
AT_ONCE = 1.0  # the same where somebody waits for the run to be gone
ABOUT = {"phase", "built", "outcome"}  # the events that change what is told of their issue


class Telling:
    """What is told of one run."""

    def __init__(self, work: Work) -> None:
        """Nothing is told yet."""
        self._work, self._reader = work, work.journal.reader()
        self._guard, self._over = threading.Lock(), threading.Event()
        self._new: dict[str, None] = {}  # issues of which there may be something to tell, in order
        self._told: dict[tuple[str, str], str] = {}  # what was told last: by issue, and kind
        self._pulls: dict[str, str] = {}  # the pull requests of issues
        self._comments: dict[str, Comment] = {}
        self._noted: set[str] = set()
        self._drafts = True  # whether GitHub has them for this repository

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Tell it for as long as the block lasts, and a moment longer."""
        thread = threading.Thread(target=contextvars.copy_context().run, args=[self._keep], name="telling", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(AT_ONCE if proc.stopped() else FLUSH)
            if thread.is_alive():
                self._note("GitHub has not been told all yet: the next run of these issues does that")

    def facts(self, issue: Issue) -> Facts:
        """What is known of the run, and of what it spent on an issue."""
        self._take_in()
        progress = self._reader.progress
        row = progress.rows.get(issue.id, Row(issue.title))
        return Facts(
            run=self._work.site.run,
            page=public(progress.ui),
            branch=self._work.hub.branch,
            pushed=isinstance(self._work.hub, Upstream),
            pull=row.place if row.state == "ready" else self._pulls.get(issue.id, ""),
            spent=self._earlier.get(issue.id, Spent()) + progress.spent.get(issue.id, Spent()),
            tries=row.tries,
        )

    def _keep(self) -> None:
        """Tell what is new, again and again; where GitHub is away, after a rest that gets longer."""
        rest, over = 0.0, False
        with ExitStack() as stack:
            while not over:
                over = self._over.wait(max(EACH, rest))
                self._take_in()
                try:
                    self._tell_all(partial(self._client, stack, {}))
                    rest = 0.0
                except HubAway as no:
                    self._note(f"GitHub is not told how far this is for now: {no}")
                    rest = min(REST, max(2 * rest, EACH))
                except AdwError as no:
                    self._note(f"GitHub is not told how far this is: {no}")
                    return

    def _take_in(self) -> None:
        with self._guard:
            for event in self._reader.news():
                if event["event"] in ABOUT:
                    self._new[event["issue"]] = None

    def _tell_all(self, client: Callable[[Forge], Client]) -> None:
        issues = {issue.id: issue for issue in self._work.issues}
        for name in list(self._new):
            del self._new[name]
            if issue := issues.get(name):
                try:
                    self._tell(issue, client)
                except HubAway:
                    self._new[name] = None
                    raise
                except Blocked as no:
                    self._note(f"{name} at GitHub: {no}")

    def _tell(self, issue: Issue, client: Callable[[Forge], Client]) -> None:
        row, settings = self._reader.progress.rows[issue.id], self._work.site.config.github
        if self._proposes and row.built and row.state not in {"ready", *LANDED} and self._drafts:
            self._show(issue, row, client)
        if settings.statuses and self._remote and (sha := self._at_remote(issue, row)):
            wanted, page = statuses(self._reader.progress, row), public(self._reader.progress.ui)
            with self._anew(issue, "statuses", sha, *wanted.items()) as anew:
                if anew and wanted:
                    Statuses(client(self._remote)).put(sha, wanted, page)
        if settings.comments and (place := at_github(issue)):
            self._comment(issue, row, place, client)
