"""A hub on another host, reached by a URL: what a worker of a cluster works for.

The hub is the truth, and the mirror only a copy of what was needed here: what is looked for is asked of the hub, commits are
fetched before they are used, and results are pushed, each under a ref that nobody had before. No ref of another is overwritten.
"""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from adw import lock
from adw.errors import GitFailed
from adw.git import Git, signed
from adw.home import Place
from adw.mirror import make


def far(repository: str) -> bool:
    """Whether a repository is named by a URL."""
    return re.match(r"[a-z][a-z+]*://", repository) is not None


@dataclass(frozen=True, slots=True)
class Remote:
    """The hub, a branch of it, and the mirror on this host."""

    url: str
    branch: str
    name: str
    mail: str
    place: Place
    mirror: Git
    checkout: Path | None = None  # the user's work tree is not here
    owned: tuple[Path, ...] = ()  # and nothing else of the user's

    @classmethod
    def of(cls, url: str, branch: str, name: str, mail: str) -> Self:
        """The hub at a URL, with a mirror, which may be empty yet."""
        place = Place.of(Path(url))
        make(place)
        return cls(url, branch, name, mail, place, Git(place.mirror))

    def author(self) -> Mapping[str, str]:
        """The user of the host where the run was started."""
        return signed(self.name, self.mail)

    def bring(self, commit: str, issue_key: str) -> None:
        """Fetch a commit, if the mirror lacks it: by the branch and the issue's refs, and if none of them holds it any more, by its SHA."""
        branch, issue = f"+refs/heads/{self.branch}:refs/hub/{self.branch}", f"+refs/adw/{issue_key}/*:refs/adw/{issue_key}/*"
        for wanted in ((branch, issue), (commit,)):
            if self.mirror.has(commit):
                return
            with self._fetching():
                if not self.mirror.has(commit):
                    self.mirror.fetch_from(self.url, *wanted)
        if not self.mirror.has(commit):
            msg = f"commit {commit} is not in {self.url}"
            raise GitFailed(msg)

    def found(self, pattern: str) -> dict[str, str]:
        """What the hub says, with what the refs hold brought here."""
        refs = self.mirror.listed_at(self.url, pattern)
        if not all(self.mirror.has(sha) for sha in refs.values()):
            with self._fetching():
                self.mirror.fetch_from(self.url, *(f"+{ref}:{ref}" for ref in refs))
        return refs

    def publish(self, ref: str) -> bool:
        """Push a ref; False if the hub has it already, from another host."""
        return self.mirror.push_new(self.url, ref)

    def _fetching(self) -> AbstractContextManager[None]:
        """One fetch at a time: two of the same refs would meet each other's locks."""
        return lock.held(self.place.locks / "fetch")
