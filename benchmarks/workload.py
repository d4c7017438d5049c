"""What adw and the baseline are both given: the analysis' features, as a repository, issues, and a script for the agent.

A feature is plan 3, build 7, test 4 and review 3 minutes (its sections 3.3 and 6.2), with a scaled minute of some seconds. Agents
and tests wait for so long and use no CPU; agents are the player of the shipped scripted agent, whoever calls it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adw.agents.scripted import PLAYER
from adw.forecast import Forecast
from adw.model import Issue
from benchmarks.limits import Piece, of_phases
from benchmarks.small import git, init

MINUTES = {"plan": 3, "build": 7, "test": 4, "review": 3, "document": 0}
WARM = "warm"  # the issue that is delivered before anything is measured: what is measured is not the making of servers and slots
PROBE = "probe"  # the issue that is only planned, where the base is to be known before anything is measured
TEST_SECONDS = "BENCH_TEST_SECONDS"  # in the environment: not in the key of a test, so that the branch as it is counts as tested
CHECK = f"""sleep "${{{TEST_SECONDS}:-0}}"
for name in $(sed -n 's/^uses //p' features/*.txt); do
    grep -qx "$name" api.txt || {{ echo "a feature uses $name, and it is not in api.txt"; exit 1; }}
done
"""
TEST = "sh check.sh"
WAIT = f'[ "${{{TEST_SECONDS}:-0}}" = 0 ] || sleep "$1"\n'
FILES = {"check.sh": CHECK, "wait.sh": WAIT, "api.txt": "rate\nlist\n", "order.txt": "order by: name\n", "features/first.txt": "uses list\n"}
CONFIG = """[agent]
name = "scripted"
script = {script}

[test]
command = "{test}"

[pool]
size = {slots}
memory_gb = 0
max_load = 0
disk_floor = 0
env = ["{variable}"]
"""


def own(name: str, text: str = "") -> dict[str, str]:
    """The edit that adds a feature's own file."""
    return {"path": f"features/{name}.txt", "write": text or f"{name}\n"}


def api(rate: str) -> dict[str, str]:
    """The edit that gives a function another name."""
    return {"path": "api.txt", "write": f"{rate}\nlist\n"}


def order(by: str) -> dict[str, str]:
    """The edit of a line that others edit, too."""
    return {"path": "order.txt", "write": f"order by: {by}\n"}


# What the agent edits in build: first, and when it is asked again because of what landed meanwhile, on top of that.
BREAKS = {  # each passes the tests, and both together do not
    "rename": ([own("rename"), api("price")], [own("rename"), api("price"), own("use", "uses price\n")]),
    "use": ([own("use", "uses rate\n")], [own("use", "uses price\n")]),
}
CONFLICTS = {  # both edit the same line
    "by-author": ([own("by-author"), order("name, author")], [own("by-author"), order("name, author, year")]),
    "by-year": ([own("by-year"), order("name, year")], [own("by-year"), order("name, author, year")]),
}


@dataclass(frozen=True)
class Workload:
    """Features, and what the agent does for each."""

    edits: Mapping[str, tuple[list[dict[str, str]], ...]]
    minute: float  # seconds

    @classmethod
    def alike(cls, number: int, minute: float) -> "Workload":
        """So many features that have nothing to do with each other."""
        return cls({f"feature-{n:02}": ([own(f"feature-{n:02}")],) for n in range(1, number + 1)}, minute)

    @classmethod
    def at_odds(cls, minute: float) -> "Workload":
        """Five features, with a pair that breaks the tests only together, and one that conflicts."""
        return cls({**BREAKS, **CONFLICTS, "alone": ([own("alone")],)}, minute)

    @property
    def issues(self) -> list[Issue]:
        """As adw knows them."""
        return [Issue(id=name, title=f"Add {name}", body="please") for name in self.edits]

    @property
    def seconds(self) -> dict[str, float]:
        """What each phase takes."""
        return {phase: minutes * self.minute for phase, minutes in MINUTES.items()}

    @property
    def pieces(self) -> list[Piece]:
        """The phases, as work of which each takes a slot."""
        return of_phases({(name, phase): seconds for name in self.edits for phase, seconds in self.seconds.items()})

    @property
    def alone(self) -> float:
        """What all take one after another."""
        return self.forecast.alone

    @property
    def forecast(self) -> Forecast:
        """What adw's scheduler says of them."""
        return Forecast(self.issues, {name: {**self.seconds, "land": 0.0} for name in self.edits})

    def script(self, *, whole: bool = True) -> dict[str, Any]:  # noqa: ARG002 - here, an agent's part is the whole
        """What the player plays: the agents' part of each phase, or the whole of it, for a plain script that knows no more than phases."""
        waits = {phase: [{"seconds": seconds}] for phase, seconds in self.seconds.items()}
        parts = {name: [{"seconds": self.seconds["build"], "edits": edits} for edits in tries] for name, tries in self.edits.items()}
        at_once = {phase: [{"say": phase}] for phase in MINUTES} | {"build": [{"edits": [own(WARM)]}]}
        return {"*": waits, WARM: at_once, **{name: {"build": tries} for name, tries in parts.items()}}

    def config(self, script: Path, slots: int) -> str:
        """What adw.toml says."""
        return CONFIG.format(script=json.dumps(str(script)), test=TEST, slots=slots, variable=TEST_SECONDS)

    def lay_out(self, folder: Path, slots: int, more: str = "", *, whole: bool = False) -> Path:
        """Write repository, issues and script, with more of the configuration; returns the repository."""
        hub, script = folder / "hub", folder / "script.json"
        for name, text in FILES.items():
            path = hub / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        script.write_text(json.dumps(self.script(whole=whole)))
        (hub / "adw.toml").write_text(self.config(script, slots) + more)
        init(hub)
        git(hub, "add", "-A")
        git(hub, "commit", "-qm", "first")
        for issue in (*self.issues, *(Issue(id=name, title=f"Add {name}", body="please") for name in (WARM, PROBE))):
            path = folder / (issue.id if issue.id in {WARM, PROBE} else "issues") / f"{issue.id}.md"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"# {issue.title}\n\n{issue.body}\n")
        return hub

    def missing(self, hub: Path) -> list[str]:
        """The features that are not on the branch, or only in part."""
        there = set(git(hub, "ls-tree", "-r", "--name-only", "main").splitlines())
        by = git(hub, "show", "main:order.txt")
        return [name for name in self.edits if f"features/{name}.txt" not in there or (name in CONFLICTS and name.removeprefix("by-") not in by)]


def agent(script: Path) -> list[str]:
    """The command line of the agent, as `ScriptedAgent` calls it."""
    return [sys.executable, "-I", "-S", str(PLAYER), str(script)]


def broken(hub: Path) -> list[str]:
    """The commits of the branch (first parents) that do not pass the tests."""
    bad = []
    checkout = hub.parent / "looked-at"
    git(hub, "worktree", "add", "-q", "--detach", str(checkout), "main")
    for sha in git(hub, "rev-list", "--first-parent", "main").splitlines():
        git(checkout, "checkout", "-q", sha)
        if subprocess.run(["sh", "-c", TEST], cwd=checkout, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False).returncode:
            bad.append(sha)
    git(hub, "worktree", "remove", "--force", str(checkout))
    return bad
