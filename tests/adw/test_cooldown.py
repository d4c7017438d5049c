from pathlib import Path

import pytest

from adw.cooldown import LONGEST, Cooldown
from tests.adw.tools import python

pytestmark = pytest.mark.usefixtures("home")


def test_a_pause_is_seen_by_another_process_that_uses_the_same_key() -> None:
    Cooldown("sk-1").push(60)
    with python("from adw.cooldown import Cooldown\nprint(Cooldown('sk-1').left() > 50, Cooldown('sk-2').left())") as other:
        assert other.communicate()[0].strip() == "True 0.0"


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    key = Cooldown("sk-1")
    key.push(60)
    key.push(1)
    assert key.left() > 50


def test_no_pause_is_longer_than_the_longest() -> None:
    key = Cooldown("sk-1")
    key.push(10**9)
    assert 0 < key.left() <= LONGEST


def test_the_file_of_a_key_does_not_hold_it(home: Path) -> None:
    Cooldown("sk-secret").push(60)
    files = [path for path in (home / "keys").iterdir() if path.is_file()]
    assert files
    assert not any("sk-secret" in path.name + path.read_text() for path in files)


def test_a_file_that_was_cut_off_is_no_pause(home: Path) -> None:
    key = Cooldown("sk-1")
    key.push(60)
    next((home / "keys").glob("*.json")).write_text('{"un')
    assert key.left() == 0.0
