from pathlib import Path

import pytest

from adw import guard
from adw.config import PoolConfig
from adw.errors import DiskFull


def test_at_least_one_slot_is_lent_and_never_more_than_there_are() -> None:
    assert guard.slots(PoolConfig(size=7, memory_gb=1e6)) == 1
    assert guard.slots(PoolConfig(size=7, memory_gb=1e-6)) == 7
    assert guard.slots(PoolConfig(size=7, memory_gb=0)) == 7


def test_memory_that_those_at_work_hold_is_lent_already_as_far_as_they_may() -> None:
    held = {("a", "build"): 3 * guard.GB, ("b", "test"): 1 * guard.GB}
    assert guard.lendable(10 * guard.GB, {}, held) == 8
    assert guard.lendable(10 * guard.GB, {("a", "build"): 2, ("b", "test"): 4, ("c", "plan"): 1}, held) == 8 + 2 + 1


def test_a_full_disk_is_said_with_what_to_do(tmp_path: Path) -> None:
    guard.check_disk(tmp_path, 0)
    with pytest.raises(DiskFull, match=r"and 100 % must stay so: run `adw clean`"):
        guard.check_disk(tmp_path, 100)


def test_the_size_of_a_folder_is_that_of_its_files_and_of_nothing_they_point_at(tmp_path: Path) -> None:
    (tmp_path / "deep" / "ö").mkdir(parents=True)
    (tmp_path / "deep" / "ö" / "x").write_bytes(b"x" * 1000)
    (tmp_path / "y").write_bytes(b"y" * 10)
    (tmp_path / "root").symlink_to("/")
    assert guard.size(tmp_path) == 1010 + len("/")
    assert guard.size(tmp_path / "gone") == 0
