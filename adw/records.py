"""Log lines as JSON, by structlog, for who collects logs: `ADW_LOG=json`. Each has the correlation id of what it is about.

Without it, lines are for people. The events of a run are in its folder either way, as `events.jsonl`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import Processor

from adw.errors import Misuse

VARIABLE = "ADW_LOG"
LEVELS = {"no": "warning", "refused": "warning", "blocked": "warning", "stopped": "warning", "failed": "error", "crashed": "error"}  # of the state that is told
OF_PREFECT = ("flow_run_id", "flow_run_name", "task_run_id", "task_run_name", "worker_name")  # what it says of a record beside its text

_about: ContextVar[str] = ContextVar("about", default="")


def wanted() -> bool:
    """Whether lines are to be JSON; Misuse if the environment says something else."""
    if (asked := os.environ.get(VARIABLE, "")) not in {"", "json"}:
        msg = f"{VARIABLE} is {asked!r}: set it to json for lines as JSON, or leave it out for lines for people"
        raise Misuse(msg)
    return asked == "json"


def line(event: Mapping[str, Any]) -> str:
    """An event of a journal as a line of a log."""
    at = datetime.fromtimestamp(event["timestamp"], UTC) if "timestamp" in event else datetime.now(UTC)
    told = {"timestamp": "", "level": LEVELS.get(event.get("state", ""), "info"), "event": "", "id": "", **event} | {
        "timestamp": at.isoformat(timespec="milliseconds")
    }
    return str(JSONRenderer(ensure_ascii=False)(None, "", told))


def environment() -> dict[str, str]:
    """What a process of adw's that runs Prefect needs, so that Prefect's own lines are like this, too."""
    if not wanted():
        return {}
    return {"PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json", "PREFECT_LOGGING_FORMATTERS_JSON_CLASS": "adw.records.OfPrefect"}


@contextmanager
def about(name: str) -> Iterator[None]:
    """For the block, lines that others write in this thread are about this."""
    token = _about.set(name)
    try:
        yield
    finally:
        _about.reset(token)


class OfPrefect(ProcessorFormatter):
    """Formats the records of Prefect, and of whatever else logs, as such lines."""

    def __init__(self, *_: object) -> None:
        before: list[Processor] = [add_log_level, add_logger_name, ExtraAdder(OF_PREFECT), TimeStamper(fmt="iso", utc=True), format_exc_info, _named]
        super().__init__(foreign_pre_chain=before, processors=[ProcessorFormatter.remove_processors_meta, JSONRenderer(ensure_ascii=False)])


def _named(_logger: object, _method: str, told: Any) -> Any:
    """Add the id of what a record is about, where that is known: a piece of work, else the run that this process is for."""
    known = _about.get() or os.environ.get("ADW_RUN")
    return {"id": known, **told} if known else told
