"""`adw status`, `adw show` and `adw clean`: what there is, and what may go."""

import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from adw import clean as cleaning
from adw import proc, records, report, server, usage
from adw.cli.deliver import chosen, hear, outcome
from adw.cli.json_view import chosen_view
from adw.cli.table import STYLES, duration, table
from adw.cli.view import in_ui, print_json, summary
from adw.errors import Misuse
from adw.journal import Journal
from adw.mirror import Hub, find_hub, sync
from adw.model import GOOD, Issue, Outcome
from adw.pool import Pool
from adw.progress import Row

HEAR_EACH = 2.0  # seconds


def follow(run: str, repo: Path) -> int:
    """The live table of a run, whoever runs it, until it ends; returns adw's exit status for it."""
    _, journal = chosen(run, repo)
    console, reader, said, heard = Console(), journal.reader(), "", 0.0
    progress = reader.progress
    view = chosen_view(console, journal.folder.name)
    with view.shown():
        over = False
        while not over:
            over = bool(progress.ended or not (progress.waits or not progress.pid or proc.alive(progress.pid, progress.birth)))  # then once more
            for event in reader.news():
                view.event(progress, event)
            if said != progress.waits:
                said = progress.waits
                view.say(said or "begun")
            view.tick(progress)
            time.sleep(0.1)
            if progress.waits and time.monotonic() - heard > HEAR_EACH:
                heard = time.monotonic()
                hear(journal)
    if not records.wanted():
        summary(console, progress, max(0.1, progress.last - progress.started))
    return 0 if progress.rows and all(row.state in GOOD for row in progress.rows.values()) else 1


def status(run: str, repo: Path, *, as_json: bool) -> None:
    """The runs of a repository; the last one, or the one that is named, in full."""
    hub, newest = chosen(run, repo)
    runs = cleaning.journals(hub.place)
    for journal in runs:
        hear(journal)
    if as_json:
        print_json([outcome(journal) for journal in runs])
        return
    console = Console()
    listed = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "state", "landed or ready", "took"):
        listed.add_column(name)
    for journal in runs[:10]:
        told = outcome(journal)
        landed = sum(row["state"] in GOOD for row in told["issues"].values())
        listed.add_row(told["run"], told["state"], f"{landed} of {len(told['issues'])}", duration(told["seconds"]))
    console.print(listed)
    progress = newest.progress()
    console.print(f"\n[bold]{newest.folder.name}[/bold]", highlight=False)
    console.print(table(progress, progress.last, console.width))
    summary(console, progress, max(0.1, progress.last - progress.started))
    for line in usage.told(progress, usage.summed(usage.read(newest.resources))):
        console.print(Text(line, "dim"), soft_wrap=True)
    if progress.ui:
        console.print(in_ui(progress.ui), soft_wrap=True)


def show(name: str, repo: Path, *, as_json: bool) -> None:
    """One issue, as the newest run that knows it left it."""
    hub, _ = chosen("", repo)
    journal, issue = known(hub, repo, name)[0]
    progress = journal.progress()
    row = progress.rows.get(name, Row(issue.title))
    ended = Outcome(issue=name, title=issue.title, state=row.state or "not ended", sha=row.sha, reason=row.reason, place=row.place)
    if as_json:
        recalled = [{"phase": phase, "try": number, "memories": told} for (of, number, phase), told in progress.recalled.items() if of == name]
        spent = {phase: spent.flat() for phase, spent in progress.spent_on(name).items()}
        print_json(
            {
                "run": journal.folder.name,
                **asdict(ended),
                "results": report.newest_results(hub.mirror, issue.key, progress.checks),
                "spent": spent,
                "recalled": recalled,
            }
        )
        return
    console = Console()
    logs = [(log, "") for log in sorted((journal.folder / "logs" / issue.key).glob("*.log"))]
    console.print(f"[{STYLES.get(ended.state, 'dim')}]{ended.state}[/] in run {journal.folder.name}", highlight=False)
    console.print(Markdown(report.issue_report(hub, issue, ended, progress, [*logs, *report.logs_elsewhere(journal, issue)])))


def known(hub: Hub, repo: Path, name: str) -> list[tuple[Journal, Issue]]:
    """The runs that know an issue, the newest first, each with the issue as it was then; Misuse if there is none."""
    asked = [(journal, issue) for journal in cleaning.journals(hub.place) for issue in journal.issues() if issue.id == name]
    if not asked:
        msg = f"no run of {repo.absolute()} knows an issue {name!r}: `adw status` shows those of the last one"
        raise Misuse(msg)
    return asked


def clean(repo: Path, days: float) -> None:
    """Prune the repository's place on this host."""
    hub = find_hub(repo)
    sync(hub)
    config = hub.config()
    sys.stdout.write(f"{cleaning.prune(hub, Pool(hub, config.pool), days)}\n")


def stop_server() -> None:
    """Stop adw's own Prefect server, whose it is and wherever it is asked for."""
    sys.stdout.write("stopped adw's Prefect server\n" if server.stop() else "adw's Prefect server was not running\n")
