"""The same with real work: real changes with tests that compute, and the real Claude Code CLI against a model on loopback.

The changes are those of data sets that lie elsewhere: a folder with `prepare.py`, `agent.py` and `check.py`, as its README says.
"""

import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from adw.errors import AdwError, Misuse
from adw.model import PHASES
from benchmarks.ablation import NAMES, Bench, rules
from benchmarks.agents import find_claude, model
from benchmarks.journals import Event, wall
from benchmarks.limits import Limits, Piece, of_phases
from benchmarks.machine import Book, Seen, watched
from benchmarks.small import adw
from benchmarks.trial import ended, environment, newest, read, served

SETS = ("boltons", "cachetools")
WITH_PIP = str(Path(sys.base_prefix, "bin", "python3"))  # the data sets are fetched by pip
FEATURES = (*NAMES, "clock", "table")
IN_SLOTS = PHASES[:-1]  # all but the landing
MINUTES = {"Plan how": 3, "Resolve the": 7, "Review the": 3, "Update the": 2}  # of the analysis, by how a prompt begins


def replayed(folder: Path, book: Book, data: Path, agents: Sequence[int], repeat: int) -> None:
    """Deliver the real changes with so many agents; each must come out as the data set says."""
    if not (data / "prepare.py").is_file():
        msg = f"there are no data sets of real changes in {data}: name the folder that has prepare.py, agent.py and check.py"
        raise Misuse(msg)
    for name in SETS:
        by_agents(book, f"real changes of {name}", agents, repeat, lambda at, number, name=name: _replay(folder / f"{name}-{at}-{number}", data, name, at))  # type: ignore[misc]


def by_agents(book: Book, what: str, agents: Sequence[int], repeat: int, deliver: Callable[[int, int], tuple[list[Event], Seen]]) -> None:
    """Measure a delivery with more and more agents: seconds, how many times as fast as with the fewest, and beside the best schedule for the phases of these."""
    took: dict[int, list[float]] = {at: [] for at in agents}
    for number in range(repeat):
        pieces = list[Piece]()
        for at in agents:
            events, seen = deliver(at, number)
            pieces = pieces or worked(events)
            seconds = wall(events)
            took[at].append(seconds)
            book.note(seen, what=f"{what}, {at} agents", unit="s", value=seconds)
            if at != agents[0]:
                book.note(seen, what=f"{what}, {at} agents: times as fast as {agents[0]}", unit="x", value=took[agents[0]][number] / seconds)
            best = Limits(pieces, at).best
            book.note(seen, what=f"{what}, {at} agents: of the best schedule, if phases took what they do with {agents[0]}", unit="x", value=seconds / best)
    for at, seconds_of in took.items():
        print(f"{what}, {at} agents: {median(seconds_of):.1f} s", flush=True)


def worked(events: Sequence[Event]) -> list[Piece]:
    """What a delivery did in slots, as work that could be done in another order; a phase that was done again is longer."""
    took = Counter[tuple[str, str]]()
    for event in events:
        if event["event"] == "phase" and "seconds" in event and event["phase"] in IN_SLOTS:
            took[event["issue"], event["phase"]] += event["seconds"]
    return of_phases(took)


def _replay(folder: Path, data: Path, name: str, agents: int) -> tuple[list[Event], Seen]:
    subprocess.run([WITH_PIP, str(data / "prepare.py"), name, str(folder)], check=True, stdout=subprocess.DEVNULL)
    test = shlex.join(sys.executable if word == "python" else word for word in json.loads((folder / "data.json").read_text())["test"])
    agent = shlex.join([sys.executable, str(data / "agent.py"), str(folder), "--prompt"]) + " {prompt_file}"
    settings = ["--agents", str(agents), "--agent-command", agent, "--test-command", test, "--sandbox", "off"]
    home = folder.parent / f"{folder.name}-home"  # of its own: the others' results are those of the same changes
    with served(home), watched() as seen:
        status = ended(adw(home, folder / "hub", "run", str(folder / "issues"), *settings))
    checked = subprocess.run([sys.executable, str(data / "check.py"), str(folder), "--python", sys.executable], capture_output=True, text=True, check=False)
    if status or checked.returncode:
        msg = f"{name} did not come out as it should with {agents} agents (adw's status {status}): {checked.stdout[-2000:]}"
        raise AdwError(msg)
    return read(newest(home)), seen


def by_claude(folder: Path, book: Book, agents: Sequence[int], repeat: int, minute: float) -> None:
    """Six features by the real CLI, against a model that takes as long as the analysis says of each phase."""
    find_claude()
    slow = [{**rule, "turns": [{**rule["turns"][0], "sleep": _minutes(rule["match"]) * minute}, *rule["turns"][1:]]} for rule in rules()]

    def deliver(at: int, number: int) -> tuple[list[Event], Seen]:
        bench = Bench(folder / f"{at}-{number}", folder / "requests.jsonl")  # with a home of its own: what others have planned is the same
        hub = bench.repository("hub", "local")
        with served(bench.folder / "home"), watched() as seen:
            return bench.deliver(hub, *FEATURES, agents=at), seen

    with model(folder, slow) as url, environment({"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "bench"}):
        by_agents(book, f"{len(FEATURES)} features by Claude Code, {minute:g} s a minute", agents, repeat, deliver)


def _minutes(match: str) -> float:
    return next((minutes for begins, minutes in MINUTES.items() if begins in match), 0.0)
