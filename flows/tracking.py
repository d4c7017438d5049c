"""What a run tells the tracker, and hears from there. Where there is none but Prefect itself, there is nothing to do: its history is written anyway."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adw.config import Config
from adw.model import one_line
from adw.tracker.archon import Archon, Repository
from adw.tracker.cards import worker
from adw.tracker.courier import Courier
from adw.tracker.people import People
from adw.tracker.sender import Sender
from adw.tracker.spool import Spool
from tasks.secrets import tracker_token

if TYPE_CHECKING:
    from flows.work import Work


@contextmanager
def tracked(work: "Work", config: Config, *, dry: bool = False) -> Iterator[People]:
    """For the block, the tracker is kept up to date with a run; what people say there. Misuse if its token is missing."""
    if config.tracker.kind == "prefect" or dry:
        yield People()
        return
    with courier(work, config, tracker_token(config)).kept() as people:
        yield people


def courier(work: "Work", config: Config, token: str) -> Courier:
    """Who keeps it up to date."""
    place, spool, warn = work.hub.place, Spool(work.hub.place.tracker), warned(work)
    return Courier(
        sender=Sender(Archon(config.tracker.url, token, Repository.of(work.hub)), spool, place.locks / "tracker", warn),
        spool=spool,
        reader=work.journal.reader(),
        run=work.journal.folder.name,
        issues=lambda: work.issues,
        agents=worker(lambda phase: config.agent.at(phase).name),
        warn=warn,
        people=People(),
        note=work.journal.event,
        add=work.journal.note if config.tracker.read else None,
    )


def warned(work: "Work") -> Callable[[str], None]:
    """Says the first of what is wrong with the tracker, in a line: the rest would be more of the same."""
    said: list[str] = []

    def warn(text: str) -> None:
        if not said:
            work.journal.event("note", text=f"{one_line(text)}; the run goes on, and what is to be told is kept, and sent later")
        said.append(text)

    return warn
