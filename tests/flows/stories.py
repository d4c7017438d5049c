"""Random runs for `test_many.py`: what the issues want and meet, agents that act it out, and a run of it in a process of its own."""

import json
import os
import subprocess
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from prefect import State

from adw import durations, graph, landing
from adw.config import AgentConfig, ChecksConfig, Config, Group, PoolConfig, SandboxConfig
from adw.errors import Interrupted, Transient
from adw.journal import Journal
from adw.mirror import find_hub, sync
from adw.model import Arrival, Issue
from adw.phases import Site
from adw.pool import Pool
from adw.train import Train
from flows.checks import Checks
from flows.deliver import deliver_all
from flows.issues import delivered
from flows.places import Offer, Places
from flows.rails import Rails
from flows.work import Call, Done, Work
from tasks import wanted

TRIES = 6  # more than any issue of a story needs that lands at all
FATES = ("lands", "never", "second", "red", "hopeless", "unfit", "crash")
NEVER = {"never", "hopeless"}


@dataclass(frozen=True)
class Wanted:
    """An issue: which earlier ones it needs, the shared file it adds a line to, and what becomes of it by itself."""

    needs: tuple[int, ...] = ()
    shared: int = -1  # none
    fate: str = "lands"
    paired: bool = False  # breaks the tests together with another such one
    flaky: bool = False  # the first test of it fails, whatever is tested
    priority: int = 0
    parts: bool = False  # its plan has three items that touch no files in common


@dataclass(frozen=True)
class Step:
    """After so many events of a run, somebody pushes to the branch, or kills the run, which is then resumed."""

    after: int
    kill: bool = False
    shared: int = -1  # the file that the push adds a line to; none: a file of its own


@dataclass(frozen=True)
class Story:
    """A whole case."""

    issues: tuple[Wanted, ...]
    steps: tuple[Step, ...] = ()
    slots: int = 2
    stack: bool = False
    partition: bool = False
    squash: bool = False
    groups: bool = False  # the tests are in groups

    def lands(self, number: int) -> bool:
        """Whether an issue can land."""
        wanted = self.issues[number]
        return wanted.fate not in NEVER and all(self.lands(needed) for needed in wanted.needs)


AGENT = r"""
story=$1 mine="$1/$ADW_ISSUE" fate=$(cat "$1/$ADW_ISSUE/fate") shared=$(cat "$1/$ADW_ISSUE/shared")
once() { mkdir "$mine/$1" 2>/dev/null; }
case $ADW_PHASE in
plan)
  items=
  if [ -e "$mine/parts" ]; then
    items=$(printf '{"title": "one", "files": ["%s"]}, {"title": "two", "files": ["%s"]}, {"title": "three", "files": ["%s"]}' \
      "${shared:-$ADW_ISSUE.done}" "$ADW_ISSUE.part2" "$ADW_ISSUE.part3")
  fi
  printf '{"summary": "add it", "files": ["%s"], "items": [%s]}' "$shared" "$items";;
build)
  echo x >> "$mine/begun-${ADW_PART:-all}"
  for part in 2 3; do
    if [ -e "$mine/parts" ] && case ${ADW_PART:-$part} in $part|integrate) true;; *) false;; esac; then echo done > "$ADW_ISSUE.part$part"; fi
  done
  if [ "$ADW_PART" = 3 ] && [ -e "$mine/wait" ]; then until [ -e "$mine/go" ]; do sleep 0.05; done; fi
  case $ADW_PART in 2|3) exit 0;; esac
  [ $fate != never ] || { echo "cannot do it"; exit 1; }
  if [ $fate = second ] && once second; then echo "not today"; exit 1; fi
  if [ $fate = crash ] && once crash; then kill -9 $$; fi
  for file in shared*; do
    [ ! -e "$file" ] || { grep -v '^<<<<<<<\|^=======\|^>>>>>>>' "$file" | sort -u > "$TMPDIR/sorted"; cp "$TMPDIR/sorted" "$file"; }
  done
  if [ -e "$mine/unfit" ]; then echo mended; else echo done; fi > "$ADW_ISSUE.done"  # the same once more would be found unfit again
  if [ -n "$shared" ] && ! grep -qx "$ADW_ISSUE" "$shared" 2>/dev/null; then echo "$ADW_ISSUE" >> "$shared"; fi
  rm -f "$ADW_ISSUE.bad"
  if [ $fate = hopeless ] || { [ $fate = red ] && once red; }; then echo bad > "$ADW_ISSUE.bad"; fi
  if [ -e "$mine/paired" ]; then
    rm -f "pair-$ADW_ISSUE"
    if ls pair-* > /dev/null 2>&1; then echo also > "also-$ADW_ISSUE"; else echo pair > "pair-$ADW_ISSUE"; fi
  fi;;
review) if [ $fate = unfit ] && once unfit; then echo "unfit"; exit 1; fi;;
document) mkdir -p docs && echo "$ADW_ISSUE" > "docs/$ADW_ISSUE";;
esac
"""
TEST = r"""
for file in *.bad; do [ ! -e "$file" ] || { echo "there is $file"; exit 1; }; done
[ "$(ls pair-* 2>/dev/null | wc -l)" -lt 2 ] || { echo "two of a pair"; exit 1; }
bad=
for file in *.done; do
  issue=${file%.done}
  if [ -e "$1/$issue/flaky" ] && mkdir "$1/$issue/flaked" 2>/dev/null; then echo "a bad day for $issue"; bad=1; fi
done
[ -z "$bad" ]
"""


class Direct(Work):
    """Phases in this process, and no Prefect server; all else is as in any run."""

    def _done_here(self, call: Call, *, known: bool = False, turn: wanted.Turn = nullcontext) -> Done:  # noqa: ARG002
        with wanted.minded(call.unwanted, turn):
            for _ in range(3):
                try:
                    value = call.task.fn(self.site, *call.args)
                except Transient as no:
                    failed = no
                    continue
                if isinstance(value, State):  # as Prefect would tell: it was given up
                    raise Interrupted(str(value.message))
                return Done(value, cached=False)
            raise failed

    def land(self, arrivals: "list[Arrival]") -> bool:  # type: ignore[override]
        marks = [self.site.order(arrival.issue, "land", arrival.attempt) for arrival in arrivals]
        for mark in marks:
            self.journal.phase(mark, "running")
        return landing.land(self.hub, arrivals)


@dataclass(frozen=True)
class Stage:
    """Where a story is acted out: a bare hub, and what agents and tests remember."""

    folder: Path
    story: Story

    @property
    def hub(self) -> Path:
        return self.folder / "hub.git"

    @property
    def issues(self) -> list[Issue]:
        return [
            Issue(id=f"i{number}", title=f"Add i{number}", body="please", depends_on=tuple(f"i{needed}" for needed in wanted.needs), priority=wanted.priority)
            for number, wanted in enumerate(self.story.issues)
        ]

    def set(self) -> None:
        """Make the hub and what the agents need to know."""
        remembered = self.folder / "story"
        for issue, asked in zip(self.issues, self.story.issues, strict=True):
            mine = remembered / issue.id
            mine.mkdir(parents=True)
            (mine / "fate").write_text(asked.fate)
            (mine / "shared").write_text(f"shared{asked.shared}" if asked.shared >= 0 else "")
            for name in ("paired", "flaky", "parts"):
                if getattr(asked, name):
                    (mine / name).touch()
        (self.folder / "agent.sh").write_text(AGENT)
        (self.folder / "test.sh").write_text(TEST)
        seed = self.folder / "seed"
        git(None, "init", "-q", "-b", "main", str(seed))
        for number in range(2):
            (seed / f"shared{number}").write_text("0\n")
        git(seed, "add", "--all")
        git(seed, "commit", "-q", "-m", "first")
        git(None, "clone", "-q", "--bare", str(seed), str(self.hub))
        git(self.hub, "config", "user.name", "Ada")
        git(self.hub, "config", "user.email", "ada@example.invalid")
        git(seed, "remote", "add", "hub", str(self.hub))

    @property
    def config(self) -> Config:
        story, test = self.story, f"sh {self.folder / 'test.sh'} {self.folder / 'story'}"
        groups = {"all": Group(command=test), "names": Group(command="ls {files}", split="shared*"), "own": Group(command="true", exclusive=("own",))}
        return Config(
            branch="main",
            tries=TRIES,
            stack=story.stack,
            partition=story.partition,
            squash_train=story.squash,
            agent=AgentConfig(name="command", command=f"sh {self.folder / 'agent.sh'} {self.folder / 'story'}"),
            test=ChecksConfig(command=test, groups=groups if story.groups else {}),
            sandbox=SandboxConfig(mode="off"),
            pool=PoolConfig(size=story.slots, memory_gb=0, disk_floor=0),
        )

    def push(self, number: int, step: Step) -> None:
        """Somebody else commits to the branch, however often it moves meanwhile."""
        seed = self.folder / "seed"
        while True:
            git(seed, "fetch", "-q", "hub", "main")
            git(seed, "reset", "-q", "--hard", "FETCH_HEAD")
            path = seed / (f"shared{step.shared}" if step.shared >= 0 else f"push{number}")
            path.write_text((path.read_text() if path.exists() else "") + f"push{number}\n")
            git(seed, "add", "--all")
            git(seed, "commit", "-q", "-m", f"push {number}")
            if subprocess.run(["git", "-C", str(seed), "push", "-q", "hub", "HEAD:main"], capture_output=True, check=False).returncode == 0:
                return


def git(where: Path | None, *args: str) -> str:
    """What a git command prints."""
    place = ["-C", str(where)] if where else []
    who = ["-c", "user.name=Bob", "-c", "user.email=bob@example.invalid"]
    return subprocess.run(["git", *place, *who, *args], check=True, capture_output=True, text=True).stdout.strip()


def act(stage: Stage, home: str, run: str) -> None:
    """Deliver a story's issues once, in this process; how they ended is in the run's folder."""
    os.environ["ADW_HOME"] = home
    hub = find_hub(stage.hub)
    journal = Journal(hub.place.runs / run)
    journal.folder.mkdir(parents=True, exist_ok=True)
    Pool(hub, stage.config.pool).reconcile()
    sync(hub)
    tip = hub.tip()
    landed = hub.mirror.trailers(tip)
    places = Places()
    places.update({"here": Offer(stage.story.slots)})
    site = Site(run=run, repository=str(stage.hub), branch="main", config=stage.config)
    work = Direct(site, hub, journal, landed, places, durations.learned(hub.place))
    work.include(graph.in_order(stage.issues, frozenset(landed)))
    work.train = Train(Rails(work), lambda: places.slots, landed, tip, squash=stage.story.squash)
    work.checks = Checks(work)
    outcomes = deliver_all(work, delivered, allow_red_base=False)
    (journal.folder / "outcomes.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes]))


FORK = get_context("forkserver")
FORK.set_forkserver_preload(["tests.flows.stories"])


def acted(stage: Stage, home: Path, run: str) -> Any:
    """A process that delivers a story's issues."""
    process = FORK.Process(target=act, args=(stage, str(home), run))
    process.start()
    return process
