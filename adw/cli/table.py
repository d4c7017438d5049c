"""The table of a run: issues × phases, what each agent does now, and what was spent."""

from collections import Counter

from rich.table import Table
from rich.text import Text

from adw.model import PHASES
from adw.money import Spent, in_short
from adw.progress import Cell, Progress, Row

STYLES = {
    "landed": "green",
    "already landed": "green",
    "ready": "green",
    "planned": "green",
    "refused": "red",
    "blocked": "yellow",
    "skipped": "yellow",
    "stopped": "yellow",
    "crashed": "red",
}
SHOWN_ROWS = 30
SHOWN_AGENTS = 10
WIDE = 100  # columns from which nothing is left out
CHECKS = 11  # columns that the checks take then
WIDER = 120  # columns from which what was spent has a column of its own


def duration(seconds: float) -> str:
    """Seconds for people: 4.2s, 1m05s, 2h30m."""
    if seconds < 100:  # noqa: PLR2004
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02d}m"  # noqa: PLR2004


def table(progress: Progress, now: float, width: int = WIDE, shown_rows: int = SHOWN_ROWS) -> Table:
    """Issues × phases; where there are more than a screen holds, those that move, and how many others there are."""
    wide, spent = width >= (WIDE + CHECKS if progress.checks else WIDE), width >= WIDER and bool(progress.spent)
    shown = Table(box=None, pad_edge=False, header_style="bold", expand=True, padding=(0, 1, 0, 0), caption_justify="left")
    shown.add_column("issue", no_wrap=True, overflow="ellipsis", ratio=1)
    for phase in PHASES:
        shown.add_column(phase if wide else phase[:6], no_wrap=True, width=10 if wide else 7)
    if progress.checks:
        shown.add_column("checks", no_wrap=True, width=10 if wide else 7, overflow="ellipsis")
    if spent:
        shown.add_column("spent", no_wrap=True, width=16)
    shown.add_column("", no_wrap=True, width=15 if wide else 8)
    rows = _moving(progress, shown_rows)
    for name, row in rows.items():
        cells = [_cell(row.cells.get(phase), now, wide=wide) for phase in PHASES]
        cells += [_checks(progress, row)] if progress.checks else []
        cost = progress.spent.get(name, Spent())
        last = _ended(row, wide=wide) if row.state or spent else _spent(cost, wide=wide)
        shown.add_row(Text(row.title), *cells, *([_spent(cost, wide=wide)] if spent else []), last)
    if rest := Counter(_state(row) for name, row in progress.rows.items() if name not in rows):
        counts = ", ".join(f"{number} {state}" for state, number in rest.most_common())
        shown.caption = Text(f"… and {rest.total()} more: {counts}", "dim", no_wrap=True, overflow="ellipsis")
    return shown


def _moving(progress: Progress, room: int) -> dict[str, Row]:
    """The rows to show: all, or those that move, the ones at work first; the first ones before any does, and when it is over."""
    if len(progress.rows) <= room:
        return progress.rows
    moving = [] if progress.ended else [(name, row) for name, row in progress.rows.items() if row.cells and not row.state]
    moving.sort(key=lambda named: _state(named[1]) != "at work")
    return dict((moving or list(progress.rows.items()))[:room])


def _state(row: Row) -> str:
    """How far an issue is, in a word."""
    if row.state or not row.cells:
        return row.state or "not begun"
    return "at work" if any(cell.state == "running" for cell in row.cells.values()) else "waiting"


def at_work(progress: Progress) -> Table:
    """What each agent does now, a line each; none for those that do not say."""
    shown = Table.grid(padding=(0, 1), expand=True)
    shown.add_column(max_width=30, no_wrap=True, overflow="ellipsis", style="dim")
    shown.add_column(width=8, style="dim")
    shown.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
    rows = [] if progress.ended else list(progress.rows.values())
    doing = [(row.title, phase, cell.doing) for row in rows for phase, cell in row.cells.items() if cell.state == "running" and cell.doing]
    for title, phase, what in doing[:SHOWN_AGENTS]:
        shown.add_row(Text(title), phase, Text(what))
    return shown


def hindrances(progress: Progress) -> list[Text]:
    """What keeps agents from the model, a line each that never wraps."""
    style = "red" if progress.breaker else "yellow"
    return [Text(line, style, no_wrap=True, overflow="ellipsis") for line in progress.hindrances]


def _cell(cell: Cell | None, now: float, *, wide: bool) -> Text:
    if cell is None:
        return Text("")
    again = f" ·{cell.attempt}" if cell.attempt > 1 and wide else ""
    looks = {
        "running": (f"▶ {sum(cell.pieces.values())}/{cell.of}{again}" if cell.of else f"▶ {duration(max(0.0, now - cell.since))}{again}", "cyan"),
        "done": (f"✓ {duration(cell.seconds)}{again}", "green"),
        "cached": (f"✓ cached{again}", "green dim"),
        "flaky": (f"≈ {duration(cell.seconds)}{again}", "magenta"),
        "no": (f"✗ {duration(cell.seconds)}{again}", "yellow"),
        "failed": (f"✗ {duration(cell.seconds)}{again}", "red"),
    }
    return Text(*looks.get(cell.state, (cell.state, "dim")))


def _checks(progress: Progress, row: Row) -> Text:
    """All checks of an issue in one cell: the first that says no, else what runs, else how many have passed."""
    cells = {name: cell.state for name, cell in row.cells.items() if name in progress.checks}
    for states, sign, style in (({"no", "failed"}, "✗", "yellow"), ({"running"}, "▶", "cyan"), ({"flaky"}, "≈", "magenta")):
        # What only speaks is named only where nothing that counts is in that state.
        for name in sorted((name for name, state in cells.items() if state in states), key=lambda name: not progress.counts(name)):
            return Text(f"{sign} {name}", style if progress.counts(name) else f"{style} dim")
    return Text(f"✓ {len(cells)}", "green") if cells else Text("")


def _ended(row: Row, *, wide: bool) -> Text:
    style = STYLES.get(row.state, "dim")
    if not wide:
        return Text(row.state.removeprefix("already "), style)
    return Text(f"{row.state} {row.sha[:7]}" if row.state in {"landed", "ready"} else row.state, style)


def _spent(spent: Spent, *, wide: bool) -> Text:
    if not spent.tokens.total:
        return Text("")
    return Text(spent.short() if wide else spent.price or in_short(spent.tokens.total), "dim")
