"""The test in parts: groups of tests that are run at once, each by its command, a group with `split` by several of them.

How the files of a group are shared out is decided by how long they took before, and kept for the code that it was decided for:
whoever tests the same code again, in another run or on top of another tip, finds the same shards, and what is known of them.
"""

import heapq
import json
import shlex
from collections.abc import Mapping, Sequence
from statistics import median

from adw import durations, phases, results
from adw.errors import AgentFailed
from adw.journal import LOG_TAIL
from adw.mirror import Source
from adw.model import Candidate, Issue, Shard, Split, Verdict, digest
from adw.phases import VERSION, Site
from adw.testing import Command, exclusive, tested

LEAST = 5.0  # seconds: a shorter shard costs more than it saves
FOR_EACH_SLOT = 2  # shards of a group, so that the gate evens out what was not foreseen
LONGEST = 60_000  # characters of file names in a command: the kernel takes 128 KiB in one word
GUESS = 10.0  # seconds of a file of which nothing is known
LEAST_LOG = 1000  # characters


def key(site: Site, candidate: Candidate) -> str:
    """The key of the whole test: the code, all groups, and the environment."""
    groups = json.dumps({name: [group.command, group.split] for name, group in site.config.test.groups.items()})
    return digest("groups", VERSION, candidate.code, groups, *phases.surroundings(site))


def shard_key(site: Site, shard: Shard, candidate: Candidate) -> str:
    """The key of a shard: the code, the command with its files, and the environment."""
    return digest("shard", VERSION, candidate.code, line(site, shard), *phases.surroundings(site))


def line(site: Site, shard: Shard) -> str:
    """The command of a shard."""
    return site.config.test.groups[shard.group].command.replace("{files}", shlex.join(shard.files))


def split(site: Site, hub: Source, issue: Issue, candidate: Candidate, slots: int) -> Split:
    """How the tests of a candidate are shared out: as it was for the same code, or made now. AgentFailed if a group has no files."""
    return results.once(hub, site.order(issue, "split"), key(site, candidate), Split, lambda: (_made(site, hub, candidate, slots), candidate.sha))[0]


def _made(site: Site, hub: Source, candidate: Candidate, slots: int) -> Split:
    shards = [shard for name in site.config.test.groups for shard in _of_group(site, hub, name, candidate, slots)]
    return Split(shards=tuple(sorted(shards, key=lambda shard: -shard.seconds)))


def _of_group(site: Site, hub: Source, name: str, candidate: Candidate, slots: int) -> list[Shard]:
    groups = site.config.test.groups
    group = groups[name]
    if not group.split:
        known = durations.modules(hub.place, name, [""])
        guess = durations.GUESS["test"] / len(groups)  # more than of a file: it begins before those
        return [Shard(name=f"test-{name}", group=name, seconds=known.get("", guess))]
    files = hub.mirror.files(candidate.tree, group.split)
    if not files:
        msg = f"there is no file {group.split} (`split` of [test.groups.{name}] in adw.toml)"
        raise AgentFailed(msg)
    taken = weighed(files, durations.modules(hub.place, name, set(files)))
    sets = shared_out(taken, FOR_EACH_SLOT * slots)
    return [
        Shard(name=f"test-{name}-{number}", group=name, files=tuple(mine), seconds=sum(taken[file] for file in mine)) for number, mine in enumerate(sets, 1)
    ]


def weighed(files: Sequence[str], known: Mapping[str, float]) -> dict[str, float]:
    """The seconds of each file; of those that are new the median of the others."""
    usual = median(known.values()) if known else GUESS
    return {file: known.get(file, usual) for file in files}


def shared_out(seconds: Mapping[str, float], most: int) -> list[list[str]]:
    """Files in at most so many sets that take about as long as each other: the longest file first, each to the set that has least."""
    fitting = max(1, int(sum(seconds.values()) / LEAST))
    needed = 1 + sum(map(len, map(shlex.quote, seconds))) // LONGEST
    sets: list[tuple[float, int, int, list[str]]] = [(0.0, 0, number, []) for number in range(max(needed, min(most, fitting, len(seconds))))]
    for file in sorted(seconds, key=lambda file: (-seconds[file], file)):
        least, count, number, mine = sets[0]
        heapq.heapreplace(sets, (least + seconds[file], count + 1, number, [*mine, file]))
    return [sorted(mine) for _, _, _, mine in sorted(sets, key=lambda one: (-one[0], one[2])) if mine]


def run(site: Site, issue: Issue, shard: Shard, candidate: Candidate, attempt: int) -> tuple[Verdict, str]:
    """Run a shard on what would land; twice where it fails."""
    given = site.config.test
    with exclusive(given.groups[shard.group].exclusive) as held:
        command = Command(line(site, shard), given.minutes, {}, held)
        return tested(site.pool(), site.journal(), site.order(issue, shard.name, attempt), candidate.sha, command), candidate.sha


def run_on_base(site: Site, issue: Issue, shard: Shard, candidate: Candidate) -> tuple[Verdict, str]:
    """Run a shard on the branch as it is. AgentFailed if it says no: that is not recorded, as it may be the environment's fault."""
    verdict, sha = run(site, issue, shard, candidate, 1)
    if not verdict.passed:
        raise AgentFailed(verdict.log)
    return verdict, sha


def together(split: Split, verdicts: Mapping[Shard, Verdict], failed: Mapping[Shard, str]) -> Verdict:
    """What all shards say: their logs where they fail or are flaky, and of each how it ended. Those that have no verdict were stopped."""
    said = {**{shard: verdict.log for shard, verdict in verdicts.items() if verdict.flaky or not verdict.passed}, **failed}
    lines = [f"{shard.name}: {_ended(verdicts.get(shard), shard in failed)}{_named(shard)}" for shard in split.shards]
    room = max(LEAST_LOG, LOG_TAIL // max(1, len(said)))
    logs = [f"{shard.name}{_named(shard)}:\n{log[-room:]}" for shard, log in said.items()]
    passed = not failed and all(shard in verdicts and verdicts[shard].passed for shard in split.shards)
    return Verdict(passed=passed, log="\n\n".join(["\n".join(lines), *logs]), flaky=passed and any(verdict.flaky for verdict in verdicts.values()))


def _ended(verdict: Verdict | None, failed: bool) -> str:  # noqa: FBT001 - one of three
    if verdict is None:
        return "failed" if failed else "stopped, as others failed"
    return "flaky" if verdict.flaky else "passed" if verdict.passed else "no"


def _named(shard: Shard) -> str:
    """The files of a shard, as far as they fit."""
    rest = f" and {len(shard.files) - 3} more" if len(shard.files) > 3 else ""  # noqa: PLR2004
    return f" ({', '.join(shard.files[:3])}{rest})" if shard.files else ""


def told(shard: Shard) -> dict[str, object]:
    """What the event of a shard says of it, for the next time that its files are shared out."""
    return {"group": shard.group, "files": list(shard.files or ("",))}
