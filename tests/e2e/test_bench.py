"""A level small enough for CI, beside what is stored of it; and a benchmark as the command runs it."""

from pathlib import Path

import pytest

from adw.config import AGENT_PHASES
from benchmarks import results
from benchmarks.levels import tables
from benchmarks.machine import Book
from benchmarks.measure import measured
from tests.e2e.conftest import Adw

MINUTE = 2.0  # seconds: with fewer adw's own time counts for more than what is measured
STORED = Path(results.__file__).with_name("ratios.jsonl")


@pytest.mark.usefixtures("untraced")
def test_one_workflow_takes_no_other_part_of_its_best_schedule_than_it_did(server_home: Path, tmp_path: Path) -> None:
    (level,) = tables()["small"].levels
    measured(level, 1, MINUTE, tmp_path, server_home, Book("small", tmp_path / "new.jsonl"))
    new = results.read(tmp_path / "new.jsonl")
    (compared,) = results.compared(results.read(STORED), new)
    assert not compared.jumped, f"{compared}; its way: {new[0]['where']}"
    assert set(new[0]["phases"]) >= {*AGENT_PHASES, "test", "build-integrate", "test-browser-a", "land"}
    assert new[0]["usd"] == pytest.approx(0.30 + 5 * 0.42 + 0.45 + 0.45)


@pytest.mark.usefixtures("untraced")
def test_a_benchmark_runs_as_a_flow_and_leaves_its_results(adw: Adw, tmp_path: Path) -> None:
    out = tmp_path / "bench.jsonl"
    done = adw.call("bench", "overheads", "--repeat", "3", "--out", str(out))
    assert done.returncode == 0, done.stdout
    assert "a lease, 1000 files" in done.stdout
    assert all(line["share"] < 0.05 for line in results.read(out))
