import threading
from itertools import pairwise
from pathlib import Path

import pytest

from adw import monitor, usage
from adw.home import Place
from adw.journal import Journal
from adw.monitor import Disk, Monitor
from tests.adw.tools import until


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("ADW_HOME", str(tmp_path))
    monkeypatch.setattr(monitor, "EACH", 0.05)
    monkeypatch.setattr(monitor, "SHORTEST", 0.0)
    found = Journal(tmp_path / "repositories" / "r" / "runs" / "run")
    found.folder.mkdir(parents=True)
    return found


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "monitor"]


def test_a_run_is_watched_from_its_begin_to_its_end(journal: Journal, tmp_path: Path) -> None:
    with Monitor(journal, tmp_path / "pool").kept():
        until(lambda: len(usage.read(journal.resources)) > 2)
    until(lambda: not threads())
    windows = usage.read(journal.resources)
    assert all(before.until == after.since for before, after in pairwise(windows))
    assert all(one.mean.adw_memory > 10**6 and one.mean.all_memory > one.mean.adw_memory for one in windows)
    assert journal.progress().cores > 0


def test_a_run_that_is_over_at_once_has_its_window(journal: Journal, tmp_path: Path) -> None:
    with Monitor(journal, tmp_path / "pool").kept():
        pass
    assert len(until(lambda: usage.read(journal.resources))) == 1


def test_where_nothing_can_be_written_the_run_goes_on(journal: Journal, tmp_path: Path) -> None:
    journal.resources.mkdir()
    with Monitor(journal, tmp_path / "pool").kept():
        assert threads() == ["monitor"]
    until(lambda: not threads())


def test_slots_and_what_is_adws_own_are_told_apart_on_the_disk(journal: Journal, tmp_path: Path) -> None:
    place = Place.of_run(journal.folder)
    for file, size in ((place.pool / "1" / "tree" / "a", 1000), (place.mirror / "pack", 300), (tmp_path / "prefect" / "db", 20)):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * size)
    disk = Disk(place.pool, place)
    disk.look()
    assert (disk.pool, disk.home) == (1000, 320)


def test_the_disk_is_not_looked_at_again_before_its_time(tmp_path: Path) -> None:
    disk = Disk(tmp_path, Place(tmp_path / "place"))
    disk.look()
    (tmp_path / "new").write_text("new")
    disk.look()
    assert disk.pool == 0
    disk.look_again()
    assert disk.pool == 3
