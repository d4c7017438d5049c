"""What is in pictures, told by the ids of their elements."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from adw import charts
from adw.charts import gantt, levels, resources
from adw.charts.drawing import clock
from adw.charts.levels import Curve
from adw.errors import AdwError, Misuse
from adw.timeline import timeline
from adw.usage import Used, Window
from tests.adw.runs import begun, ended, found, outcome, ran, told, two_on_two_slots, waited


def ids(file: Path, prefix: str = "") -> list[str]:
    return [name.removeprefix(prefix) for each in ET.parse(file).iter() if (name := each.get("id", "")).startswith(prefix)]  # noqa: S314 - our own


def text(file: Path) -> str:
    return "\n".join(each.text or "" for each in ET.parse(file).iter() if each.tag.endswith("}text"))  # noqa: S314 - our own


def height(file: Path) -> float:
    """In inches."""
    return float((ET.parse(file).getroot().get("height") or "").removesuffix("pt")) / 72  # noqa: S314 - our own


@pytest.fixture(scope="module")
def run_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("charts") / "run.svg"
    gantt.draw(file, timeline(two_on_two_slots()), "a-run")
    return file


def test_each_phase_has_a_bar_in_its_issues_row_and_one_in_its_slot(run_of_two: Path) -> None:
    bars = ["(base)-test-1", "a-plan-1", "b-plan-1", "b-build-1", "a-build-1", "b-test-1", "a-test-1", "a-review-1", "a-document-1", "b-build-2", "b-test-2"]
    assert sorted(ids(run_of_two, "slot-")) == sorted(bars)
    assert sorted(ids(run_of_two, "bar-")) == sorted([*bars, "a-land-1", "b-land-2"])


def test_the_critical_path_is_outlined_and_nothing_else(run_of_two: Path) -> None:
    path = ["a-plan-1", "a-build-1", "a-review-1", "b-build-2", "b-test-2"]
    assert sorted(ids(run_of_two, "critical-slot-")) == sorted(path)
    assert sorted(ids(run_of_two, "critical-bar-")) == sorted([*path, "b-land-2"])


def test_waits_what_was_found_what_landed_and_what_said_no_are_marked_and_explained(run_of_two: Path) -> None:
    assert ids(run_of_two, "wait-") == ["b", "b"]
    assert ids(run_of_two, "cached-") == ["b-review-1"]
    assert ids(run_of_two, "landed-") == ["a", "b"]
    assert ids(run_of_two, "no-bar-") == ["b-test-1"]
    words = text(run_of_two)
    for word in (
        "a-run: 1:11 on 2 slots; 2 landed",
        "a: Add a",
        "the branch as it is",
        "slot 2",
        "a later try",
        "waits for a slot",
        "critical path",
        "found done",
    ):
        assert word in words
    assert "a check" not in words


def test_a_run_that_crashed_and_went_on_shows_the_pause_and_what_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "run.svg"
    events = told(
        begun(0, "a"), ran("a", "plan", 0, 10), ran("a", "build", 10, 0, "cut"), begun(5000, "a"), found("a", "plan", 5001), ran("a", "build", 5001, 5021)
    )
    gantt.draw(file, timeline(events))
    assert ids(file, "pause") == ["", ""]
    assert "stopped for 1:23:10" in text(file)
    assert ids(file, "cut-bar-") == ["a-build-1"]
    assert ids(file, "cached-") == ["a-plan-1"]
    assert len(ids(file, "bar-a-build-1")) == 2


def test_what_is_at_work_at_the_same_time_is_one_above_the_other_and_what_is_not_has_the_whole_row() -> None:
    run = timeline(told(begun(0, "a"), ran("a", "build", 0, 10), ran("a", "test", 10, 20), ran("a", "review", 10, 15), ran("a", "document", 15, 21)))
    assert {bar.phase: place for bar, place in gantt.layers(run.bars, 0.1).items()} == {"build": (0, 1), "review": (0, 2), "test": (1, 2), "document": (0, 2)}


def test_two_hundred_issues_are_a_picture_of_bearable_height_with_as_many_names_as_there_is_room_for(tmp_path: Path) -> None:
    file, events = tmp_path / "run.svg", begun(0, *(f"issue-{n:03}" for n in range(200)), slots=8)
    for n in range(200):
        at = n // 8 * 100.0
        events += ran(f"issue-{n:03}", "plan", at, at + 30) + ran(f"issue-{n:03}", "build", at + 30, at + 99) + [outcome(f"issue-{n:03}", at + 99)]
    gantt.draw(file, timeline(told(events)))
    assert len(ids(file, "bar-")) == 400
    assert height(file) < 1.25 * gantt.TALLEST + gantt.AROUND
    named = re.findall(r"^issue-\d+: ", text(file), re.MULTILINE)
    assert 80 < len(named) < 200


def test_a_run_in_which_nothing_was_at_work_is_not_drawn(tmp_path: Path) -> None:
    for events in ([], told(begun(0, "a"), found("a", "plan", 1), ended(2))):
        with pytest.raises(Misuse, match="no phase has been at work in it"):
            gantt.draw(tmp_path / "run.svg", timeline(events))
    with pytest.raises(Misuse, match="nothing was measured"):
        resources.draw(tmp_path / "run.svg", [], timeline([]))
    assert not (tmp_path / "run.svg").exists()


def test_what_was_used_is_drawn_over_the_time_of_the_run_with_a_gap_where_nobody_was_at_it(tmp_path: Path) -> None:
    file, used = tmp_path / "used.svg", Used(agents_cpu=1.0, adw_cpu=0.5, agents_memory=2e8)
    calls = {"event": "spent", "timestamp": 101.0, "issue": "a", "calls": 3}
    run = timeline(told(begun(100, "a"), calls, waited("a", "plan", 100, 103), ran("a", "plan", 103, 110), begun(200, "a"), ended(210)))
    windows = [Window(100, 104, used, used), Window(104, 110, used, used), Window(200, 210, used, used)]
    resources.draw(file, windows, run, 2, "a-run")
    drawn = ids(file)
    for name in ("agents_cpu", "adw_cpu", "others_cpu", "stolen_cpu", "agents_memory", "adw_memory", "network", "loopback", "pool_disk", "home_disk"):
        assert name in drawn
    assert {"waiting", "working", "lent"} <= set(drawn)
    assert "all 2 cores" in text(file)
    assert "calls a minute" in text(file)
    times, values = resources.steps(windows, run, "agents_cpu")
    assert list(zip(times, values, strict=True)) == [(0, 1), (4, 1), (4, 1), (10, 1), (10, 0), (10, 0), (10, 1), (20, 1)]


def test_curves_over_levels_have_their_spread_and_bounds_are_drawn_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "speed.svg"
    measured = Curve(name="adw", values={1: 1.0, 2: 1.9, 4: 3.6}, spread={2: (1.8, 2.0)})
    levels.speed_up(file, [measured, Curve(name="limit", values={1: 1.0, 2: 2.0, 4: 3.9}, bound=True)], title="Ten features")
    assert {"curve-adw", "curve-limit", "ideal"} <= set(ids(file))
    assert {"Ten features", "adw", "limit", "3.6"} <= set(text(file).splitlines())


def test_bars_are_made_of_their_parts_with_what_they_come_to_above(tmp_path: Path) -> None:
    file = tmp_path / "money.svg"
    levels.bars(file, {"1 agent": {"plan": 0.25, "build": 1.0}, "4 agents": {"build": 1.5}}, title="Money", value="USD")
    assert ids(file, "bar-") == ["1 agent-plan", "4 agents-plan", "1 agent-build", "4 agents-build"]
    assert {"1.25", "1.5", "USD"} <= set(text(file).splitlines())


def test_the_same_run_makes_the_same_file_whatever_the_users_repository_sets_for_its_own_pictures(run_of_two: Path, tmp_path: Path) -> None:
    with mpl.rc_context({"text.usetex": True, "font.size": 40.0}):
        gantt.draw(tmp_path / "again.svg", timeline(two_on_two_slots()), "a-run")
    assert (tmp_path / "again.svg").read_bytes() == run_of_two.read_bytes()


def test_a_picture_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AdwError, match=r"cannot write the picture .*none/money\.svg: No such file or directory"):
        levels.bars(tmp_path / "none" / "money.svg", {"1": {"plan": 1.0}}, title="Money", value="USD")


def test_a_png_is_one(tmp_path: Path) -> None:
    levels.bars(tmp_path / "money.PNG", {"1": {"plan": 1.0}}, title="Money", value="USD")
    assert (tmp_path / "money.PNG").read_bytes().startswith(b"\x89PNG")


def test_where_no_picture_can_be_written_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    for name in ("run.svg", "run.PNG"):
        assert charts.drawable(tmp_path / name) == tmp_path / name
    with pytest.raises(Misuse, match=r"run\.pdf is neither: name it run\.svg"):
        charts.drawable(tmp_path / "run.pdf")
    (tmp_path / "folder.svg").mkdir()
    for file in (tmp_path / "none" / "run.svg", tmp_path / "folder.svg"):
        with pytest.raises(Misuse, match="name a file in a folder that is there"):
            charts.drawable(file)
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(Misuse, match="that you may write to"):
            charts.drawable(tmp_path / "run.svg")


def test_times_are_told_as_people_do() -> None:
    assert [clock(seconds) for seconds in (0, 2.5, 59.9, 60, 150, 3599, 3600, 3750)] == [
        "0 s",
        "2.5 s",
        "59.9 s",
        "1:00",
        "2:30",
        "59:59",
        "1:00:00",
        "1:02:30",
    ]
