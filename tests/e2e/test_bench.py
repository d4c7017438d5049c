"""A level small enough for CI, beside what is stored of it; and a benchmark as the command runs it."""

from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.levels import tables
from benchmarks.machine import Book
from benchmarks.measure import measured
from tests.e2e.conftest import Adw

MINUTE = 1.0  # seconds: adw's own time is a good part of it
STORED = Path(results.__file__).with_name("ratios.jsonl")


@pytest.mark.alone
@pytest.mark.usefixtures("untraced")
def test_one_workflow_takes_as_many_times_its_best_schedule_as_is_stored(server_home: Path, tmp_path: Path) -> None:
    (level,) = tables()["small"].levels
    for number in (1, 2):  # once more, as somebody may have been at work beside it
        measured(level, number, MINUTE, tmp_path, server_home, Book("small", tmp_path / f"{number}.jsonl"))
        (line,) = results.read(tmp_path / f"{number}.jsonl")
        (compared,) = results.compared(results.read(STORED), [line])
        if not compared.jumped:
            break
    assert not compared.jumped, f"{compared}; its way: {line['where']}"
    assert set(line["phases"]) >= {"plan", "build", "build-1", "build-integrate", "test", "test-browser-a", "review", "document", "land"}
    assert line["usd"] == pytest.approx(0.30 + 5 * 0.42 + 0.45 + 0.45)


@pytest.mark.usefixtures("untraced")
def test_a_benchmark_runs_as_a_flow_and_leaves_its_results(adw: Adw, tmp_path: Path) -> None:
    out = tmp_path / "bench.jsonl"
    done = adw.call("bench", "overheads", "--repeat", "3", "--out", str(out))
    assert done.returncode == 0, done.stdout
    assert "a lease, 1000 files" in done.stdout
    assert [line["benchmark"] for line in results.read(out)] == ["overheads"] * 8
