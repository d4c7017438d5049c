"""Whatever issues want and meet, however often the run is killed and the branch pushed to: what lands is whole, and lands once."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from adw.lock import try_lock
from adw.mirror import find_hub
from tests.flows.stories import FATES, Stage, Step, Story, Wanted, acted, git

LIMIT = 100  # seconds for anything


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A few issues, and what happens meanwhile."""
    count = draw(st.integers(1, 4))
    wanted = [
        Wanted(
            needs=tuple(draw(st.sets(st.integers(0, number - 1), max_size=2))) if number else (),
            shared=draw(st.sampled_from([-1, -1, 0, 0, 1])),
            fate=draw(st.sampled_from(("lands",) * 6 + FATES)),
            paired=draw(st.sampled_from([False, False, True])),
            flaky=draw(st.sampled_from([False, False, True])),
            priority=draw(st.sampled_from([0, 0, 1])),
            parts=draw(st.sampled_from([False, False, True])),
        )
        for number in range(count)
    ]
    steps = draw(st.lists(st.builds(Step, after=st.integers(1, 25), kill=st.booleans(), shared=st.sampled_from([-1, 0])), max_size=3))
    return Story(
        issues=tuple(wanted),
        steps=tuple(steps),
        slots=draw(st.integers(1, 4)),
        stack=draw(st.booleans()),
        partition=draw(st.booleans()),
        squash=draw(st.sampled_from([False, False, True])),
        groups=draw(st.sampled_from([False, False, True])),
    )


def events(stage: Stage, run: str) -> list[dict[str, Any]]:
    file = find_hub(stage.hub).place.runs / run / "events.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines() if line] if file.exists() else []


def played(stage: Stage, home: Path) -> dict[str, str]:
    """Act a story out, step by step, and then to its end; how the issues ended."""
    run = 1
    process = acted(stage, home, "r1")
    for number, step in enumerate(stage.story.steps):
        end = time.monotonic() + LIMIT
        while process.is_alive() and len(events(stage, f"r{run}")) < step.after and time.monotonic() < end:
            process.join(0.01)
        if step.kill:
            process.kill()
            process.join()
            run += 1
            process = acted(stage, home, f"r{run}")
        else:
            stage.push(number, step)
    process.join(LIMIT)
    assert not process.is_alive(), f"run r{run} does not end"
    assert process.exitcode == 0
    outcomes = json.loads((find_hub(stage.hub).place.runs / f"r{run}" / "outcomes.json").read_text())
    assert not [outcome for outcome in outcomes if outcome["state"] in {"crashed", "stopped"}], outcomes
    return {outcome["issue"]: outcome["state"] for outcome in outcomes}


def left_over(home: Path) -> list[str]:
    """Processes that still work in a slot."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in process.environ().get("HOME", "") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


def check(stage: Stage, home: Path, ended: dict[str, str]) -> None:
    """What holds at the end of every story."""
    story, hub = stage.story, find_hub(stage.hub)
    good = {f"i{number}" for number in range(len(story.issues)) if story.lands(number)}
    assert {name for name, state in ended.items() if state in {"landed", "already landed"}} == good, ended
    trailers = git(stage.hub, "log", "--format=%(trailers:key=Adw-Issue,valueonly,separator=)", "main").split()
    assert sorted(trailers) == sorted(good), "each lands once"
    order = [trailers[::-1].index(f"i{number}") if f"i{number}" in good else -1 for number in range(len(story.issues))]
    assert all(order[needed] < order[number] for number in range(len(order)) if order[number] >= 0 for needed in story.issues[number].needs)
    for commit in git(stage.hub, "rev-list", "--first-parent", "main").split() if not story.squash else ["main"]:
        names = git(stage.hub, "ls-tree", "--name-only", commit).split()
        assert not [name for name in names if name.endswith(".bad")], commit
        assert sum(name.startswith("pair-") for name in names) < 2, commit
    names = set(git(stage.hub, "ls-tree", "-r", "--name-only", "main").split())
    pushes = {number: step for number, step in enumerate(story.steps) if not step.kill}
    wanted = {"shared0", "shared1", *(f"{name}.done" for name in good), *(f"docs/{name}" for name in good)}
    wanted |= {f"i{number}.part{part}" for number, issue in enumerate(story.issues) if issue.parts and f"i{number}" in good for part in (2, 3)}
    wanted |= {f"push{number}" for number, step in pushes.items() if step.shared < 0}
    assert {name for name in names if not name.startswith(("pair-", "also-"))} == wanted
    for shared in range(2):
        lines = git(stage.hub, "show", f"main:shared{shared}").split()
        mine = {f"i{number}" for number, issue in enumerate(story.issues) if issue.shared == shared} & good
        assert sorted(lines) == sorted({"0", *mine, *(f"push{number}" for number, step in pushes.items() if step.shared == shared)})
    assert "error" not in git(stage.hub, "fsck", "--no-dangling")
    assert left_over(home) == []
    for lock in hub.place.pool.glob("*/lock"):
        held = try_lock(lock)
        assert held is not None, f"{lock} is held"
        held.close()
    assert not [*hub.place.mirror.rglob("*.lock"), *stage.hub.rglob("*.lock")]
    branches = set(git(stage.hub, "for-each-ref", "--format=%(refname)", "refs/heads").split())
    assert branches <= {"refs/heads/main", *(f"refs/heads/adw/{name}" for name in ended.keys() - good)}


@pytest.mark.timeout(0)  # its parts have limits
@settings(max_examples=int(os.environ.get("ADW_STORIES", "40")), deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(stories())
@example(Story((Wanted(shared=0), Wanted(shared=0), Wanted(shared=0)), slots=3))
@example(Story((Wanted(flaky=True),)))
@example(Story((Wanted(paired=True), Wanted(paired=True)), slots=4))
@example(Story((Wanted(fate="second"), Wanted(needs=(0,)), Wanted(needs=(1,))), slots=3, stack=True))
@example(Story((Wanted(fate="hopeless"), Wanted(needs=(0,)), Wanted()), slots=3, stack=True))
@example(Story((Wanted(), Wanted(fate="red"), Wanted(), Wanted()), slots=4, squash=True))
@example(Story((Wanted(parts=True, shared=0), Wanted(parts=True, shared=0, fate="red"), Wanted(flaky=True)), (Step(12, kill=True),), slots=4, groups=True))
@example(Story((Wanted(shared=0), Wanted(shared=0)), (Step(6, kill=True), Step(12, kill=True), Step(3)), partition=True))
def test_every_story_ends_well(story: Story) -> None:
    event(f"{len(story.issues)} issues")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        home = Path(folder, "home")
        patch.setenv("ADW_HOME", str(home))
        stage = Stage(Path(folder), story)
        stage.set()
        check(stage, home, played(stage, home))
