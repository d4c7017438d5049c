import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adw.cli.bench import app
from adw.errors import AdwError, Misuse
from benchmarks import pages, results
from benchmarks.document import document

MACHINE = {"cores": 2, "memory_gb": 8.0, "system": "Linux"}
LOAD = {"load_before": 0.1, "load_after": 0.5, "busy": 0.2, "steal": 0.0}


def trial(wall: float, level: str = "full stack", table: str = "one", **more: Any) -> dict[str, Any]:
    line = {"benchmark": table, "table": table, "level": level, "minute": 1.0, "wall": wall, "best": 6.1, "alone": 19.0, "by": "adw", "usd": 2.0}
    return {
        **line,
        "phases": {"plan": 2.0, "build": 3.0, "test": 2.0, "review": 2.0625, "document": 2.0},
        "load": LOAD,
        "machine": MACHINE,
        "tokens": 5.0,
        **more,
    }


def written(file: Path, *lines: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def said(*args: str) -> tuple[str, BaseException | None]:
    ended = CliRunner().invoke(app, list(args))
    return ended.stdout, ended.exception


@pytest.mark.parametrize(
    ("old", "new", "moved"), [([7, 7.1, 7.2], [7.3, 7.1, 7.2], False), ([7, 7.1, 7.2], [8, 8.1, 8.2], True), ([7, 9, 8], [8.5, 9.5, 9.1], False)]
)
def test_what_moved_less_than_it_is_spread_is_noise(tmp_path: Path, old: list[float], new: list[float], moved: bool) -> None:  # noqa: FBT001
    before, after = (written(tmp_path / name, *map(trial, walls)) for name, walls in (("old", old), ("new", new)))
    out, _ = said("compare", str(before), str(after))
    assert ("full stack" in out, f"{int(moved)} of 1" in out) == (moved, True)


def test_a_ratio_that_moved_by_more_than_half_fails_and_seconds_do_not(tmp_path: Path) -> None:
    seconds = {"benchmark": "overheads", "what": "a lease", "unit": "ms", "load": LOAD, "machine": MACHINE}
    before = written(tmp_path / "old", trial(7), {**seconds, "value": 10})
    slower = written(tmp_path / "slower", trial(10), {**seconds, "value": 90})
    jumped = written(tmp_path / "jumped", trial(11), {**seconds, "value": 10})
    assert said("compare", str(before), str(slower), "--fail")[1] is None
    no = said("compare", str(before), str(jumped), "--fail")[1]
    assert isinstance(no, AdwError)
    assert "full stack" in str(no)


@pytest.mark.parametrize("text", ["", "{}\n", "no results\n", '{"benchmark": "one"}\n[1]\n'])
def test_what_is_no_file_of_results_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.jsonl"
    file.write_text(text)
    with pytest.raises(Misuse, match=r"other\.jsonl"):
        results.read(file)


def test_results_of_other_benchmarks_are_not_compared(tmp_path: Path) -> None:
    no = said("compare", str(written(tmp_path / "a", trial(7))), str(written(tmp_path / "b", trial(7, minute=2.0))))[1]
    assert isinstance(no, Misuse)
    assert "--minute" in str(no)


def test_beside_a_figure_stand_the_analysis_and_the_best_schedule_and_what_is_worse_is_said() -> None:
    text = pages.page([trial(wall) for wall in (9, 10, 9.5)])
    assert "| full stack (aim: 2.7×) | 9.50 min | 9.00–10.00 | 2.00× ✗ | 2.35× | 0.85 | 6.10 min | 1.557 |" in text
    assert "Slower than the analysis says: full stack." in text
    assert "3 times each; 2 cores" in text
    assert "others were at work" not in text
    assert "a load of 4.0 before" in pages.page([trial(9, load={**LOAD, "load_before": 4.0})])


def test_only_the_longest_minutes_that_were_measured_are_shown() -> None:
    assert "6.50 min" in pages.page([trial(20), trial(39, minute=6.0, best=36.6, alone=114.0)])


def test_the_document_says_what_is_missing_and_draws_what_is_there(tmp_path: Path) -> None:
    agents = [trial(102 / slots, f"{slots} agents", "agents", alone=102.0, best=100 / slots) for slots in (2, 4)]
    text = document(
        [*agents, trial(7), trial(19, "one after another, by adw", phases=dict.fromkeys(("plan", "build", "test", "review", "document"), 2.25))], tmp_path
    )
    assert "not measured yet: `adw bench features`" in text
    assert "| one | full stack | 2.7× | 2.71× | 1.148 ✗ |" in text
    assert "| Analysis | skills at once: those of review | 0.75 min | 1.33× | 2.0–3.0× |" in text
    assert "2 agents" in text
    assert "gid" not in text
    assert "curve-the analysis" in (tmp_path / "agents.svg").read_text()
