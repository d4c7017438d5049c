"""`--gantt` and `--resources`, as far as they need no run."""

from pathlib import Path

import pytest

from adw.cli.main import app
from adw.cli.pictures import at_end
from adw.errors import Misuse
from adw.journal import Journal


def call(*args: str) -> None:
    app(args, standalone_mode=False)


@pytest.mark.parametrize("flag", ["--dry", "--detach"])
def test_a_call_that_does_not_see_the_end_of_a_run_does_not_draw_it(flag: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=rf"with {flag} does not see: .*`adw status --gantt run\.svg`"):
        call("run", "-", flag, "--gantt", "run.svg", "--repo", str(tmp_path))


def test_a_file_that_is_no_picture_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    for args in (["run", "-", "--gantt"], ["status", "--follow", "--gantt"], ["status", "--resources"]):
        with pytest.raises(Misuse, match=r"a picture is an SVG or PNG file, and run\.txt is neither: name it run\.svg"):
            call(*args, "run.txt", "--repo", str(tmp_path))


def test_a_run_in_which_there_was_nothing_to_do_is_no_failure_because_it_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at_end(Journal(tmp_path), tmp_path / "run.svg")
    assert "no phase has been at work in it" in capsys.readouterr().err
