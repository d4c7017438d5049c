"""Tells GitHub how far a run is with its issues: draft pull requests, the statuses of their commits, and a comment on each issue.

It is a mirror. What is told is worked out from the journal, by a thread of its own: always the newest state, and only what GitHub
does not show yet, so that it may be killed anywhere, and what could not be told is told by the next run. Nothing waits for it.
"""

import contextvars
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cached_property

from adw import bill, offering, proc, proposal
from adw.errors import AdwError, Blocked, GitBusy, GitFailed, HubAway, Interrupted, Limited, Misuse
from adw.github.client import Client, reached
from adw.github.comments import Comment, Comments
from adw.github.forge import Forge
from adw.github.statuses import Statuses
from adw.github.tags import Tags
from adw.issues import names
from adw.model import LANDED, Issue, digest
from adw.money import Spent
from adw.progress import Row
from adw.telling import Facts, at_github, comment, is_told, public, statuses
from adw.upstream import Upstream
from flows.sidings import stands_on
from flows.work import Work
from tasks.secrets import github_token

EACH = 2.0  # seconds between looks at what is new: what changes faster is told once
REST = 60.0  # seconds at most until GitHub is asked again that was away, unless it says more
PATIENCE = 5.0  # seconds that a request may be tried again for
FLUSH = 10.0  # seconds that the end of a run waits for what is left to be told
AT_ONCE = 1.0  # the same where somebody waits for the run to be gone
ABOUT = {"phase", "built", "outcome"}  # the events that change what is told of their issue


class Telling:
    """What is told of one run."""

    def __init__(self, work: Work) -> None:
        """Nothing is told yet."""
        self._work, self._reader = work, work.journal.reader()
        self._guard, self._over, self._stack = threading.Lock(), threading.Event(), ExitStack()
        self._clients: dict[str, Client] = {}  # by the repository
        self._new: dict[str, None] = {}  # issues of which there may be something to tell, in order
        self._told: dict[tuple[str, str], str] = {}  # what was told last: by issue and kind
        self._pulls: dict[str, str] = {}  # the pull requests of issues
        self._shown: dict[str, str] = {}  # the commits that these show before they are handed over
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
            pull=self._pulls.get(issue.id, ""),
            spent=self._earlier.get(issue.id, Spent()) + progress.spent.get(issue.id, Spent()),
            tries=row.tries,
        )

    def _keep(self) -> None:
        """Tell what is new, again and again; where GitHub is away, after a rest that gets longer."""
        rest, over = EACH, False
        with self._stack:
            while not over:
                over = self._over.wait(rest)
                try:
                    if self._concerned:
                        self._take_in()
                        self._tell_all()
                    rest = EACH
                except HubAway as no:
                    self._note(f"GitHub is not told for now how far this is, which holds nothing up: {no}")
                    rest = max(min(REST, 2 * rest), no.seconds if isinstance(no, Limited) else 0.0)
                except Interrupted:
                    return
                except Exception as no:  # noqa: BLE001 - the edge of a thread: whatever it is, it is not to be the run's end
                    self._note(f"GitHub is not told how far this is: {no if isinstance(no, AdwError) else f'{type(no).__name__}: {no}'}")
                    return

    @property
    def _concerned(self) -> bool:
        """Whether there may be something to tell, now or once issues are added."""
        return self._work.site.config.landing.mode == "pull-request" or any(map(at_github, self._work.issues))

    def _take_in(self) -> None:
        with self._guard:
            for event in self._reader.news():
                if event["event"] in ABOUT:
                    self._new[event["issue"]] = None

    def _tell_all(self) -> None:
        issues = {issue.id: issue for issue in self._work.issues}
        for name in list(self._new):
            del self._new[name]
            if issue := issues.get(name):
                with self._guard:
                    row = deepcopy(self._reader.progress.rows[name])
                for tell in (self._show, self._mark, self._comment):
                    try:
                        tell(issue, row)
                    except HubAway:
                        self._new[name] = None
                        raise
                    except (Blocked, GitBusy, GitFailed) as no:  # GitHub does not want to hear of it, or a person is in the way
                        self._note(f"GitHub is not told of {name}: {no}")

    def _show(self, issue: Issue, row: Row) -> None:
        """Have the change of the newest try seen, in a draft."""
        hub, config, wanted = self._work.hub, self._work.site.config, row.built and row.state not in {"ready", *LANDED}
        if not (wanted and self._drafts and config.landing.mode == "pull-request" and isinstance(hub, Upstream)):
            return
        standing = proposal.GIVEN_UP if row.state == "refused" else proposal.JUDGED
        with self._once(issue, "draft", row.built, standing) as new:
            if new:
                onto = hub.mirror.run("rev-parse", f"{row.built}^")
                shown = offering.Shown(row.built, stands_on(self._work, issue, onto), self.facts(issue), standing)
                pull = offering.show(hub, config, self._client(offering.forge(hub, config)), issue, shown)
                self._drafts = pull is not None
                if pull:
                    self._pulls[issue.id] = pull.url
                    self._shown[issue.id] = row.built if proposal.UNFINISHED in pull.body else ""

    def _mark(self, issue: Issue, row: Row) -> None:
        """Have a commit that is at the remote show how its phases fare."""
        wanted, page = statuses(self._reader.progress, row), public(self._reader.progress.ui)
        sha = self._at_remote(issue, row) if self._work.site.config.github.statuses else ""
        with self._once(issue, "statuses", sha, page, *wanted.items()) as new:
            if new and wanted and sha and self._own and self._own.kind == "GitHub":
                Statuses(self._client(self._own)).put(sha, wanted, page)

    def _at_remote(self, issue: Issue, row: Row) -> str:
        """The commit of an issue's newest try that is at the remote; empty if there is none."""
        if not isinstance(self._work.hub, Upstream):
            return ""
        if row.state == "ready" or (row.state == "landed" and at_github(issue)):
            return row.sha
        return row.built if row.built and self._shown.get(issue.id) == row.built else ""

    def _comment(self, issue: Issue, row: Row) -> None:
        """Have the comment on an issue say how far it is; close the issue if its change landed at the remote."""
        place = at_github(issue) if self._work.site.config.github.comments else None
        home = self._home(place[0]) if place else None
        if not (place and home):
            return
        text = comment(issue, row, self.facts(issue))
        with self._once(issue, "comment", text) as new:
            if new:
                comments, number = Comments(self._client(home)), place[1]
                there = self._comments.get(issue.id) or comments.find(number)
                if there is None or not is_told(row, there.text, text):
                    if row.state in LANDED and self._work.site.config.landing.mode == "push":
                        comments.close(number)
                    there = comments.put(number, there, text)
                self._comments[issue.id] = there

    @contextmanager
    def _once(self, issue: Issue, kind: str, *what: object) -> Iterator[bool]:
        """Whether something is other than what was told last; it counts as told unless GitHub was away in the block."""
        new = digest(*what)
        try:
            yield self._told.get((issue.id, kind)) != new
        except Blocked:  # it will say no to the same again
            self._told[issue.id, kind] = new
            raise
        self._told[issue.id, kind] = new

    @cached_property
    def _earlier(self) -> dict[str, Spent]:
        """What issues cost before this run."""
        return bill.earlier(self._work.hub.place, self._work.site.run)

    def _home(self, repository: str) -> Forge | None:
        """Where a repository is that an issue came from; None if that is not GitHub."""
        home = self._own or Forge.at("github.com", "", self._work.site.config.github.api_url)
        return replace(home, repository=repository) if home.kind == "GitHub" else None

    @cached_property
    def _own(self) -> Forge | None:
        """The forge of the repository itself."""
        try:
            return names.own(self._work.hub, self._work.site.config)
        except Misuse:
            return None

    def _client(self, forge: Forge) -> Client:
        """The API, for as long as there is something to be told."""
        if forge.repository not in self._clients:
            token, tags = github_token(self._work.site.config), Tags(self._work.hub.place.answers)
            self._clients[forge.repository] = self._stack.enter_context(reached(forge, token, tags, patience=PATIENCE))
        return self._clients[forge.repository]

    def _note(self, text: str) -> None:
        """Say something in the journal, once."""
        if text not in self._noted:
            self._noted.add(text)
            self._work.journal.event("note", text=text)
