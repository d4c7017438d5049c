"""`adw run --dry`: what would be delivered, in which order, and how long that takes with how many agents. Nothing is started."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adw import durations, graph, guard
from adw.cli.deliver import configured
from adw.cli.sources import landed_by_now
from adw.cli.table import duration
from adw.cli.view import print_json
from adw.durations import Learned
from adw.forecast import Forecast, Schedule, Step
from adw.mirror import Hub
from adw.model import URGENT, Issue

AGENTS = (1, 2, 4, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that a dry run tells."""

    landed: list[Issue]
    ahead: list[Issue]  # each behind those that it depends on
    known: dict[str, Learned]
    forecast: Forecast
    slots: int  # of the run that is asked for
    requests: int

    @property
    def run(self) -> Schedule:
        """What is expected of the run that is asked for."""
        return self.forecast.at(self.slots, self.requests)

    @property
    def compared(self) -> list[Schedule]:
        """What is expected with fewer agents, and with more."""
        return [self.forecast.at(slots, self.requests) for slots in sorted({*AGENTS, self.slots})]

    def waits(self, issue: Issue) -> list[str]:
        """The ids of the issues that must land before an issue is begun."""
        return [needed for needed in issue.depends_on if any(needed == one.id for one in self.ahead)]


def schedule(hub: Hub, asked: Sequence[Issue], given: dict[str, Any], *, as_json: bool) -> None:
    """Print the schedule of the run that a command line asks for. The hub is only read; `given` are the flags of `adw run`."""
    config = configured(hub, given)
    landed = landed_by_now(hub, config)
    issues = graph.in_order(asked, frozenset(landed))
    ahead, known = [issue for issue in issues if issue.id not in landed], durations.learned(hub.place)
    forecast = Forecast(ahead, durations.expected(ahead, known))
    done = [issue for issue in issues if issue.id in landed]
    outlook = Outlook(done, ahead, known, forecast, guard.slots(config.pool), config.agent.requests)
    if as_json:
        print_json(told(outlook))
    else:
        show(Console(), outlook)


def told(outlook: Outlook) -> dict[str, Any]:
    """The schedule for scripts; all times in seconds, from the start of the run."""
    spans = outlook.run.spans
    return {
        "landed": [issue.id for issue in outlook.landed],
        "issues": [
            {
                **{key: value for key, value in asdict(issue).items() if key != "body"},
                "seconds": outlook.forecast.took(issue),
                "begins": spans[Step(issue.id, "plan")].begins,
                "lands": spans[Step(issue.id, "land")].ends,
            }
            for issue in outlook.ahead
        ],
        "critical_path": [{**span.step._asdict(), "begins": span.begins, "ends": span.ends} for span in outlook.forecast.critical],
        "one_after_another": outlook.forecast.alone,
        "agents": outlook.slots,
        "expected": [
            {"agents": one.slots, "seconds": one.wall, "limit": one.limit, "binds": one.binds, "speed_up": one.speed_up, "efficiency": one.efficiency}
            for one in outlook.compared
        ],
        "durations": {phase: {"seconds": one.seconds, "median_of": one.of} for phase, one in outlook.known.items()},
    }


def show(console: Console, outlook: Outlook) -> None:
    """The schedule for people."""
    for issue in outlook.landed:
        console.print(Text.assemble(("already landed ", "green"), f"{issue.title}  ", (f"({issue.id})", "dim")), soft_wrap=True)
    if not outlook.ahead:
        console.print("there is nothing left to do")
        return
    agents = "1 agent" if outlook.slots == 1 else f"{outlook.slots} agents"
    console.print(f"with {agents}, if all pass at the first try", highlight=False)
    console.print(_order(outlook), "")
    console.print(Text.assemble(("critical path ", "bold"), duration(outlook.run.limits["critical path"])))
    for issue, spans in groupby(outlook.forecast.critical, key=lambda span: span.step.issue):
        console.print(Text(f"  {issue}: {' → '.join(f'{span.step.phase} {duration(span.seconds)}' for span in spans)}"), soft_wrap=True)
    console.print("", _compared(outlook), "")
    console.print(f"one after another: {duration(outlook.forecast.alone)}", highlight=False)
    for line in _sources(outlook.known):
        console.print(line, highlight=False, soft_wrap=True)


def _order(outlook: Outlook) -> Table:
    """The issues in their order, with what each waits for."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("issue", no_wrap=True, overflow="ellipsis")
    shown.add_column("waits for")
    for name in ("priority", "takes", "begins", "lands"):
        shown.add_column(name, justify="right", no_wrap=True)
    spans = outlook.run.spans
    for issue in outlook.ahead:
        takes = f"{duration(outlook.forecast.took(issue))}{' (estimate)' if issue.estimate else ''}"
        begins, lands = spans[Step(issue.id, "plan")].begins, spans[Step(issue.id, "land")].ends
        priority = "urgent" if issue.priority == URGENT else str(issue.priority)
        shown.add_row(Text(issue.id), Text(", ".join(outlook.waits(issue))), priority, takes, duration(begins), duration(lands))
    return shown


def _compared(outlook: Outlook) -> Table:
    """What is expected with how many agents, and what no number of them could make shorter."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("agents", "expected", "at least", "because of", "speed-up", "efficiency"):
        shown.add_column(name, justify="left" if name == "because of" else "right", no_wrap=True)
    for one in outlook.compared:
        mine = "bold" if one.slots == outlook.slots else ""
        shares = (f"{one.speed_up:.1f}×", f"{one.efficiency:.0%}")
        shown.add_row(str(one.slots), duration(one.wall), duration(one.limit), _because(one, outlook.requests), *shares, style=mine)
    return shown


def _because(one: Schedule, requests: int) -> str:
    """The limit that binds, in words."""
    return f"the API limit ({requests})" if one.binds == "API limit" else f"the {one.binds}"


def _sources(known: dict[str, Learned]) -> list[str]:
    """How long phases are taken to be, and who says so."""
    learned = [f"{phase} {duration(one.seconds)} (median of {one.of})" for phase, one in known.items() if one.of]
    guessed = [f"{phase} {duration(one.seconds)}" for phase, one in known.items() if not one.of]
    return [
        *([f"from past runs: {', '.join(learned)}"] if learned else []),
        *([f"a guess, as no run of this repository has told yet: {', '.join(guessed)}"] if guessed else []),
    ]
