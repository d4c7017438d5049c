"""`adw show ISSUE --log PHASE`: what an agent, a test or a check printed."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adw import report
from adw.agents import READERS
from adw.agents.base import Reader
from adw.cli.deliver import chosen
from adw.cli.look import known
from adw.config import override
from adw.errors import Misuse
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import AGENT_PHASES, Issue, phase_of
from adw.pool import Pool

ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")  # colours, titles and the like


def show_log(name: str, repo: Path, wanted: str, *, raw: bool) -> None:
    """Print the log of an issue's phase, `PHASE` or `PHASE:TRY`: readable, or as it is kept."""
    hub, _ = chosen("", repo)
    journal, log = find_log(known(hub, repo, name), wanted)
    with _until_enough():
        if raw:
            with log.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            return
        reader, slots = _reader(hub, journal, log), re.compile(re.escape(str(Pool(hub, hub.config().pool).folder)) + r"/\d+/tree/")
        with log.open(encoding="utf-8", errors="replace") as lines:
            for text in readable(lines, reader, slots):
                sys.stdout.write(f"{text}\n")


def find_log(runs: Sequence[tuple[Journal, Issue]], wanted: str) -> tuple[Journal, Path]:
    """The log of the newest run that has one of this phase: of the newest try, or of the one named. Misuse, with what there is, if none has."""
    there: dict[str, str] = {}
    for journal, issue in runs:
        kept = _logs(journal, issue)
        for (number, phase), log in sorted(kept.items(), reverse=True):
            if wanted in {phase, f"{phase}:{number}"}:
                return journal, log
        there |= {f"{phase}:{number}": "" for number, phase in kept}
        there |= {f"{phase}:{number}": f" ({log})" for (number, phase), log in _named(log for log, _ in report.logs_elsewhere(journal, issue)).items()}
    names = ", ".join(f"{name}{where}" for name, where in sorted(there.items()))
    msg = f"issue {runs[0][1].id!r} has no log of {wanted!r} on this host: " + (f"name one of {names}" if there else "none of its phases has printed anything")
    raise Misuse(msg)


def readable(lines: Iterable[str], reader: type[Reader], slots: "re.Pattern[str]") -> Iterator[str]:
    """The lines of a log for people: without what moves a terminal's cursor, and with paths as they are in the repository."""
    for line in lines:
        text = reader.show(slots.sub("", line.rstrip("\r\n")))
        if text or not line.strip():
            yield "".join(c for c in ESCAPES.sub("", text) if c.isprintable() or c in "\n\t")


def _logs(journal: Journal, issue: Issue) -> dict[tuple[int, str], Path]:
    """The logs of an issue on this host, by try and phase."""
    return _named((journal.folder / "logs" / issue.key).glob("*.log"))


def _named(logs: Iterable[Path]) -> dict[tuple[int, str], Path]:
    parts = [(log.stem.partition("-"), log) for log in logs]
    return {(int(number), phase): log for (number, _, phase), log in parts}


def _reader(hub: Hub, journal: Journal, log: Path) -> type[Reader]:
    """What knows the output of the agent that worked on a phase in a run; plain text, of a test."""
    phase = phase_of(log.stem.partition("-")[2])
    config = override(hub.config(), agent__name=journal.order().get("agent"))
    if phase not in {*AGENT_PHASES, *(name for name, check in config.checks.items() if check.prompt)}:
        return Reader
    return READERS.get(config.agent.at(phase).name, Reader)


@contextmanager
def _until_enough() -> Iterator[None]:
    """Print in the block until whoever reads has enough, as `head` has."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush goes nowhere
