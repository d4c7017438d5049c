"""What the cache and the memory save, apart and together: `make bench-memory` (needs `make clis`).

Five issues by the real Claude Code CLI, against a model on loopback that uses what it is told: it writes what the tests refuse, unless
its prompt says what they expect, be it the log of a failed try or a memory of one. Each way begins on a repository in which one
issue has landed, at its second try. `placebo` has as many memories, but another repository's. Where the cache can save something, the
fifth issue asks for the same as the fourth. What a memory saves is made by this workload: the bench shows that it reaches the
agents, that a placebo saves nothing, and what is whose doing. Exit status 1 if a limit is not met.
"""

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adw.memory import stores
from adw.memory.partition import partition
from adw.mirror import find_hub
from benchmarks.agents import find_claude, model
from benchmarks.journals import Event
from benchmarks.machine import Book, watched
from benchmarks.many import table
from benchmarks.small import Figure, adw, git, init
from benchmarks.trial import newest, read, served

WAYS = {
    "neither": (False, False),
    "cache": (False, True),
    "placebo": (True, False),
    "memory": (True, False),
    "both": (True, True),
}  # memory, and a fifth that repeats
NAMES = ("alarm", "calendar", "diary", "export")
TEXT = "# Show the time in the {name}\n\nWrite it to features/{name}.txt.\n"
BEGINS = {"plan": "Plan how to", "build": "(?:Resolve the|does not fit on top of them)", "review": "Review the change", "document": "Update the documentation"}
SAVED = 0.30  # of the tokens: the best that the analysis expects of memory
CONFIG = """[agent]
name = "claude"
model = "claude-sonnet-4-5"
secrets = {{ ANTHROPIC_API_KEY = "bench" }}

[test]
command = "sh check.sh"

[pool]
size = 5
memory_gb = 0
max_load = 0

[memory]
mode = "{mode}"
"""
CHECK = 'for file in features/*.txt; do grep -q "{wanted}" $file || {{ echo "AssertionError: expected {wanted} in $file"; exit 1; }}; done\n'


def rules() -> list[dict[str, Any]]:
    """How the model answers: in build by what it is told of the tests."""
    plan: dict[str, Any] = {"summary": "Write it.", "files": [], "items": []}
    said: dict[str, list[dict[str, Any]]] = {
        "plan": [{"tools": [{"name": "StructuredOutput", "input": plan}]}, {"text": "ok"}],
        "review": [{"tools": [{"name": "StructuredOutput", "input": {"summary": "Fit.", "findings": []}}]}, {"text": "ok"}],
        "document": [{"text": "There is nothing to document."}],
    }
    found = []
    for name in (*NAMES, "clock", "table"):
        where = f'title="Show the time in the {name}"'
        for told, text in (("expected UTC", "UTC"), ("expected CRLF", "CRLF"), ("", "local")):
            write = {"name": "Write", "input": {"file_path": f"{{cwd}}/features/{name}.txt", "content": f"{name} {text}\n"}}
            wanted = "".join(f"(?=[\\s\\S]*{word})" for word in (BEGINS["build"], where, told) if word)
            found.append(
                {"match": wanted, "turns": [{"tools": [{"name": "Bash", "input": {"command": "ls features"}}]}, {"tools": [write]}, {"text": "Done."}]}
            )
        found += [{"match": f"(?=[\\s\\S]*{BEGINS[phase]})(?=[\\s\\S]*{where})", "turns": turns} for phase, turns in said.items()]
    return found


@dataclass(frozen=True)
class Cost:
    """What five issues cost."""

    events: list[Event]
    calls: int
    tokens: int  # in, by their length: four characters each
    seen: Any

    def count(self, *states: str) -> int:
        """How many phases of the issues came to such an end."""
        return sum(e["state"] in states for e in self.events if e["event"] == "phase" and e["phase"] in {*BEGINS, "test"} and e["issue"] != "(base)")

    @property
    def recalled(self) -> int:
        """For how many phases something was recalled."""
        return sum(event["event"] == "recalled" for event in self.events)


@dataclass(frozen=True)
class Bench:
    """Where all of it is."""

    folder: Path
    log: Path  # the requests that the model got

    def repository(self, name: str, wanted: str) -> Path:
        """A repository whose tests want a word in each feature."""
        hub = self.folder / name
        (hub / "features").mkdir(parents=True)
        (hub / "features" / "first.txt").write_text(f"{wanted}\n")
        (hub / "check.sh").write_text(CHECK.format(wanted=wanted))
        (hub / "adw.toml").write_text(CONFIG.format(mode="lexical"))
        init(hub)
        git(hub, "add", "-A")
        git(hub, "commit", "-qm", "first")
        return hub

    def deliver(self, hub: Path, *names: str, agents: int = 5) -> list[Event]:
        """Deliver issues; those of one name ask for the same."""
        issues = self.folder / f"issues-{hub.name}"
        shutil.rmtree(issues, ignore_errors=True)
        issues.mkdir()
        for number, name in enumerate(names):
            (issues / f"i{number}-{name}.md").write_text(TEXT.format(name=name))
        if status := adw(self.folder / "home", hub, "run", str(issues), "--agents", str(agents)).wait():
            why = [event["reason"] for event in read(newest(self.folder / "home")) if event["event"] == "outcome" and event["reason"]]
            sys.exit(f"adw run in {hub.name} ended with status {status}: {why}")
        return read(newest(self.folder / "home"))

    def remembered(self, hub: Path) -> stores.Lexical:
        """What is remembered of a repository."""
        return stores.lexical(stores.place(), partition(find_hub(hub)))

    def cost(self, way: str) -> Cost:
        """What the five issues cost in one way."""
        remembers, repeats = WAYS[way]
        hub = self.repository(way, "UTC")
        self.deliver(hub, "clock")
        if way == "placebo":
            other = self.repository("other", "CRLF")
            self.deliver(other, "table")
            own = self.remembered(hub)
            own.clear()
            for memory in self.remembered(other).entries():
                own.add(memory)
        if not remembers:
            (hub / "adw.toml").write_text(CONFIG.format(mode="off"))
            git(hub, "commit", "-qam", "forget")
        before = self.requests()
        with watched() as seen:
            events = self.deliver(hub, *NAMES, NAMES[-1] if repeats else "table")
        new = self.requests()[len(before) :]
        return Cost(events, len(new), sum(map(len, new)) // 4, seen)

    def requests(self) -> list[str]:
        """The requests of the model that had an answer, each as JSON."""
        if not self.log.exists():
            return []
        asked = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [json.dumps(one["body"]) for one in asked if one["path"].partition("?")[0] == "/v1/messages"]


def measured(book: Book, bench: Bench) -> Iterator[list[str]]:
    """A row for each way."""
    costs = {}
    for way in WAYS:
        cost = costs[way] = bench.cost(way)
        states = Counter(event["state"] for event in cost.events if event["event"] == "outcome")
        if states != {"landed": 5}:
            sys.exit(f"{way}: not all five landed: {dict(states)}")
        saved = 1 - cost.tokens / costs["neither"].tokens
        ran, refused, found = cost.count("done", "no"), cost.count("no"), cost.count("cached")
        book.note(cost.seen, way=way, ran=ran, refused=refused, cached=found, recalled=cost.recalled, calls=cost.calls, tokens=cost.tokens)
        yield [way, str(ran), str(refused), str(found), str(cost.recalled), str(cost.calls), str(cost.tokens), f"{saved:.0%}", str(cost.seen)]
    share = {way: 1 - cost.tokens / costs["neither"].tokens for way, cost in costs.items()}
    book.add(Figure("tokens that cache and memory save together", share["both"], "", SAVED, at_least=True), costs["both"].seen)
    book.add(Figure("tokens that another repository's memories save", share["placebo"], "", 0.0), costs["placebo"].seen)


def main() -> int:
    """Measure all and print it."""
    find_claude()
    book = Book("ablation", Path("bench-memory.jsonl").absolute())
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "home"):
        folder = Path(name)
        log = folder / "requests.jsonl"
        with model(folder, rules(), "--log", str(log)) as url:
            os.environ |= {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "bench", "ADW_HOME": str(folder / "home")}
            rows = list(measured(book, Bench(folder, log)))
    table("Five issues", ("way", "phases run", "noes", "found done", "recalled for", "calls", "tokens", "saved", "machine"), rows)
    return 0 if book.met else 1


if __name__ == "__main__":
    sys.exit(main())
