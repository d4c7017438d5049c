"""What becomes of a change that does not merge onto what landed meanwhile, or fails once it is merged.

First git's own merge, with the rules that keep both sides' lines (`merge.union`); files that a command can write anew are
regenerated (`merge.regenerate`); what is left is the agent's, who finds the merge in its slot, with git's markers.
"""

from pathlib import Path, PurePosixPath

from adw.config import MergeConfig
from adw.errors import AgentFailed, Conflict
from adw.git import Git, Merged
from adw.journal import tail
from adw.model import Change, digest
from adw.proc import kept
from adw.slot import Lease

MINUTES = 15.0  # that a command may take to write a file anew
MARKERS = ("<<<<<<< ", ">>>>>>> ")


def merged(mirror: Git, config: MergeConfig, change: Change, onto: str) -> Merged:
    """A change merged onto a commit, by git and the rules that need no slot."""
    rules = [mirror.text(onto, ".gitattributes"), *(f"{pattern} merge=union" for pattern in config.union)]
    return mirror.rebased(change, onto, "\n".join(rules) + "\n")


def clean(mirror: Git, config: MergeConfig, change: Change, onto: str) -> str:
    """The tree of a change merged onto a commit; Conflict names the files."""
    found = merged(mirror, config, change, onto)
    if found.conflicts:
        msg = f"the change does not merge onto {onto[:10]}: conflict in {', '.join(found.conflicts)}\n{found.said}"
        raise Conflict(msg)
    return found.tree


def fingerprint(config: MergeConfig) -> str:
    """What of the rules decides how a change is resolved."""
    return digest(*config.union, *config.regenerate.items())


def commands(config: MergeConfig, paths: tuple[str, ...]) -> dict[str, str]:
    """Those paths that a command writes anew, each with its command."""
    return {path: command for path in paths for pattern, command in config.regenerate.items() if PurePosixPath(path).match(pattern)}


def lay_out(lease: Lease, found: Merged, config: MergeConfig) -> None:
    """Put a merge into a slot; what is written anew there begins as it is on the branch."""
    lease.git.lay_out(found.tree)
    for path in commands(config, found.conflicts):
        if lease.git.call("checkout", lease.commit, "--", path)[0]:
            lease.git.run("rm", "--quiet", "--force", "--ignore-unmatch", "--", path)


def by_hand(config: MergeConfig, found: Merged) -> list[str]:
    """The paths that no rule resolves."""
    return [path for path in found.conflicts if path not in commands(config, found.conflicts)]


def finish(lease: Lease, found: Merged, config: MergeConfig, log: Path) -> None:
    """See that an agent has resolved what it was to, and write anew what a command writes. AgentFailed says what is left."""
    if left := [path for path in by_hand(config, found) if _marked(lease, path)]:
        msg = f"there are still conflict markers in {', '.join(left)}"
        raise AgentFailed(msg)
    for command in dict.fromkeys(commands(config, found.conflicts).values()):
        before = log.stat().st_size if log.exists() else 0
        ended = kept(lease.boxed(["sh", "-c", command]), cwd=lease.tree, env=lease.env, log=log, minutes=MINUTES, fds=lease.fds, watch=lease.watch)
        if ended.status or ended.cut:
            msg = f"`{command}` (merge.regenerate in adw.toml) failed ({ended.cut or f'exit status {ended.status}'}):\n{tail(log, before)}"
            raise AgentFailed(msg)


def _marked(lease: Lease, path: str) -> bool:
    """Whether a file has git's conflict markers, as it is in the slot; no link of the agent's is followed."""
    file = lease.tree / path
    if file.is_symlink() or not file.is_file():
        return False
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith(MARKERS) for line in lines)
