"""What becomes of a change that does not merge onto what landed meanwhile, or fails once it is merged.

First git's own merge, with the rules that keep both sides' lines (`merge.union`); files that a command can write anew are
regenerated (`merge.regenerate`); what is left is the agent's, in a slot on what landed, with both diffs in its prompt.
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


def merged(mirror: Git, config: MergeConfig, change: Change, onto: str) -> Merged:
    """A change merged onto a commit, by git and the rules that need no slot."""
    return mirror.rebased(change, onto, attributes(mirror, config, onto))


def attributes(mirror: Git, config: MergeConfig, onto: str) -> str:
    """The rules that git merges by onto a commit, as the text of a gitattributes file."""
    return "\n".join([mirror.text(onto, ".gitattributes"), *(f"{pattern} merge=union" for pattern in config.union)]) + "\n"


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


def by_hand(config: MergeConfig, found: Merged) -> list[str]:
    """The paths that no rule resolves."""
    return [path for path in found.conflicts if path not in commands(config, found.conflicts)]


def lay_out(lease: Lease, found: Merged, config: MergeConfig, log: Path) -> None:
    """Put a merge into a slot, and write anew what a command writes, which finds it as it is on the branch. AgentFailed if it fails."""
    lease.git.lay_out(found.tree)
    anew = commands(config, found.conflicts)
    for path in anew:
        if lease.git.call("checkout", lease.commit, "--", path)[0]:
            lease.git.run("rm", "--quiet", "--force", "--ignore-unmatch", "--", path)
    for command in dict.fromkeys(anew.values()):
        before = log.stat().st_size if log.exists() else 0
        ended = kept(lease.boxed(["sh", "-c", command]), cwd=lease.tree, env=lease.env, log=log, minutes=MINUTES, fds=lease.fds, watch=lease.watch)
        if ended.status or ended.cut:
            msg = f"`{command}` (merge.regenerate in adw.toml) failed ({ended.cut or f'exit status {ended.status}'}):\n{tail(log, before)}"
            raise AgentFailed(msg)
