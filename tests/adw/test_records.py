import json
import logging
from typing import Any

import pytest

from adw import records
from adw.errors import Misuse
from tests.adw.events import phase


def formatted(message: str, **extra: Any) -> dict[str, Any]:
    """A record of Prefect's, as it is printed."""
    record = logging.getLogger("prefect.task_runs").makeRecord("prefect.task_runs", logging.WARNING, "f", 1, message, ("this",), None, extra=extra)
    return dict(json.loads(records.OfPrefect("default", "", "%").format(record)))


def test_an_event_is_a_line_of_json_that_says_when_how_bad_and_of_what() -> None:
    told = json.loads(records.line(phase("failed", id="r1/a-1/build/1", at=1_795_655_564.25)))
    assert list(told)[:4] == ["timestamp", "level", "event", "id"]
    assert (told["timestamp"], told["level"], told["id"], told["phase"]) == ("2026-11-26T01:12:44.250+00:00", "error", "r1/a-1/build/1", "build")
    assert [json.loads(records.line({"state": state}))["level"] for state in ("done", "no", "refused", "crashed")] == ["info", "warning", "warning", "error"]


def test_a_record_of_prefect_has_the_id_of_the_work_else_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADW_RUN", raising=False)
    told = formatted("see %s", task_run_id="t-1", unwanted="x")
    assert {name: told[name] for name in ("event", "level", "logger", "task_run_id")} == {
        "event": "see this",
        "level": "warning",
        "logger": "prefect.task_runs",
        "task_run_id": "t-1",
    }
    assert not {"id", "unwanted"} & told.keys()
    monkeypatch.setenv("ADW_RUN", "r1")
    with records.about("r1/a-1/plan/1"):
        assert formatted("x %s")["id"] == "r1/a-1/plan/1"
    assert formatted("x %s")["id"] == "r1"


def test_another_kind_of_line_is_refused_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADW_LOG", "xml")
    with pytest.raises(Misuse, match="ADW_LOG is 'xml': set it to json"):
        records.wanted()
    monkeypatch.setenv("ADW_LOG", "")
    assert records.environment() == {}
