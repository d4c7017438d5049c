"""The one place where adw talks to git, through GitPython.

Every command names its git directory, and for files its work tree and index, so that nothing an agent leaves in a slot (a
removed or replaced `.git`, configuration, hooks) decides what adw does. Hooks are off.
"""

import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import git as gitpython
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from adw.errors import Blocked, GitBusy, GitFailed, GitKilled, HubAway, Misuse
from adw.model import Change, one_line
from adw.proc import PIPE

SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.filesRefLockTimeout=5000",
    "core.packedRefsTimeout=5000",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "log.showSignature=false",
    "i18n.logOutputEncoding=UTF-8",
    "i18n.commitEncoding=UTF-8",
)
TRAILER = "Adw-Issue"
# Over the network git must never ask anybody, as a worker has no terminal, nor wait for what does not come.
UNATTENDED = {"GIT_TERMINAL_PROMPT": "0", "GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "60"}
SSH = "-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15"
AWAY = re.compile(
    r"Could not read from remote|unable to connect|Connection (refused|reset|timed out)|[Cc]ould not (resolve|connect)|Couldn't connect|"
    r"early EOF|hung up|disconnect|returned error: 5\d\d|too slow"
)
REFUSED = re.compile(r"^ ! \[remote rejected\] .*\((.*)\)$", re.MULTILINE)
FETCH = ("fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head", "--no-auto-maintenance", "--refmap=")
# Who makes commits that nobody sees: the same each time.
NOBODY = {
    f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in (("NAME", "adw"), ("EMAIL", "adw@localhost"), ("DATE", "@0 +0000"))
}
MANY = 100  # objects that are kept as a pack; fewer become files of their own, as where git fetches them
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

for _name in [
    n for n in os.environ if n.startswith("GIT_") and n not in {"GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CEILING_DIRECTORIES"}
]:
    del os.environ[_name]  # adw may be started from a hook, which says where *its* repository is


@dataclass(frozen=True, slots=True)
class Git:
    """A git directory, with the work tree and index to use where a command needs them."""

    directory: Path
    work_tree: Path | None = None
    index: Path | None = None

    def _command(self, args: Sequence[str]) -> list[str]:
        tree = [f"--work-tree={self.work_tree}"] if self.work_tree else []
        return ["git", f"--git-dir={self.directory}", *tree, *(word for setting in SAFE for word in ("-c", setting)), *args]

    def call(self, *args: str, given: str | BinaryIO = "", into: BinaryIO | None = None, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Run a git command; returns its exit status, output (unless it goes into a file) and errors. GitBusy if it was killed or met a lock."""
        environment = {**(env or {}), **({"GIT_INDEX_FILE": str(self.index)} if self.index else {})}
        with ExitStack() as stack:
            if isinstance(given, str):
                stdin: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
                stdin.write(given.encode())
            else:
                stdin = given
            stdin.seek(0)
            done: Any = gitpython.Git(str(self.work_tree or self.directory)).execute(
                self._command(args),
                istream=stdin,
                output_stream=into,
                env=environment,
                with_extended_output=True,
                with_exceptions=False,
                strip_newline_in_stdout=False,
                stdout_as_string=False,
            )
        status, text, errors = done[0], done[1].decode(errors="replace"), str(done[2])
        if status < 0:
            msg = f"git {args[0]} in {self.directory} was killed"
            raise GitKilled(msg)
        if status and re.search(r"Unable to create '.*\.lock'|cannot lock ref .*(File exists|but expected)", errors):
            msg = f"git {args[0]} in {self.directory} met a lock: {errors.strip()}"
            raise GitBusy(msg)
        return status, text, errors

    def run(self, *args: str, given: str | BinaryIO = "", env: Mapping[str, str] | None = None) -> str:
        """The output of a git command, without the last line break; GitFailed with its errors if it fails."""
        for attempt in Retrying(retry=retry_if_exception_type(GitBusy), stop=stop_after_attempt(4), wait=wait_random_exponential(0.05, 1), reraise=True):
            with attempt:
                status, out, err = self.call(*args, given=given, env=env)
        if status:
            msg = f"git {' '.join(args[:3])} in {self.directory} failed ({status}): {err.strip()}"
            raise GitFailed(msg)
        return out.removesuffix("\n")

    def find(self, revision: str) -> str | None:
        """The SHA of what a revision names, or None."""
        status, out, _ = self.call("rev-parse", "--verify", "--quiet", "--end-of-options", revision)
        return out.strip() if status == 0 else None

    def has(self, commit: str) -> bool:
        """Whether a commit with its tree is there."""
        return self.call("cat-file", "-e", f"{commit}^{{tree}}")[0] == 0

    def tree_of(self, commit: str) -> str:
        """The tree of a commit."""
        return self.run("rev-parse", f"{commit}^{{tree}}")

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether everything in one commit is in the other."""
        return self.call("merge-base", "--is-ancestor", old, new)[0] == 0

    def refs(self, *patterns: str) -> dict[str, str]:
        """The refs that match any of the patterns, with what they point at."""
        out = self.run("for-each-ref", "--format=%(refname) %(objectname)", *patterns)
        return dict(line.split(" ", 1) for line in out.splitlines())

    def point(self, ref: str, sha: str) -> None:
        """Make a ref of adw's own point at a commit. Nobody holds its lock for seconds, but a git that was killed in it: such a lock is removed."""
        with suppress(GitBusy):  # git itself waits for a lock
            if self.call("update-ref", ref, sha)[0] == 0:
                return
        (self.directory / f"{ref}.lock").unlink(missing_ok=True)
        self.run("update-ref", ref, sha)

    def forget(self, refs: Sequence[str]) -> None:
        """Delete refs, all or none."""
        self.run("update-ref", "--stdin", given="".join(f"delete {ref}\n" for ref in refs))

    def fetch(self, source: Path, *refspecs: str) -> None:
        """Bring refs and what they hold from another local repository."""
        self.run(*FETCH, str(source), *refspecs)

    def give(self, other: "Git", commit: str, known: str) -> None:
        """Copy a commit to another local repository, with all behind it that is not behind one that both have.

        As a fetch does, but that reads each ref of both, and so takes the longer the more issues there have been.
        """
        with tempfile.TemporaryFile() as pack:
            status, _, err = self.call("pack-objects", "--revs", "--thin", "--stdout", "-q", given=f"{commit}\n^{known}\n", into=pack)
            if status:
                msg = f"git cannot pack {commit} in {self.directory}: {err.strip()}"
                raise GitFailed(msg)
            pack.seek(8)
            many = int.from_bytes(pack.read(4)) > MANY
            other.run(*(("index-pack", "--stdin", "--fix-thin") if many else ("unpack-objects", "-q")), given=pack)

    def fetch_from(self, url: str, *refspecs: str) -> None:
        """Bring refs and what they hold from another host; HubAway if it does not answer."""
        self._far(url, *FETCH, url, *refspecs)

    def push_new(self, url: str, *refs: str) -> bool:
        """Give refs, as they are here, to another host that has none of them; False, and nothing given, if it has one already."""
        leases = [f"--force-with-lease={ref}:" for ref in refs]
        try:
            self._far(url, "push", "--quiet", "--atomic", *leases, url, *(f"{ref}:{ref}" for ref in refs))
        except GitFailed as no:
            if "stale info" in str(no) or "[rejected]" in str(no) or "[remote rejected]" in str(no):
                return False
            raise
        return True

    def push(self, remote: str, commit: str, ref: str, expected: str) -> bool:
        """Move a ref of a remote from where it is expected (empty: nowhere) to a commit, and nothing else; False if it is not there.

        Blocked, with the remote's own words, if that is not let happen.
        """
        options = ("--quiet", "--no-follow-tags", "--recurse-submodules=no", f"--force-with-lease={ref}:{expected}")
        try:
            self._far(remote, "push", *options, remote, f"{commit}:{ref}")
        except GitFailed as no:
            if re.search(r"^ ! \[rejected\]", str(no), re.MULTILINE):
                return False
            msg = f"{remote} does not take {ref.removeprefix('refs/heads/')}: {_words(str(no))}"
            raise Blocked(msg) from no
        return True

    def may_push(self, url: str, commit: str, ref: str) -> None:
        """GitFailed if another host would let nobody push; nothing is given to it."""
        self._far(url, "push", "--quiet", "--dry-run", url, f"{commit}:{ref}")

    def listed_at(self, url: str, pattern: str) -> dict[str, str]:
        """The refs of another host that match a pattern, with what they point at."""
        lines = self._far(url, "ls-remote", "--quiet", url, pattern).splitlines()
        return {ref: sha for sha, ref in (line.split("\t", 1) for line in lines)}

    def _far(self, url: str, *args: str) -> str:
        try:
            return self.run(*args, env={**UNATTENDED, "GIT_SSH_COMMAND": self._ssh()})
        except GitFailed as no:
            if AWAY.search(str(no)) and not REFUSED.search(str(no)):  # a hook may say anything
                msg = f"git cannot reach {url}: {one_line(str(no).partition('): ')[2] or str(no))}"
                raise HubAway(msg) from no
            raise

    def _ssh(self) -> str:
        """How ssh is called: as the user has it, but without questions."""
        return os.environ.get("GIT_SSH_COMMAND") or f"{self.call('config', '--get', 'core.sshCommand')[1].strip() or 'ssh'} {SSH}"

    def commit(self, tree: str, parents: Sequence[str], message: str, identity: Mapping[str, str]) -> str:
        """Make a commit; the same arguments give the same SHA."""
        return self.run("commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-F", "-", given=message, env=identity)

    def message(self, commit: str) -> str:
        """A commit's whole message."""
        return self.run("log", "-1", "--format=%B", "--encoding=UTF-8", commit).rstrip("\n")

    def identity(self, commit: str) -> dict[str, str]:
        """Author, committer and dates of a commit, as the environment that makes another commit by them."""
        names = [f"GIT_{role}_{field}" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL", "DATE")]
        values = self.run("log", "-1", "--date=raw", "--format=%an%n%ae%n%ad%n%cn%n%ce%n%cd", commit).split("\n")
        return dict(zip(names, values, strict=True))

    def merge(self, onto: str, change: str, attributes: str = "") -> "Merged":
        """A commit merged onto another. `attributes` is the text of a gitattributes file, as a bare repository has none."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(attributes)
            file.flush()
            given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.attributesFile", "GIT_CONFIG_VALUE_0": file.name}
            status, out, err = self.call("merge-tree", "--write-tree", "--name-only", onto, change, env=given)
        if status == 0:
            return Merged(out.split("\n", 1)[0])
        if status == 1 and re.match(r"[0-9a-f]{40,64}\n", out):
            tree_and_files, _, messages = out.partition("\n\n")
            tree, *files = tree_and_files.splitlines()
            return Merged(tree, tuple(sorted(set(files))), messages.strip())
        msg = f"git merge-tree of {change} onto {onto} failed ({status}): {err.strip()}"
        raise GitFailed(msg)

    def rebased(self, change: Change, onto: str, attributes: str = "") -> "Merged":
        """What a change did to its base, done to another commit, whatever lies between the two."""
        if self.is_ancestor(change.base, onto):
            return self.merge(onto, change.sha, attributes)
        # As `git merge-tree --merge-base` does, from 2.40 on: two commits that have nothing in common but the base's tree.
        base = self.commit(change.base_tree, [], "base", NOBODY)
        sides = [self.commit(tree, [base], "side", NOBODY) for tree in (self.tree_of(onto), change.tree)]
        return self.merge(sides[0], sides[1], attributes)

    def trailers(self, tip: str) -> dict[str, str]:
        """What landed on a branch: the id of each issue, with its newest commit."""
        out = self.run("log", "--extended-regexp", f"--grep=^{TRAILER}: ", "--format=%H%x01%(trailers:key=" + TRAILER + ",valueonly,separator=%x01)%x00", tip)
        landed: dict[str, str] = {}
        for record in out.split("\0"):
            sha, *ids = record.strip("\n").split("\1")
            for name in filter(None, ids):  # a line of the body may look like the trailer
                landed.setdefault(name, sha)
        return landed

    def check_out(self, commit: str, keep: Sequence[str]) -> None:
        """Make the work tree exactly a commit, by force, whatever is there; ignored and untracked files go, but for `keep`.

        GitFailed if it does not come clean. Submodules are empty folders.
        """
        self.run("read-tree", "--reset", "-u", commit)
        if links := self._links():
            self._update_index("--force-remove", links)  # or what is in them would stay
        self.run("clean", "-ffdxq", *(word for pattern in keep for word in ("-e", pattern)))
        if links:
            self.run("read-tree", "--reset", "-u", commit)

    def lay_out(self, tree: str) -> None:
        """Put the files of a tree over a work tree that was just checked out."""
        self.run("read-tree", "--reset", "-u", tree)

    def snapshot(self) -> str:
        """The tree of the work tree as it is, ignored files aside; submodules are as they were. GitFailed if there is another repository in it."""
        links = self._links()
        self._update_index("--skip-worktree", links)  # or git looks into them, and there runs the filters that *their* configuration names
        self.run("add", "--all", ".")
        if new := self._links() - links:
            self._update_index("--force-remove", new)
            msg = f"there is another git repository in {self.work_tree}: {', '.join(sorted(new))[:1000]}"
            raise GitFailed(msg)
        return self.run("write-tree")

    def _links(self) -> set[str]:
        """The submodules of the index: paths that stand for a commit of another repository."""
        return {line.partition("\t")[2] for line in self.run("ls-files", "--stage", "-z").split("\0") if line.startswith("160000 ")}

    def _update_index(self, option: str, paths: Collection[str]) -> None:
        if paths:
            self.run("update-index", option, "-z", "--stdin", given="".join(f"{path}\0" for path in paths))

    def without(self, tree: str, patterns: Sequence[str]) -> str:
        """A tree without the paths that match."""
        with tempfile.TemporaryDirectory() as folder:
            scratch = Git(self.directory, index=Path(folder, "index"))
            scratch.run("read-tree", tree)
            scratch.run("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--", *(f":(top,glob){p}" for p in spread(patterns)))
            return scratch.run("write-tree")

    def touched(self, old: str, new: str, patterns: Sequence[str] = ()) -> list[str]:
        """The paths that differ between two trees, outside the patterns."""
        outside = ["--", ".", *(f":(top,glob,exclude){p}" for p in spread(patterns))] if patterns else []
        return [path for path in self.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", old, new, *outside).split("\0") if path]

    def files(self, tree: str, pattern: str) -> list[str]:
        """The paths of a tree that match a pattern, in order."""
        return self.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", EMPTY_TREE, tree, "--", f":(top,glob){pattern}").split("\0")[:-1]

    def text(self, commit: str, path: str) -> str:
        """The text of a file in a commit; empty if there is no such file."""
        return self.texts(commit, path)[0]

    def texts(self, commit: str, *paths: str) -> list[str]:
        """The texts of files in a commit, asked for at once; empty where there is no such file."""
        with tempfile.TemporaryFile() as out:
            self.call("cat-file", "--batch", given="".join(f"{commit}:{path}\n" for path in paths), into=out)
            out.seek(0)
            return [_blob(out) for _ in paths]

    def blobs(self, commit: str, paths: Sequence[str]) -> dict[str, str]:
        """The blobs that a commit has at paths, which may be none of a path at all."""
        asked = [path for path in paths if path and "\n" not in path]
        out = self.run("cat-file", "--batch-check=%(objectname) %(objecttype)", given="".join(f"{commit}:{path}\n" for path in asked)) if asked else ""
        found = zip(asked, (line.split(" ") for line in out.splitlines()), strict=True)
        return {path: said[0] for path, said in found if said[1:] == ["blob"]}

    def diff(self, old: str, new: str) -> str:
        """The difference of two commits or trees, as text."""
        return self.run("diff", "--no-color", "--no-ext-diff", "--no-textconv", old, new)


@dataclass(frozen=True, slots=True)
class Merged:
    """The tree of a merge; where there are conflicts, the files have git's markers in them, as far as they are text."""

    tree: str
    conflicts: tuple[str, ...] = ()
    said: str = ""  # git's own words on the conflicts


def spread(patterns: Sequence[str]) -> list[str]:
    """Patterns for git's `glob`: a folder's name stands for all that is in it."""
    return [shape for p in patterns for shape in (p.rstrip("/"), p.rstrip("/") + "/**")]


@dataclass(frozen=True, slots=True)
class Located:
    """What a path in a repository says of it."""

    directory: Path  # the git directory that all its work trees share
    checkout: Path | None  # the work tree that the path is in; None in a bare repository
    head: str  # the branch checked out there; empty if detached
    shallow: bool


def locate(path: Path) -> Located:
    """The repository that a path is in; Misuse if there is none."""
    if not path.is_dir():
        msg = f"there is no folder {path}: name a git repository with --repo"
        raise Misuse(msg)

    def ask(*args: str) -> tuple[int, str, str]:
        words = ["git", "-C", str(path), *args]
        status, out, err = gitpython.Git(str(path)).execute(words, with_extended_output=True, with_exceptions=False)
        return int(status), str(out), str(err)

    status, directory, err = ask("rev-parse", "--path-format=absolute", "--git-common-dir")
    if status:
        known = "not a git repository" in err
        msg = f"{path} is not in a git repository: run `git init` there, or name one with --repo" if known else f"git cannot read {path}: {err.strip()}"
        raise Misuse(msg)
    bare, shallow = ask("rev-parse", "--is-bare-repository", "--is-shallow-repository")[1].split()
    checkout = None if bare == "true" else Path(ask("rev-parse", "--path-format=absolute", "--show-toplevel")[1] or path)
    return Located(Path(directory), checkout, ask("symbolic-ref", "--short", "--quiet", "HEAD")[1], shallow == "true")


def checkouts(hub: Git) -> dict[str, Path]:
    """The branches that are checked out somewhere in a repository, each with its work tree."""
    found: dict[str, Path] = {}
    where: Path | None = None
    for field in hub.run("worktree", "list", "--porcelain", "-z").split("\0"):
        word, _, value = field.partition(" ")
        if word == "worktree":
            where = Path(value)
        elif word == "branch" and where:
            found[value] = where
    return found


class Prepared:
    """A ref transaction that has taken its locks and compared the old values, and waits for `commit` or `abort`.

    Between the two nobody else can move the refs; if adw dies, git sees the end of its input and gives the locks back.
    """

    def __init__(self, hub: Git, updates: Sequence[tuple[str, str, str]], reason: str) -> None:
        command = hub._command(["update-ref", "-m", reason, "--stdin", "-z"])  # noqa: SLF001 - one class in two parts
        self._process: Any = gitpython.Git(str(hub.directory)).execute(command, istream=PIPE, as_process=True)
        lines = "".join(f"update {ref}\0{new}\0{old}\0" for ref, new, old in updates)
        self._say(f"start\0{lines}prepare\0")
        self.ready = self._heard("start: ok") and self._heard("prepare: ok")

    def _say(self, text: str) -> None:
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it refused already: what it says is read next

    def _heard(self, answer: str) -> bool:
        return bool(self._process.stdout.readline().decode().strip() == answer)

    def commit(self) -> bool:
        """Move the refs; whether it was done."""
        self._say("commit\0")
        done = self._heard("commit: ok")
        self._end()
        return done

    def abort(self) -> str:
        """Give the locks back, the refs as they were; returns what git said against it."""
        self._say("abort\0")
        return self._end()

    def _end(self) -> str:
        process = self._process.proc
        _, errors = process.communicate()
        return str(errors.decode(errors="replace").strip())


def _words(said: str) -> str:
    """What a remote says against a push: why, and what its hooks printed; or all that git says, if the remote said nothing."""
    said = said.partition("): ")[2] or said
    why = REFUSED.search(said)
    hooks = [line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:")]
    return "\n".join([why[1], *filter(None, hooks)]) if why else said


def _blob(out: BinaryIO) -> str:
    """The next text of what `cat-file --batch` printed; empty if it is none."""
    kind, _, size = out.readline().decode(errors="replace").strip().rpartition(" ")
    if not size.isdigit():
        return ""  # "missing", or "ambiguous"
    text = out.read(int(size)).decode(errors="replace")
    out.read(1)
    return text if kind.endswith(" blob") else ""


def author(hub: Git) -> dict[str, str]:
    """Who commits: the user of the hub, or adw where git knows none. Without dates: git takes the time of the commit."""
    said = dict(line.partition("\n")[::2] for line in hub.call("config", "-z", "--get-regexp", r"^user\.(name|email)$")[1].split("\0"))
    return signed(said.get("user.name", "").strip() or "adw", said.get("user.email", "").strip() or "adw@localhost")


def signed(name: str, mail: str) -> dict[str, str]:
    """The environment in which git commits by that name."""
    return {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in (("NAME", name), ("EMAIL", mail))}


def change_of(git: Git, sha: str) -> Change:
    """The change that a commit is; its parent is the commit it was built on."""
    base, tree, base_tree = git.run("rev-parse", f"{sha}^", f"{sha}^{{tree}}", f"{sha}^^{{tree}}").split()
    return Change(sha=sha, tree=tree, base=base, base_tree=base_tree)


def git_version() -> str:
    """What git says of its version; GitFailed if it is not installed."""
    try:
        return str(gitpython.Git().execute(["git", "--version"]))
    except gitpython.GitCommandNotFound as no:
        msg = "git is not installed: install it"
        raise GitFailed(msg) from no


def make_repository(folder: Path, subject: str) -> None:
    """Make a git repository of a folder, with all that is in it as the first commit on `main`."""
    git = Git(folder / ".git", work_tree=folder)
    gitpython.Git(str(folder)).execute(["git", "init", "--quiet", "--initial-branch=main", "."])
    git.run("add", "--all", ".")
    git.run("update-ref", "HEAD", git.commit(git.run("write-tree"), [], f"{subject}\n", author(git)))
