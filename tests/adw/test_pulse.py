import os
import sys
from pathlib import Path

import pytest

from adw.proc import kept

SOON = 0.01  # minutes
LOOKS = 8  # of half a second each: several times as long
WORKS = f"setsid {sys.executable} -c \"import os\nwhile not os.path.exists('enough'): pass\" & wait"  # a tool, in a session of its own
PRINTS = "until test -e enough; do echo here; sleep 0.05; done"


def test_a_command_that_gives_no_sign_of_life_is_cut(tmp_path: Path) -> None:
    ended = kept(["sh", "-c", "echo begun; sleep 600"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=tmp_path / "log", minutes=1, silent_minutes=SOON)
    assert (ended.silent, ended.killed) == (True, False)
    assert ended.cut == "it printed nothing and did next to nothing for 0.01 minutes"


@pytest.mark.parametrize("line", [WORKS, PRINTS])
def test_a_command_that_works_or_prints_lives(line: str, tmp_path: Path) -> None:
    looks: list[int] = []

    def enough() -> str:
        looks.append(1)
        if len(looks) == LOOKS:
            (tmp_path / "enough").touch()
        return ""

    ended = kept(["sh", "-c", line], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=tmp_path / "log", minutes=1, silent_minutes=SOON, watch=enough)
    assert (ended.status, ended.cut, ended.silent) == (0, "", False)


def test_nobody_is_silent_who_has_no_limit(tmp_path: Path) -> None:
    looks: list[int] = []

    def enough() -> str:
        looks.append(1)
        return "enough" if len(looks) == LOOKS else ""

    ended = kept(["sleep", "600"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=tmp_path / "log", minutes=1, watch=enough)
    assert (ended.cut, ended.silent) == ("enough", False)
