import json
from pathlib import Path

import pytest

from adw import usage
from adw.usage import MOST, Book, Used, Window
from tests.adw.events import folded, paid, phase


def window(since: float, seconds: float = 1.0, **used: float) -> Window:
    return Window(since, since + seconds, Used(**used), Used(**used))


def written(file: Path, *windows: Window) -> list[Window]:
    book = Book(file)
    for one in windows:
        book.add(one)
    book.flush()
    return usage.read(file)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    given = window(5.0, agents_cpu=1.25, agents_memory=3e8, network=17)
    assert written(tmp_path / "r.jsonl", given) == [given]


def test_however_long_a_run_is_its_file_stays_small_and_tells_the_same(tmp_path: Path) -> None:
    number = 5 * MOST
    found = written(tmp_path / "r.jsonl", *(window(at, agents_cpu=2.0 if at == 777 else 1.0, all_memory=123e9) for at in range(number)))
    assert MOST // 4 < len(found) <= MOST
    assert (tmp_path / "r.jsonl").stat().st_size < 700 * MOST
    whole = usage.summed(usage.read(tmp_path / "r.jsonl"))
    assert whole is not None
    assert (whole.since, whole.until) == (0, number)
    assert whole.mean.agents_cpu == pytest.approx(1.0 + 1 / number, abs=1e-3)
    assert whole.peak.agents_cpu == 2.0
    lengths = {one.seconds for one in found[:-1]}
    assert max(lengths) <= 2 * min(lengths)  # no part of the run is told more coarsely than the others


def test_a_pause_stays_a_pause_when_lines_are_joined(tmp_path: Path) -> None:
    found = written(tmp_path / "r.jsonl", *(window(at + (10_000 if at > 300 else 0)) for at in range(MOST)))
    assert len(found) < MOST
    assert all(one.seconds <= 2 for one in found)
    assert sum(one.seconds for one in found) == MOST


def test_a_long_run_that_goes_on_writes_windows_as_long_as_before_and_a_short_one_as_they_come(tmp_path: Path) -> None:
    written(tmp_path / "long", *(window(4 * at, 4.0) for at in range(MOST - 100)))
    assert [one.seconds for one in written(tmp_path / "long", *(window(at) for at in range(10_000, 10_016)))[-5:]] == [4.0] * 5
    written(tmp_path / "short", window(0, 4.0))
    assert [one.seconds for one in written(tmp_path / "short", window(10), window(11))] == [4.0, 1.0, 1.0]


def test_a_line_that_a_crash_cut_off_is_left_out_and_a_name_of_another_version_ignored(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    written(file, window(1.0, load=2.0))
    line = json.loads(file.read_text())
    file.write_text(json.dumps({**line, "mean": {**line["mean"], "later": 1}}) + '\n{"since":2.0,"until":3.0,"me')
    assert usage.read(file) == [window(1.0, load=2.0)]


def test_means_go_by_time(tmp_path: Path) -> None:
    written(tmp_path / "r.jsonl", window(0, 1.0, adw_cpu=1.0), window(1, 3.0, adw_cpu=0.0))
    whole = usage.summed(usage.read(tmp_path / "r.jsonl"))
    assert whole is not None
    assert (whole.mean.adw_cpu, whole.peak.adw_cpu) == (0.25, 1.0)


def test_of_a_run_that_was_not_watched_nothing_is_told(tmp_path: Path) -> None:
    assert usage.summed(usage.read(tmp_path / "none")) is None
    assert usage.flat([]) == {}
    assert usage.told(folded(phase("done")), None) == []


def test_people_are_told_means_and_peaks_the_calls_of_models_and_the_waits() -> None:
    used = Used(agents_cpu=1.5, adw_cpu=0.25, agents_memory=3e8, network=2000)
    machine = {"event": "machine", "host": "here", "cores": 4}
    waits = [
        {"event": "waited for slot", "issue": "a", "phase": name, "try": 1, "seconds": seconds} for name, seconds in (("test-unit-1", 3.0), ("build", 2.0))
    ]
    progress = folded(machine, paid(), paid(timestamp=90.0), paid(timestamp=91.0), *waits, phase("done", host="there"), {"event": "x", "timestamp": 121.0})
    assert usage.told(progress, Window(0, 10, used, Used(agents_cpu=2.0, agents_memory=4e8))) == [
        "CPU, on average (at most), in cores of 4: agents 1.50 (2.00), adw 0.25 (0.00), others 0.00 (0.00); stolen 0.00 (0.00); load 0.0 (0.0)",
        "memory in MB: agents 300 (400), adw 0 (0), all of the machine 0 (0)",
        "disk in MB: slots 0 (0), adw's own 0 (0); network in kB a second: 2 (0), on loopback 0 (0)",
        "measured on here, and of agents only what the run's own process keeps: phases ran with a cluster's workers on there",
        "calls of models: 3, 1.5 a minute on average, 2 in one at most",
        "phases waited for a slot 2 times, 5 s in all, 3 s at most (test)",
    ]
