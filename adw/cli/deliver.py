"""`adw run`, `adw resume` and `adw cancel`."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from adw import checks, clean, graph, guard, proc, sandbox
from adw.agents import ready
from adw.agents.command import missing_program
from adw.cli import api
from adw.cli.sources import landed_by_now
from adw.cli.supervise import new_run, supervise
from adw.cli.view import in_ui, print_json
from adw.config import Config, override
from adw.errors import Misuse
from adw.home import Place, writable_home
from adw.journal import Journal
from adw.mirror import Hub, find_hub
from adw.model import AGENT_PHASES, Issue
from adw.money import Spent
from adw.progress import Row
from adw.skills import at_work

CANCEL_LIMIT = 20  # seconds for an end in good order


def hand_over(journal: Journal, *, as_json: bool) -> int:
    """Leave a run to what `adw serve` serves; a run that nobody takes leaves nothing behind."""
    try:
        with api.joined():
            from deployments import register  # noqa: PLC0415
            from flows.delivery import Delivery  # noqa: PLC0415

            flow_run, ui = register.hand_over(Place.of_run(journal.folder).slug, Delivery.model_validate(journal.order()))
    except BaseException:
        shutil.rmtree(journal.folder)
        raise
    journal.event("handed over", flow_run=flow_run, ui=ui)
    if as_json:
        print_json(outcome(journal))
    else:
        sys.stdout.write(f"handed over as run {journal.folder.name}: `adw status --follow` shows it\n{in_ui(ui)}\n")
    return 0


def prepared(hub: Hub, issues: Sequence[Issue], given: dict[str, Any]) -> Journal:
    """The folder of a new run, once all is checked that can be; `given` are the flags of `adw run`, those that were left out as None or not at all."""
    check(hub, issues, given)
    return new_run(hub, {"repository": str(hub.root), "issues": [asdict(issue) for issue in issues], "branch": hub.branch, **given})


def check(hub: Hub, issues: Sequence[Issue], given: dict[str, Any]) -> None:
    """Misuse or DiskFull if the run could not come to a good end, as far as that shows before it begins."""
    config = configured(hub, given)
    if not config.test.command.strip():
        msg = "no test command: set test.command in adw.toml (`adw init` writes one), or give --test-command 'python -m pytest -q'"
        raise Misuse(msg)
    if missing := missing_program(config.test.command, hub.root):
        msg = f"the test command's program {missing!r} is not installed: install it, or change test.command in adw.toml (or --test-command)"
        raise Misuse(msg)
    for name, group in config.test.groups.items():
        if missing := missing_program(group.command, hub.root):
            msg = f"the program {missing!r} of the tests {name} is not installed: install it, or change test.groups.{name}.command in adw.toml"
            raise Misuse(msg)
    for name, one in config.checks.items():
        if missing := missing_program(one.command, hub.root):
            msg = f"the program {missing!r} of the check {name} is not installed: install it, or change checks.{name}.command in adw.toml"
            raise Misuse(msg)
    checks.insist_on_prompts(hub, config.checks)
    at_work.insist(config.skills)
    for phase in AGENT_PHASES:
        ready(config.agent.at(phase), hub.root)
    sandbox.require(config.sandbox)
    graph.in_order(issues, frozenset(landed_by_now(hub, config)))
    guard.check_disk(writable_home(), config.pool.disk_floor)


def configured(hub: Hub, given: dict[str, Any]) -> Config:
    """What adw.toml says, with the flags of a command line."""
    return override(
        hub.config(),
        pool__size=given.get("agents"),
        agent__name=given.get("agent"),
        agent__model=given.get("model"),
        agent__command=given.get("agent_command"),
        test__command=given.get("test_command"),
        test__groups={} if given.get("test_command") else None,
        tries=given.get("tries"),
        approve=given.get("approve"),
        landing__mode=given.get("land"),
        sandbox__mode=given.get("sandbox"),
    )


def report(journal: Journal, *, as_json: bool) -> int:
    """Run what a folder asks for; with JSON, tell on standard output only how it ended."""
    console = Console(stderr=as_json)
    status = supervise(journal, console)
    if as_json:
        print_json(outcome(journal))
    return status


def outcome(journal: Journal) -> dict[str, Any]:
    """A run for scripts."""
    progress = journal.progress()
    rows = {name: _told(row, progress.spent.get(name, Spent())) for name, row in progress.rows.items()}
    return {
        "run": journal.folder.name,
        "state": progress.state or ("waiting" if progress.waits else "running" if clean.lives(journal) else "crashed"),
        "folder": str(journal.folder),
        "ui": progress.ui,
        "seconds": round(progress.last - progress.started, 3),
        "work_seconds": round(progress.work, 3),
        "phases_run": progress.ran,
        "phases_cached": progress.cached,
        "spent": progress.money.flat(),
        "checks": {name: progress.standing(name) for name in progress.checks},
        "flaky": [{"issue": issue, "try": number, "phase": phase} for issue, number, phase in progress.flaky],
        "limits": {"breaker": progress.breaker, "agents": progress.limit or None, "slots": progress.lent, "throttled": progress.throttled},
        "issues": rows,
    }


def _told(row: Row, spent: Spent) -> dict[str, Any]:
    return {"title": row.title, "state": row.state, "sha": row.sha, "reason": row.reason, "tries": row.tries, "place": row.place, "spent": spent.flat()}


def hear(journal: Journal) -> None:
    """Note in the journal of a run that was handed over if it ended before it began: skipped, or cancelled in the UI."""
    progress = journal.progress()
    if progress.waits and not progress.ended and (ended := api.how_it_ended(progress.flow_run)):
        journal.event("run ended", state=ended[0].lower(), reason=ended[1])


def chosen(run: str, repo: Path) -> tuple[Hub, Journal]:
    """The run of that name, or the last one; Misuse if there is none."""
    hub = find_hub(repo, any_branch(repo))
    runs = clean.journals(hub.place)
    for journal in runs:
        if run in {"", journal.folder.name}:
            return hub, journal
    msg = f"{repo.absolute()} has no run {run!r}: `adw status` lists them" if runs else f"{repo.absolute()} has no runs yet: `adw run ISSUE.md` starts one"
    raise Misuse(msg)


def any_branch(repo: Path) -> str:
    """Whatever branch there is: what only looks at runs needs none in particular."""
    from adw.git import Git, locate  # noqa: PLC0415

    found = locate(repo.absolute())
    return found.head or next((ref.removeprefix("refs/heads/") for ref in Git(found.directory).refs("refs/heads")), "")


def resume(name: str, repo: Path, *, as_json: bool) -> int:
    """Ask for the same once more, or for one issue of it: what is done is found done."""
    hub = find_hub(repo, any_branch(repo))
    found = ((journal, issue) for journal in clean.journals(hub.place) for issue in journal.issues() if issue.id == name)
    if (asked_for := next(found, None)) and not (hub.place.runs / name).is_dir():
        return report(new_run(hub, {**asked_for[0].order(), "issues": [asdict(asked_for[1])]}), as_json=as_json)
    _, journal = chosen(name, repo)
    if clean.lives(journal):
        msg = f"run {journal.folder.name} is under way: `adw status` shows it, `adw cancel` ends it"
        raise Misuse(msg)
    return report(journal, as_json=as_json)


def cancel(run: str, repo: Path) -> None:
    """End a run as Ctrl-C does where it was started."""
    _, journal = chosen(run, repo)
    progress = journal.progress()
    if progress.waits and api.cancel(progress.flow_run):
        journal.event("run ended", state="interrupted", reason="cancelled before it began")
        sys.stdout.write(f"cancelled run {journal.folder.name} before it began\n")
        return
    if not clean.lives(journal):
        msg = f"run {journal.folder.name} is not under way"
        raise Misuse(msg)
    os.kill(progress.pid, signal.SIGTERM)
    until = time.monotonic() + CANCEL_LIMIT
    while proc.alive(progress.pid, progress.birth):
        time.sleep(0.05)
        if time.monotonic() > until:
            os.kill(progress.pid, signal.SIGKILL)  # its agents end with it
    sys.stdout.write(f"ended run {journal.folder.name}; `adw resume {journal.folder.name}` goes on with it\n")
