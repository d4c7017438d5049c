"""A repository of the user's (the hub) and adw's own bare clone of it (the mirror), which all work is done in."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from adw import lock
from adw.config import FILE, Config, parse
from adw.errors import GitBusy, GitFailed, Misuse
from adw.git import Git, author, locate
from adw.home import Place
from adw.model import one_line

CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tlogAllRefUpdates = false\n[gc]\n\tauto = 0\n"
CROWDED = 64  # issues


class Source(Protocol):
    """What phases need of a hub, on this host (`Hub`) or on another one (`adw.remote.Remote`)."""

    @property
    def place(self) -> Place:
        """The folders of the repository on this host."""

    @property
    def mirror(self) -> Git:
        """Adw's own bare clone on this host."""

    @property
    def checkout(self) -> Path | None:
        """The user's work tree, where it is on this host."""

    @property
    def owned(self) -> tuple[Path, ...]:
        """The user's own folders on this host, which no agent may write in."""

    def author(self) -> Mapping[str, str]:
        """Who commits, as the environment of git."""

    def bring(self, commit: str, issue_key: str) -> None:
        """See to it that the mirror has a commit that was made for an issue."""

    def found(self, pattern: str) -> dict[str, str]:
        """The refs of adw that match a pattern, with what they point at, which the mirror then has."""

    def publish(self, ref: str) -> bool:
        """Copy a ref of the mirror to the hub, where it outlives this host's folder; False if another host was first."""


@dataclass(frozen=True, slots=True)
class Hub:
    """The user's repository, a branch of it, and the mirror. Cheap to make anew in any process of this host."""

    path: Path  # as the user named it, absolute
    git: Git
    checkout: Path | None  # the work tree that the path is in; None for a bare repository
    branch: str
    place: Place
    mirror: Git

    @property
    def owned(self) -> tuple[Path, ...]:
        """The work tree and the git directory."""
        return (self.root, self.git.directory)

    @property
    def ref(self) -> str:
        """The full name of the branch."""
        return f"refs/heads/{self.branch}"

    @property
    def elsewhere(self) -> str:
        """Where the branch is, if it is not the user's own."""
        return ""

    def look(self) -> None:
        """See to it that the branch is known as it is now: the user's own always is."""

    def tip(self) -> str:
        """The commit the branch is at, brought into the mirror if it is new there; GitFailed if the branch is gone."""
        sha = self.git.find(f"{self.ref}^{{commit}}")
        if sha is None:
            msg = f"branch {self.branch} is gone from {self.path}"
            raise GitFailed(msg)
        if not self.mirror.has(sha):
            self.mirror.fetch(self.git.directory, self.ref)  # no ref of ours: several threads may fetch at once
        return sha

    @property
    def root(self) -> Path:
        """What relative paths of the configuration start from."""
        return self.checkout or self.path

    def config_text(self) -> str:
        """The text of `adw.toml`: of the checkout if there is one, else of the branch; empty if there is none."""
        return _config_text(self.git, self.checkout, self.ref)

    def config(self) -> Config:
        """What `adw.toml` says, or the defaults."""
        return parse(self.config_text(), FILE)

    def author(self) -> Mapping[str, str]:
        """The user of the repository."""
        return author(self.git)

    def bring(self, commit: str, issue_key: str) -> None:
        """Nothing: what is made on this host is made in the mirror."""

    def found(self, pattern: str) -> dict[str, str]:
        """What the mirror says: it knows all that was made here, and at the start of a run all that the hub knows."""
        return self.mirror.refs(pattern)

    def publish(self, ref: str) -> bool:
        """Copy a ref of the mirror to the hub."""
        sha = self.mirror.run("rev-parse", ref)
        # Again at once if a git is killed in it: a task that tried again would find the ref in the mirror, and go on without this.
        for attempt in Retrying(retry=retry_if_exception_type(GitBusy), stop=stop_after_attempt(4), reraise=True):
            with attempt:
                self.mirror.give(self.git, sha, Hub.tip(self))  # as it is known here, wherever the branch is
                self.git.point(ref, sha)
        tidy(self.place)
        return True

    def hold(self, issue_key: str, candidate: str) -> None:
        """Keep what an issue is about to land as, in mirror and hub: there other hosts find it, to test it."""
        ref = f"refs/adw/{issue_key}/candidate"
        self.mirror.point(ref, candidate)
        self.publish(ref)

    def take_up(self, issue_key: str) -> None:
        """Bring what other hosts made for an issue into the mirror."""
        self.mirror.fetch(self.git.directory, f"+refs/adw/{issue_key}/*:refs/adw/{issue_key}/*")


def _config_text(git: Git, checkout: Path | None, revision: str) -> str:
    if checkout is not None:
        path = checkout / FILE
        try:
            return path.read_text(encoding="utf-8") if path.is_file() else ""
        except (OSError, UnicodeDecodeError) as no:
            msg = f"cannot read {path}: {no}"
            raise Misuse(msg) from no
    status, out, _ = git.call("cat-file", "blob", f"{revision}:{FILE}")
    return out if status == 0 else ""


def find_hub(path: Path, branch: str = "") -> Hub:
    """The hub at a path, with the branch that is asked for, configured or checked out; Misuse says what is wrong and how to mend it."""
    path = path.absolute()
    found = locate(path)
    if found.shallow:
        msg = f"{path} is a shallow clone, whose commits cannot be merged reliably: run `git fetch --unshallow` in it first"
        raise Misuse(msg)
    git = Git(found.directory)
    branch = branch or parse(_config_text(git, found.checkout, "HEAD"), FILE).branch or found.head
    if not branch:
        msg = f"{path} has no branch checked out (its HEAD is detached): check one out, or name one with --branch"
        raise Misuse(msg)
    if git.find(f"refs/heads/{branch}^{{commit}}") is None:
        there = sorted(ref.removeprefix("refs/heads/") for ref in git.refs("refs/heads"))
        if not there:
            msg = f"{path} has no commits yet: make a first one, so that there is something to build on"
            raise Misuse(msg)
        msg = f"{path} has no branch {one_line(branch)!r}: name one of {', '.join(there[:10])} with --branch"
        raise Misuse(msg)
    place = Place.of(found.directory)
    return Hub(path=path, git=git, checkout=found.checkout, branch=branch, place=place, mirror=Git(place.mirror))


def sync(hub: Hub) -> None:
    """Make the mirror if there is none, and bring it up to date with the branch and adw's refs of the hub."""
    make(hub.place)
    hub.mirror.fetch(hub.git.directory, f"+{hub.ref}:refs/hub/{hub.branch}", "+refs/adw/*:refs/adw/*")


def make(place: Place) -> None:
    """Make the mirror of a place if there is none, and free it of the locks of git commands that were killed."""
    with lock.held(place.locks / "mirror"):
        directory = place.mirror
        if not (directory / "HEAD").exists():
            for folder in ("objects", "refs", "info"):
                (directory / folder).mkdir(parents=True, exist_ok=True)
            (directory / "config").write_text(CONFIG)
            (directory / "HEAD").write_text("ref: refs/heads/none\n")  # last: what makes it a repository
        for stale in [*directory.glob("*.lock"), *(directory / "refs").rglob("*.lock")]:
            _drop_if_old(stale)


def tidy(place: Place) -> None:
    """Put the refs of the mirror into one file when many have files of their own: git reads each of those to find any."""
    if len(list((place.mirror / "refs" / "adw").iterdir())) < CROWDED:
        return
    if held := lock.try_lock(place.locks / "tidy"):
        with held, suppress(GitBusy):  # then it is done the next time
            Git(place.mirror).call("pack-refs", "--all")


def _drop_if_old(lockfile: Path) -> None:
    """Remove the lock of a git command that was killed: none of ours holds one for a minute."""
    try:
        if time.time() - lockfile.stat().st_mtime > 60:  # noqa: PLR2004
            lockfile.unlink()
    except FileNotFoundError:
        pass
