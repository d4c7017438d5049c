"""Reports of a delivery, as Prefect artifacts and as files in the run's folder."""

import re
from collections.abc import Sequence
from typing import Any, cast

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from adw import report
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import Issue, Outcome


def publish(hub: Hub, journal: Journal, issues: Sequence[Issue], outcomes: Sequence[Outcome]) -> None:
    """One report of the run and one of each issue that was worked on; and a table of all."""
    progress = journal.progress()
    run = report.run_report(progress, outcomes)
    (journal.folder / "report.md").write_text(run, encoding="utf-8")
    _markdown(f"{hub.place.slug}-run", run, "The delivery")
    table = [{"issue": o.issue, "title": o.title, "ended": o.state, "commit": o.sha[:10], "tries": o.tries or ""} for o in outcomes]
    create_table_artifact(cast("list[dict[str, Any]]", table), key=f"{hub.place.slug}-issues"[-255:], description="How each issue ended")
    for issue, outcome in zip(issues, outcomes, strict=True):
        if outcome.state == "already landed":
            continue
        text = report.issue_report(hub, issue, outcome, journal.folder)
        path = journal.folder / "reports" / f"{issue.key}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        _markdown(f"{hub.place.slug}-{issue.key}", text, issue.title)


def _markdown(key: str, text: str, description: str) -> None:
    create_markdown_artifact(text, key=re.sub(r"[^a-z0-9-]+", "-", key.lower())[:255].strip("-"), description=description)
